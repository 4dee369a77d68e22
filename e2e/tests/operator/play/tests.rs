//! The played cluster by itself: what the operator would write is written by hand.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tress_configs::job::{Outcome, Report};
use tress_operator::workload::{Owner, Place, Revision, plan_of, prepare, service_account, stream};

use super::conditions;
use crate::fate::Mood;
use crate::store::{text, uid};
use crate::world::World;

fn place(world: &World) -> Place {
    Place { namespace: world.at("movies"), image: "tress-engine:test".to_owned(), secrets: Vec::new() }
}

/// A namespace with what every pod mounts, and an object that owns what is made.
async fn begin(name: &str, mood: Mood) -> (World, Owner) {
    let world = World::begin(name, mood).await;
    let at = world.at("movies");
    world.create("ServiceAccount", &at, service_account(&at, &json!({}))).await;
    let connections = json!({"metadata": {"name": "tress-connections"}, "data": {"platform.yaml": ""}});
    world.apply("ConfigMap", &at, connections).await;
    let owner = world.apply("ConfigMap", &at, json!({"metadata": {"name": "click-abcdefghij"}})).await;
    (world, Owner { kind: "ConfigMap", name: "click-abcdefghij".to_owned(), uid: uid(&owner).to_owned() })
}

fn plan() -> String {
    crate::definitions::plans().0.canonical_json()
}

fn report(world: &World) -> Option<Report> {
    let pods = world.store.all("Pod");
    pods.iter().find_map(|(_, pod)| Report::from_json(text(pod, "/status/containerStatuses/0/state/terminated/message")).ok())
}

fn has(object: Option<Arc<Value>>, condition: &str) -> bool {
    object.is_some_and(|object| conditions(&object).get(condition) == Some(&"True"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_waits_for_what_it_mounts_then_runs_and_reports_and_goes_with_its_owner() {
    let (world, owner) = begin("play-job", Mood::CALM).await;
    let revision = Revision { owner: Owner { name: "click-plan".to_owned(), ..owner }, plan: plan(), signals: Vec::new() };
    world.create("Job", &world.at("movies"), prepare(&place(&world), &revision)).await;
    world.until("a pod", |store| !store.all("Pod").is_empty()).await;
    world.rest(Duration::from_millis(300)).await;
    assert!(report(&world).is_none(), "its plan is not there");
    world.create("ConfigMap", &world.at("movies"), plan_of(&place(&world), &revision)).await;
    world.until("complete", |_| has(world.get("Job", "click-plan-prep"), "Complete")).await;
    assert_eq!(report(&world).map(|report| report.outcome), Some(Outcome::Succeeded));
    assert_eq!(world.lake.lock().unwrap().effects.len(), 1);
    world.delete("ConfigMap", &world.at("movies"), "click-abcdefghij").await;
    world.until("gone with its owner", |store| store.all("Job").is_empty() && store.all("Pod").is_empty()).await;
    world.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_fails_now_and_then_is_tried_again_and_one_that_cannot_be_fails() {
    let (world, owner) = begin("play-again", Mood { fails: 6000, lost: 3000, ..Mood::ROUGH }).await;
    let sound = Revision { owner: owner.clone(), plan: plan(), signals: Vec::new() };
    let wrong = Revision { owner: Owner { name: "wrong".to_owned(), ..owner }, plan: "{}".to_owned(), signals: Vec::new() };
    let patch = json!({"data": {"plan.json": plan()}});
    world.merge("ConfigMap", &world.at("movies"), "click-abcdefghij", patch).await;
    world.create("ConfigMap", &world.at("movies"), plan_of(&place(&world), &wrong)).await;
    for revision in [&sound, &wrong] {
        let mut job = prepare(&place(&world), revision);
        job["spec"]["backoffLimit"] = json!(50);
        world.create("Job", &world.at("movies"), job).await;
    }
    world.until("complete", |_| has(world.get("Job", "click-abcdefghij-prep"), "Complete")).await;
    world.until("failed", |_| has(world.get("Job", "wrong-prep"), "Failed")).await;
    world.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_becomes_available_and_its_pods_are_replaced_when_it_changes() {
    let (world, owner) = begin("play-deploy", Mood::CALM).await;
    let mut deployment = stream(&place(&world), &owner, None);
    deployment["spec"]["replicas"] = json!(2);
    let name = text(&deployment, "/metadata/name").to_owned();
    world.create("Deployment", &world.at("movies"), deployment).await;
    world.until("available", |_| has(world.get("Deployment", &name), "Available")).await;
    let before: Vec<String> = world.store.all("Pod").iter().map(|(key, _)| key.name.clone()).collect();
    assert_eq!(before.len(), 2);
    let patch = json!({"spec": {"replicas": 1, "template": {"metadata": {"annotations": {"changed": "yes"}}}}});
    world.merge("Deployment", &world.at("movies"), &name, patch).await;
    let replaced = |pods: Vec<(crate::store::Key, Arc<Value>)>| pods.len() == 1 && !before.contains(&pods[0].0.name);
    world.until("replaced", |store| replaced(store.all("Pod"))).await;
    let at = world.at("movies");
    world.delete("Namespace", "", &at).await;
    world.until("an empty namespace that is gone", |store| store.get("Namespace", "", &at).is_none()).await;
    world.leave().await;
}
