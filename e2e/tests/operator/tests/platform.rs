//! The platform's configuration: bad ones are told, and the last good one stays in force.

use std::time::Duration;

use serde_json::{Value, json};

use super::edits::live;
use crate::definitions::{feature, signal, with};
use crate::fate::Mood;
use crate::store::Store;
use crate::world::{World, platform};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_cannot_be_used_is_told_and_the_last_good_one_stays_also_after_a_restart() {
    let (world, operator) = live("bad").await;
    world.until("the good one is kept", |store| store.get("ConfigMap", &world.at("system"), "tress-platform-good").is_some()).await;
    world.platform("connections: {main: {kafka: {}}}\n").await;
    let told = |store: &crate::store::Store| {
        store.all("Event").iter().any(|(_, e)| crate::store::text(e, "/type") == "Warning" && e.to_string().contains("tress-platform"))
    };
    world.until("it is told", told).await;
    world.define_feature(feature("next", &["rating"])).await;
    world.until("the last good one is in force", |_| world.is_ready("SequenceFeature", "next")).await;
    assert_eq!(operator.stop().await, Some(0));
    let again = world.operator().await;
    world.define_feature(feature("third", &["rating"])).await;
    world.until("it is in force after a restart, too", |_| world.is_ready("SequenceFeature", "third")).await;
    // One that can be used takes its place, without a restart.
    world.platform(&platform().replace("replicas: 2", "replicas: 3")).await;
    let replicas = || world.get("Deployment", "tress-default").unwrap()["spec"]["replicas"].clone();
    world.until("the new one is in force", |_| replicas() == 3).await;
    assert!(again.is_running());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_configuration_the_operator_waits_for_one() {
    let world = World::begin("none", Mood::CALM).await;
    world.delete("ConfigMap", &world.at("system"), "tress-platform").await;
    let operator = world.operator().await;
    world.define_signal(signal("rating")).await;
    world.define_feature(feature("recent", &["rating"])).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(world.store.all("SignalRevision").is_empty());
    // It may end, to be started again by its Deployment.
    let operator = if operator.is_running() { operator } else { world.operator().await };
    world.platform(&platform()).await;
    let operator = if operator.is_running() { operator } else { world.operator().await };
    world.until("it is Ready", |_| world.is_ready("SequenceFeature", "recent")).await;
    assert!(operator.is_running());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_engine_comes_to_everything_also_where_the_definition_is_gone() {
    let (world, operator) = live("engine").await;
    world.define_signal(with(signal("rating"), "/spec/runtime/stream/replicas", json!(3))).await;
    let stream = world.stream("rating");
    let replicas = || world.get("Deployment", &stream).unwrap()["spec"]["replicas"].clone();
    world.until("three pods stream", |_| replicas() == 3).await;
    let image = |deployment: &Value| deployment["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    let run = |store: &Store, wanted: &str| {
        let all = store.all("Deployment");
        all.len() == 3 && all.iter().all(|(_, deployment)| image(deployment) == wanted)
    };
    world.until("stream, archive and pool run", |store| run(store, "tress-engine:test")).await;
    world.delete("SignalDefinition", &world.at("movies"), "rating").await;
    world.rest(Duration::from_millis(700)).await;
    world.platform(&platform().replace("tress-engine:test", "tress-engine:next")).await;
    world.until("all have the new engine", |store| run(store, "tress-engine:next")).await;
    assert_eq!(replicas(), 3, "it runs as its definition said");
    world.rest(Duration::from_millis(700)).await;
    assert_eq!(world.condition("SequenceFeature", "recent", "Available").0, "True");
    assert!(operator.is_running());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_a_namespace_may_not_use_stops_what_names_it_and_a_change_of_secrets_alone_rolls_pods() {
    let (world, _operator) = live("connections").await;
    let pool = || world.get("Deployment", "tress-default").unwrap();
    let generation = || pool()["metadata"]["generation"].clone();
    let before = generation();
    // Another address: pods read it from their mounted file.
    world.platform(&platform().replace("kafka:9092", "kafka-new:9092")).await;
    let connections = || world.get("ConfigMap", "tress-connections").unwrap()["data"].to_string();
    world.until("the file of the namespace says so", |_| connections().contains("kafka-new")).await;
    world.rest(Duration::from_millis(500)).await;
    assert_eq!(generation(), before);
    // A secret more: it has to be mounted.
    world.platform(&platform().replace("url: 's3://bucket/lake'", "url: 's3://bucket/lake', credentialsSecret: lake-key")).await;
    world.until("pods mount it", |_| pool().to_string().contains("lake-key")).await;
    assert_ne!(generation(), before);
    world
        .platform(
            &platform().replace("bootstrap: ['kafka:9092']}, namespaces: ['*']", "bootstrap: ['kafka:9092']}, namespaces: [elsewhere]"),
        )
        .await;
    world.define_signal(crate::definitions::wider(signal("other"))).await;
    let refused = || world.condition("SignalDefinition", "other", "Compiled");
    world.until("it may not be used", |_| refused() == ("False".to_owned(), "ConnectionNotAllowed".to_owned())).await;
    assert_eq!(world.condition("SequenceFeature", "recent", "Available").0, "True");
    world.finish().await;
}
