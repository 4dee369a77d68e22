//! Writes: seen at once, made once, repaired, of one object.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tress_crds::SequenceFeature;
use tress_operator::apply::Wrote;
use tress_operator::clock::Clock;
use tress_operator::control::Store;
use tress_operator::error::Error;
use tress_operator::event::{Events, Tone};
use tress_operator::label::{self, Role};
use tress_operator::leader::Leadership;
use tress_operator::workload::{Owner, Place, Pool, disruption, network, pool, pool_service, service_account};

use crate::server::{Parts, client, namespace, until};

fn map(namespace: &str, name: &str) -> ConfigMap {
    let labels = label::labels(Role::Serve, "x").into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let metadata =
        ObjectMeta { name: Some(name.to_owned()), namespace: Some(namespace.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
    ConfigMap { metadata, ..ConfigMap::default() }
}

fn with(map: &ConfigMap, value: &str) -> ConfigMap {
    ConfigMap { data: Some(BTreeMap::from([("k".to_owned(), value.to_owned())])), ..map.clone() }
}

fn value_of(map: &ConfigMap) -> Option<&str> {
    map.data.as_ref()?.get("k").map(String::as_str)
}

#[tokio::test]
async fn every_own_write_is_seen_as_soon_as_it_is_answered() {
    let admin = client().await;
    namespace(&admin, "overlay").await;
    let parts = Parts::leading("overlay").await;
    let mut known = parts.writer.create(&map("overlay", "a")).await.unwrap();
    for n in 0..40 {
        let put = parts.writer.replace(&with(&known, &n.to_string())).await.unwrap();
        known = parts.cluster.maps.get("overlay", "a").unwrap();
        assert_eq!((known.resource_version(), value_of(&known)), (put.resource_version(), Some(n.to_string().as_str())));
        assert_eq!(parts.cluster.maps.made_for("overlay", "x").len(), 1);
    }
    parts.writer.delete(&*known).await.unwrap();
    assert!(parts.cluster.maps.get("overlay", "a").is_none());
    // And what comes in from the watch afterwards brings nothing back.
    let again = parts.writer.create(&map("overlay", "b")).await.unwrap();
    until("the watch has come to the last write", async || parts.cluster.maps.get("overlay", "b").is_some()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let names: Vec<String> = parts.cluster.maps.within("overlay").iter().map(|m| m.name_any()).collect();
    assert_eq!(names, ["b"]);
    assert_eq!(parts.cluster.maps.get("overlay", "b").unwrap().uid(), again.uid());
}

#[tokio::test]
async fn a_delete_means_the_object_that_was_seen_and_none_that_has_its_name_now() {
    let admin = client().await;
    namespace(&admin, "uids").await;
    let parts = Parts::leading("uids").await;
    let first = parts.writer.create(&map("uids", "a")).await.unwrap();
    let api: Api<ConfigMap> = Api::namespaced(admin, "uids");
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let second = api.create(&PostParams::default(), &map("uids", "a")).await.unwrap();
    parts.writer.delete(&*first).await.unwrap();
    assert_eq!(api.get("a").await.unwrap().uid(), second.uid());
    until("the second is seen", async || parts.cluster.maps.get("uids", "a").is_some_and(|m| m.uid() == second.uid())).await;
    parts.writer.delete(&second).await.unwrap();
    assert!(api.get_opt("a").await.unwrap().is_none());
    parts.writer.delete(&second).await.unwrap();
}

#[tokio::test]
async fn whoever_was_first_is_not_overwritten_and_what_is_said_already_is_not_written() {
    let admin = client().await;
    namespace(&admin, "first").await;
    let parts = Parts::leading("first").await;
    let made = parts.writer.create(&map("first", "a")).await.unwrap();
    let api: Api<ConfigMap> = Api::namespaced(admin.clone(), "first");
    api.replace("a", &PostParams::default(), &with(&made, "theirs")).await.unwrap();
    assert!(matches!(parts.writer.replace(&with(&made, "ours")).await, Err(Error::Conflict)));
    assert!(matches!(parts.writer.replace(&map("first", "a")).await, Err(Error::Conflict)));
    assert_eq!(value_of(&api.get("a").await.unwrap()), Some("theirs"));
    // Made once: the one that is there is given back.
    assert_eq!(parts.writer.create(&map("first", "a")).await.unwrap().uid(), made.uid());

    let feature: SequenceFeature = serde_json::from_value(json!({
        "apiVersion": "tress.dev/v1alpha1", "kind": "SequenceFeature", "metadata": {"name": "f", "namespace": "first"},
        "spec": {"definition": {"signals": [{"name": "s"}], "length": 10}},
    }))
    .unwrap();
    let features: Api<SequenceFeature> = Api::namespaced(admin, "first");
    let made = features.create(&PostParams::default(), &feature).await.unwrap();
    let mut status = made.status.clone().unwrap_or_default();
    (status.observed_generation, status.last_stable) = (Some(1), Some("f-1".to_owned()));
    parts.writer.status(&made, &status).await.unwrap();
    let seen = parts.cluster.features.get("first", "f").unwrap();
    assert_eq!((seen.status.as_ref(), seen.spec == made.spec), (Some(&status), true));
    let written = parts.metrics.writes("SequenceFeature", "status");
    parts.writer.status(&*seen, &status).await.unwrap();
    assert_eq!((written, parts.metrics.writes("SequenceFeature", "status")), (1, 1));
    // What a field held is gone when it is said no more.
    status.last_stable = None;
    parts.writer.status(&*seen, &status).await.unwrap();
    assert_eq!(features.get("f").await.unwrap().status.unwrap().last_stable, None);
    assert!(matches!(parts.writer.status(&made, &status).await, Err(Error::Conflict)));
    features.delete("f", &DeleteParams::default()).await.unwrap();
    assert!(matches!(parts.writer.status(&made, &status).await, Err(Error::Conflict)));
}

/// Everything around a pool, as it is rendered.
fn rendered(namespace: &str, image: &str) -> Vec<Value> {
    let place = Place { namespace: namespace.to_owned(), image: image.to_owned(), secrets: vec!["lake".to_owned()] };
    let owner = Owner { kind: "ConfigMap", name: "default".to_owned(), uid: "11111111-2222-3333-4444-555555555555".to_owned() };
    let serving = Pool { name: "default".to_owned(), replicas: 2, disk: "20480Mi".to_owned(), memory: 2 << 30 };
    let [service, pods] = pool_service(&place, "default");
    vec![
        service_account(namespace, &json!({})),
        service,
        pods,
        disruption(&place, Role::Serve, ("tress-default", &owner), 2).unwrap(),
        network(&place, Role::Serve, ("tress-default", &owner), &[7400, 7401, 7402]),
        network(&place, Role::Stream, ("closed", &owner), &[]),
        pool(&place, &serving),
    ]
}

#[tokio::test]
async fn the_same_inputs_write_nothing_however_they_are_rendered_and_also_by_a_process_that_has_just_begun() {
    let admin = client().await;
    namespace(&admin, "inputs").await;
    let parts = Parts::leading("inputs").await;
    for object in rendered("inputs", "engine:1") {
        assert_eq!(parts.writer.ensure(object.clone(), "one").await.unwrap(), Wrote::Created, "{object}");
    }
    let other = Parts::leading("inputs").await;
    for parts in [&parts, &other] {
        let before = parts.metrics.text();
        for object in rendered("inputs", "engine:2") {
            assert_eq!(parts.writer.ensure(object.clone(), "one").await.unwrap(), Wrote::Nothing, "{object}");
        }
        let writes = |text: &str| text.lines().filter(|l| l.starts_with("tress_operator_writes")).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(writes(&before), writes(&parts.metrics.text()));
    }
    let all = rendered("inputs", "engine:2");
    let deployment = all.last().unwrap();
    assert_eq!(other.writer.ensure(deployment.clone(), "two").await.unwrap(), Wrote::Applied);
    let api: Api<Deployment> = Api::namespaced(admin, "inputs");
    assert_eq!(image_of(&api.get("tress-default").await.unwrap()), Some("engine:2".to_owned()));
}

fn image_of(deployment: &Deployment) -> Option<String> {
    deployment.spec.as_ref()?.template.spec.as_ref()?.containers.first()?.image.clone()
}

#[tokio::test]
async fn what_has_drifted_gets_its_own_manifest_again_and_no_new_rendering() {
    let admin = client().await;
    namespace(&admin, "drift").await;
    let parts = Parts::leading("drift").await;
    let deployment = |image: &str| rendered("drift", image).pop().unwrap();
    parts.writer.ensure(deployment("engine:1"), "one").await.unwrap();
    let api: Api<Deployment> = Api::namespaced(admin, "drift");
    let meddle = json!({"spec": {"replicas": 7, "template": {"spec": {"containers": [{"name": "engine", "image": "theirs:1"}]}}}});
    let theirs = api.patch("tress-default", &PatchParams::default(), &Patch::Strategic(&meddle)).await.unwrap();
    assert_eq!(image_of(&theirs).as_deref(), Some("theirs:1"));
    until("the drift is repaired", async || parts.writer.ensure(deployment("engine:2"), "one").await.unwrap() == Wrote::Repaired).await;
    let found = api.get("tress-default").await.unwrap();
    assert_eq!((image_of(&found).as_deref(), found.spec.as_ref().unwrap().replicas), (Some("engine:1"), Some(2)));
    assert_eq!(parts.writer.ensure(deployment("engine:2"), "one").await.unwrap(), Wrote::Nothing);
    // What nobody of ours speaks of is everybody's.
    let label = json!({"metadata": {"labels": {"team": "theirs"}}});
    let labelled = api.patch("tress-default", &PatchParams::default(), &Patch::Merge(&label)).await.unwrap();
    until("the label is seen", async || {
        let seen = parts.cluster.deployments.get("drift", "tress-default").unwrap();
        seen.resource_version() == labelled.resource_version()
    })
    .await;
    assert_eq!(parts.writer.ensure(deployment("engine:2"), "one").await.unwrap(), Wrote::Nothing);
}

#[tokio::test]
async fn somebody_elses_object_is_left_alone_and_told() {
    let admin = client().await;
    namespace(&admin, "theirs").await;
    let parts = Parts::leading("theirs").await;
    let api: Api<Secret> = Api::namespaced(admin, "theirs");
    let metadata = ObjectMeta { name: Some("tress-control".to_owned()), ..ObjectMeta::default() };
    api.create(&PostParams::default(), &Secret { metadata, ..Secret::default() }).await.unwrap();
    let ours = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tress-control", "namespace": "theirs",
        "labels": label::labels(Role::Serve, "tress-control")}, "data": {}});
    // The caches show every Secret of this name, whoever made it; of maps they show ours alone.
    until("theirs is seen", async || parts.cluster.secrets.get("theirs", "tress-control").is_some()).await;
    let maps: Api<ConfigMap> = Api::namespaced(parts.client.clone(), "theirs");
    let map = ConfigMap { metadata: ObjectMeta { name: Some("a".to_owned()), ..ObjectMeta::default() }, ..ConfigMap::default() };
    maps.create(&PostParams::default(), &map).await.unwrap();
    let our_map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "theirs",
        "labels": label::labels(Role::Serve, "a")}});
    for (object, named) in [(ours, "Secret theirs/tress-control"), (our_map, "ConfigMap theirs/a")] {
        let error = parts.writer.ensure(object, "one").await.unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("rename or delete it"), "{error}");
    }
    assert!(maps.get("a").await.unwrap().labels().is_empty());
}

#[tokio::test]
async fn nothing_is_written_when_less_of_the_lease_is_left_than_a_call_may_take() {
    let admin = client().await;
    namespace(&admin, "guard").await;
    for leadership in [Leadership::default(), Leadership::for_a_while(Duration::from_secs(4))] {
        let parts = Parts::with("guard", leadership).await;
        assert!(matches!(parts.writer.create(&map("guard", "a")).await, Err(Error::NotLeader)));
        assert!(matches!(parts.writer.ensure(rendered("guard", "e").remove(0), "one").await, Err(Error::NotLeader)));
        assert!(matches!(parts.writer.delete(&map("guard", "a")).await, Err(Error::NotLeader)));
    }
    let api: Api<ConfigMap> = Api::namespaced(admin, "guard");
    assert!(api.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn an_authority_is_made_once_and_found_again() {
    let admin = client().await;
    namespace(&admin, "authority").await;
    let parts = Parts::leading("authority").await;
    let store = Store { namespace: "authority".to_owned(), writer: parts.writer.clone(), clock: Clock::system() };
    let first = store.load().await.unwrap();
    assert_eq!((store.load().await.unwrap() == first, first.bundle().contains("BEGIN CERTIFICATE")), (true, true));
    // Whoever leads next has the same.
    let next = Parts::leading("authority").await;
    let store = Store { writer: next.writer.clone(), ..store };
    assert!(store.load().await.unwrap() == first);
    assert_eq!(next.metrics.writes("Secret", "replace") + next.metrics.writes("Secret", "create"), 0);
}

#[tokio::test]
async fn people_are_told_once() {
    let admin = client().await;
    namespace(&admin, "told").await;
    let parts = Parts::leading("told").await;
    let (events, scribe) = Events::new(&parts.metrics, &Clock::system());
    let stop = CancellationToken::new();
    let writing = tokio::spawn(scribe.run(parts.writer.clone(), "one".to_owned(), stop.clone()));
    let about = parts.writer.create(&map("told", "a")).await.unwrap();
    for note in ["first", "first", "second"] {
        events.say(&*about, Tone::Warning, "Invalid", note);
    }
    let api: Api<Event> = Api::namespaced(admin, "told");
    let notes = async || {
        let all = api.list(&ListParams::default()).await.unwrap();
        let mut notes: Vec<String> = all.items.into_iter().filter_map(|event| event.note).collect();
        notes.sort();
        notes
    };
    until("all are written", async || notes().await.len() == 2).await;
    assert_eq!(notes().await, ["first", "second"]);
    stop.cancel();
    writing.await.unwrap();
}
