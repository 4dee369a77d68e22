//! What goes, and what stays.

use std::time::Duration;

use serde_json::json;
use tress_configs::job::Role;
use tress_e2e::apiserver::ApiServer;

use super::edits::live;
use crate::definitions::{feature, mistaken, signal, with};
use crate::engine::lake::Lake;
use crate::fate::Mood;
use crate::process::{Start, calm};
use crate::proxy::Call;
use crate::world::World;

/// Everything that was made for definitions.
const MADE: [&str; 5] = ["SignalRevision", "SequenceRevision", "SequenceRollout", "Backfill", "Job"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_ends_and_its_data_stays_where_it_is_to_be_retained() {
    let (world, _operator) = live("retain").await;
    let at = world.at("movies");
    world.delete("SignalDefinition", &at, "rating").await;
    world.rest(Duration::from_millis(700)).await;
    assert!(world.routes()["recent"].live.is_some(), "a definition that goes does not end what is read");
    assert_eq!(world.condition("SequenceFeature", "recent", "Available").0, "True");
    assert_eq!(world.store.all("SignalRevision").len(), 1);
    world.delete("SequenceFeature", &at, "recent").await;
    world.until("all that was made has gone", |store| MADE.iter().all(|kind| store.all(kind).is_empty())).await;
    let streams = |store: &crate::store::Store| {
        store.all("Deployment").iter().filter(|(_, d)| crate::store::label(d, "tress.dev/role") != "serve").count()
    };
    world.until("nothing streams", |store| streams(store) == 0).await;
    assert!(world.routes().is_empty());
    let stays = |lake: &Lake| lake.effects.iter().all(|effect| effect.role != Role::Drop) && !lake.data.is_empty();
    assert!(stays(&world.lake.lock().unwrap()), "data stays");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_goes_with_its_definition_where_it_is_to_be_deleted_and_no_sooner_than_its_readers() {
    let world = World::begin("delete", Mood::CALM).await;
    let _operator = world.operator().await;
    let at = world.at("movies");
    world.define_signal(with(signal("rating"), "/spec/deletionPolicy", json!("Delete"))).await;
    world.define_feature(feature("recent", &["rating"])).await;
    world.until("it is Ready", |_| world.is_ready("SequenceFeature", "recent")).await;
    world.delete("SignalDefinition", &at, "rating").await;
    world.rest(Duration::from_millis(700)).await;
    assert!(!world.lake.lock().unwrap().data.is_empty(), "it is read");
    world.delete("SequenceFeature", &at, "recent").await;
    let dropped = || world.lake.lock().unwrap().data.is_empty();
    world.until_seen("its data has gone", async || dropped()).await;
    world.until("all that was made has gone", |store| MADE[..4].iter().all(|kind| store.all(kind).is_empty())).await;
    let home = world.at("system");
    world.until("no map of all connections is left", |store| store.get("ConfigMap", &home, "tress-connections-all").is_none()).await;
    assert!(world.repeated().is_empty(), "{:?}", world.repeated());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_that_comes_again_finds_its_revision_and_one_that_was_deleted_long_ago_begins_anew() {
    let (world, _operator) = live("again").await;
    let at = world.at("movies");
    let before = world.store.all("SignalRevision")[0].1["metadata"]["uid"].clone();
    world.delete("SignalDefinition", &at, "rating").await;
    world.define_signal(signal("rating")).await;
    world.until("it is Ready", |_| world.is_ready("SignalDefinition", "rating")).await;
    assert_eq!(world.store.all("SignalRevision")[0].1["metadata"]["uid"], before, "it is read, and adopted");
    world.delete("SequenceFeature", &at, "recent").await;
    world.delete("SignalDefinition", &at, "rating").await;
    world.until("all has gone", |store| MADE.iter().all(|kind| store.all(kind).is_empty())).await;
    world.define_signal(signal("rating")).await;
    world.define_feature(feature("recent", &["rating"])).await;
    world.until("it is Ready again", |_| world.is_ready("SequenceFeature", "recent")).await;
    assert_ne!(world.store.all("SignalRevision")[0].1["metadata"]["uid"], before, "new data for a new revision");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_goes_with_all_that_is_in_it_and_the_operator_goes_on() {
    let world = World::begin("namespace", Mood::CALM).await;
    world.namespace("other").await;
    let mut start = world.start();
    start.namespaces.push(world.at("other"));
    let operator = world.operator_with(&start, calm()).await;
    for namespace in ["movies", "other"] {
        world.apply("SignalDefinition", &world.at(namespace), signal("rating")).await;
        world.apply("SequenceFeature", &world.at(namespace), feature("recent", &["rating"])).await;
    }
    let ready = |namespace| world.condition_at("SequenceFeature", namespace, "recent", "Ready").0 == "True";
    world.until("both are Ready", |_| ready("movies") && ready("other")).await;
    let other = world.at("other");
    world.delete("Namespace", "", &other).await;
    world.until("it has gone", |store| store.get("Namespace", "", &other).is_none()).await;
    world.rest(Duration::from_millis(700)).await;
    assert!(operator.is_running() && ready("movies"));
    // What is made next is looked after.
    world.define_feature(with(feature("next", &["rating"]), "/spec/definition/length", json!(7))).await;
    world.until("the next is Ready", |_| world.is_ready("SequenceFeature", "next")).await;
    world.finish().await;
}

/// On a server of its own: all namespaces are watched, as it is where nobody names some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_told_in_a_namespace_that_is_being_deleted() {
    let mut world = World::on(&ApiServer::alone(), "leaving", Mood::CALM).await;
    let start = Start { namespaces: Vec::new(), ..world.start() };
    let operator = world.operator_with(&start, calm()).await;
    world.define_signal(signal("rating")).await;
    world.define_signal(mistaken(signal("watch"))).await;
    let told = |calls: &[Call], of: &str| calls.iter().filter(|c| c.writes() && c.path.contains(&format!("/{of}/events"))).count();
    let movies = world.at("movies");
    world.until_seen("a mistake is told", async || told(&operator.proxy.calls.all(), &movies) > 0).await;
    world.rest(Duration::from_millis(500)).await;
    // What is in it stays, as if something held it.
    world.still().await;
    world.delete("Namespace", "", &movies).await;
    world.rest(Duration::from_millis(500)).await;
    let before = operator.proxy.calls.all().len();
    world.merge("SignalDefinition", &movies, "rating", mistaken(signal("rating"))).await;
    world.until("it is refused", |_| world.condition("SignalDefinition", "rating", "Compiled").0 == "False").await;
    world.rest(Duration::from_millis(500)).await;
    assert_eq!(told(&operator.proxy.calls.all()[before..], &movies), 0, "events");
    assert!(operator.is_running());
    world.finish().await;
}

/// On a server of its own: the kinds are everybody's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_that_are_deleted_come_again_and_are_looked_after() {
    let server = ApiServer::alone();
    let world = World::on(&server, "kinds", Mood::CALM).await;
    let operator = world.operator().await;
    world.define_signal(signal("rating")).await;
    world.define_feature(feature("recent", &["rating"])).await;
    world.until("it is Ready", |_| world.is_ready("SequenceFeature", "recent")).await;
    server.kubectl(&["delete", "crd", "sequencefeatures.tress.dev", "--wait=true"]);
    world.until("features have gone", |store| store.all("SequenceFeature").is_empty()).await;
    world.rest(Duration::from_secs(1)).await;
    assert!(operator.is_running());
    // A kind that is missing says nothing of the others.
    world.until("the signal is Ready", |_| world.is_ready("SignalDefinition", "rating")).await;
    server.kinds();
    world.define_feature(feature("recent", &["rating"])).await;
    world.until("it is Ready again", |_| world.is_ready("SequenceFeature", "recent")).await;
    world.finish().await;
}
