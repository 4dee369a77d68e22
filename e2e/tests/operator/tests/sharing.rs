//! One signal, many readers.

use serde_json::json;

use crate::definitions::{feature, signal, with};
use crate::fate::Mood;
use crate::store::{items, number, text};
use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_is_streamed_once_for_all_its_features_of_all_namespaces() {
    let world = World::begin("shared", Mood::CALM).await;
    world.namespace("ranking").await;
    let mut start = world.start();
    start.namespaces.push(world.at("ranking"));
    let _operator = world.operator_with(&start, crate::process::calm()).await;
    let ranking = world.at("ranking");
    let read_there = json!([{"name": "rating", "namespace": world.at("movies")}]);
    let theirs = with(feature("theirs", &[]), "/spec/definition/signals", read_there);
    world.apply("SequenceFeature", &ranking, theirs).await;
    world.define_signal(signal("rating")).await;
    world.define_feature(feature("recent", &["rating"])).await;
    world.define_feature(with(feature("longer", &["rating"]), "/spec/definition/length", json!(100))).await;
    for name in ["recent", "longer"] {
        world.until("features of its namespace are Ready", |_| world.is_ready("SequenceFeature", name)).await;
    }
    let there = |what: &str| world.condition_at("SequenceFeature", "ranking", "theirs", what);
    assert_ne!(there("Ready").0, "True", "it is not shared with them");
    let used = || world.get("SignalDefinition", "rating").unwrap()["status"]["usedBy"].clone();
    assert_eq!(number(&used(), "/count"), Some(2), "who is not let in is no reader: {}", used());
    world.define_signal(with(signal("rating"), "/spec/definition/sharedWith", json!([ranking]))).await;
    world.until("theirs is Ready", |_| there("Ready").0 == "True").await;

    assert_eq!(world.store.all("SignalRevision").len(), 1);
    assert_eq!(world.store.all("SequenceRevision").len(), 3);
    let streams = world.store.all("Deployment").into_iter().filter(|(_, d)| crate::store::label(d, "tress.dev/role") == "stream");
    assert_eq!(streams.map(|(key, _)| key.namespace).collect::<Vec<_>>(), [world.at("movies")]);
    let (_, revision) = world.store.all("SignalRevision").remove(0);
    let demands = &revision["status"]["demands"];
    assert_eq!(number(demands, "/covered"), number(demands, "/number"));
    let base = world.lake.lock().unwrap().data[crate::store::uid(&revision)].base.clone().unwrap();
    assert_eq!(base.features.len(), 3, "base is made for all of them");
    assert_eq!((number(&used(), "/count"), items(&used(), "/names").len()), (Some(3), 3), "{}", used());

    // Two go: the third reads on.
    world.delete("SequenceFeature", &world.at("movies"), "recent").await;
    world.delete("SequenceFeature", &world.at("movies"), "longer").await;
    world.until("their routes have gone", |_| world.routes().is_empty()).await;
    world.rest(std::time::Duration::from_millis(500)).await;
    assert_eq!(world.store.all("SignalRevision").len(), 1);
    assert!(!world.stream("rating").is_empty());
    assert_eq!(text(&world.store.all("SignalRevision")[0].1, "/status/use"), "Running");
    // Sharing ends: what is live stays.
    world.define_signal(signal("rating")).await;
    world.rest(std::time::Duration::from_millis(500)).await;
    assert_eq!(there("Available").0, "True");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_that_nobody_reads_is_prepared_and_archived_and_says_so() {
    let world = World::begin("unused", Mood::CALM).await;
    let _operator = world.operator().await;
    world.define_signal(signal("rating")).await;
    world
        .until("it is Ready", |_| world.condition("SignalDefinition", "rating", "Ready") == ("True".to_owned(), "Unused".to_owned()))
        .await;
    world.rest(std::time::Duration::from_millis(500)).await;
    let roles: Vec<String> =
        world.store.all("Deployment").iter().map(|(_, d)| crate::store::label(d, "tress.dev/role").to_owned()).collect();
    assert!(roles.contains(&"archive".to_owned()) && !roles.contains(&"stream".to_owned()), "{roles:?}");
    assert!(world.store.all("Backfill").is_empty());
    world.finish().await;
}
