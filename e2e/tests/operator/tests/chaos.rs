//! Whatever the operator has made is deleted by somebody, at any moment: it comes again, and readers go on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::edits::live;
use crate::definitions::{feature, signal, wider, with};
use crate::fate::Mood;
use crate::store::label;
use crate::world::{PATIENCE, World};

/// What may be deleted while it is made. Revisions are data: who deletes one of those begins anew, and that is another test.
const MADE: [&str; 10] =
    ["Job", "Pod", "ConfigMap", "Secret", "ServiceAccount", "Service", "Deployment", "PodDisruptionBudget", "NetworkPolicy", "Lease"];

/// One object of one kind that the operator has made.
fn victim(world: &World, kind: &'static str) -> Option<crate::store::Key> {
    let ours = |(_, object): &(crate::store::Key, Arc<Value>)| {
        kind == "Lease" || kind == "Pod" || label(object, "app.kubernetes.io/managed-by") == "tress-operator"
    };
    let mut all: Vec<_> = world.store.all(kind).into_iter().filter(ours).map(|(key, _)| key).collect();
    (!all.is_empty()).then(|| all.swap_remove(world.fate.one_of(all.len(), "victim")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_class_of_object_is_deleted_while_it_is_made_and_all_comes_to_its_end() {
    let world = World::begin("chaos", Mood::CALM).await;
    let operator = world.operator().await;
    world.define_signal(signal("rating")).await;
    world.define_feature(with(feature("recent", &["rating"]), "/spec/definition/lifecycle", json!("Experimental"))).await;
    let mut deleted = std::collections::BTreeMap::<&str, usize>::new();
    let limit = Instant::now() + PATIENCE;
    while deleted.values().sum::<usize>() < 40 || deleted.len() < 8 {
        assert!(Instant::now() < limit, "only this was there to be deleted: {deleted:?}");
        let kind = MADE[world.fate.one_of(MADE.len(), "kind")];
        if let Some(key) = victim(&world, kind) {
            world.delete(kind, &key.namespace, &key.name).await;
            *deleted.entry(kind).or_default() += 1;
        }
        tokio::time::sleep(world.fate.takes(Duration::from_millis(300), "pause")).await;
    }
    world.until("it is Ready", |_| world.is_ready("SequenceFeature", "recent")).await;
    let first = world.live("recent");
    world.define_signal(wider(signal("rating"))).await;
    world.until("a change is live", |_| world.is_updated("recent") && world.live("recent") != first).await;
    assert!(operator.is_running());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_comes_again_as_it_was_when_it_is_deleted() {
    let (world, _operator) = live("restored").await;
    let (first, epoch) = (world.live("recent"), world.routes()["recent"].epoch);
    let at = world.at("movies");
    for kind in ["Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "ConfigMap", "Secret", "ServiceAccount"] {
        // The plan of a revision is read once: what was prepared needs it no more.
        let is_plan = |object: &Value| object["data"].get("plan.json").is_some();
        let ours = world.store.all(kind).into_iter().filter(|(key, object)| {
            key.namespace == at && label(object, "app.kubernetes.io/managed-by") == "tress-operator" && !is_plan(object)
        });
        for (key, object) in ours.collect::<Vec<_>>() {
            world.delete(kind, &at, &key.name).await;
            let again = |now: &crate::store::Store| {
                now.get(kind, &at, &key.name).is_some_and(|now| now["metadata"]["uid"] != object["metadata"]["uid"])
            };
            world.until(&format!("{key} is there again"), again).await;
        }
    }
    world.until("it is Ready", |_| world.is_ready("SequenceFeature", "recent")).await;
    world.until("pods have the route", |_| world.routes().get("recent").is_some_and(|route| route.live.is_some())).await;
    assert_eq!((world.live("recent"), world.attempts("recent").len()), (first, 1), "no attempt is made of it");
    assert!(world.routes()["recent"].epoch > epoch, "a route that was lost gets a new epoch");
    world.finish().await;
}
