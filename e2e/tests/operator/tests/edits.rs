//! Changes of what is live.

use serde_json::json;

use crate::definitions::{feature, filtered, mistaken, narrower, signal, wider, with};
use crate::fate::Mood;
use crate::process::Operator;
use crate::store::{number, text};
use crate::world::World;

/// `rating` and `recent`, Ready.
pub async fn live(name: &str) -> (World, Operator) {
    let world = World::begin(name, Mood::CALM).await;
    let operator = world.operator().await;
    world.define_signal(signal("rating")).await;
    world.define_feature(feature("recent", &["rating"])).await;
    world.until("the first deploy is Ready", |_| world.is_settled("recent")).await;
    (world, operator)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compatible_change_replaces_what_is_live_and_taking_it_back_would_break_readers() {
    let (world, _operator) = live("compatible").await;
    let first = world.live("recent");
    world.define_signal(wider(signal("rating"))).await;
    world.until("the change is live", |_| world.is_settled("recent") && world.live("recent") != first).await;
    assert_eq!(world.attempts("recent"), [(1, "Succeeded".to_owned()), (2, "Succeeded".to_owned())]);
    let second = world.live("recent");
    world.define_signal(signal("rating")).await;
    // A revision that is there already is accepted again: it is the feature that says what readers would miss.
    let refused =
        |kind| world.condition(kind, if kind == "SequenceFeature" { "recent" } else { "rating" }, "SchemaCompatible").0 == "False";
    world.until("it is refused", |_| refused("SignalDefinition") || refused("SequenceFeature")).await;
    assert_eq!((world.live("recent"), world.attempts("recent").len()), (second, 2));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_taken_back_brings_the_same_revision_back() {
    let (world, _operator) = live("revert").await;
    world.define_feature(with(feature("recent", &["rating"]), "/spec/definition/lifecycle", json!("Experimental"))).await;
    let first = world.live("recent");
    world.define_signal(filtered(signal("rating"), "2.0")).await;
    world.until("the change is live", |_| world.is_settled("recent") && world.live("recent") != first).await;
    world.define_signal(signal("rating")).await;
    world.until("the revert is live", |_| world.is_settled("recent") && world.live("recent") == first).await;
    assert_eq!(world.attempts("recent").len(), 3);
    assert_eq!(world.repeated(), Vec::<String>::new(), "what was prepared stays prepared");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_behavioural_change_needs_a_comparison_unless_it_is_forced_or_experimental() {
    let (world, _operator) = live("behavioural").await;
    let first = world.live("recent");
    world.define_signal(filtered(signal("rating"), "1.0")).await;
    world.until("it is inconclusive", |_| world.attempts("recent").last() == Some(&(2, "Inconclusive".to_owned()))).await;
    assert_eq!(world.live("recent"), first);
    assert_eq!(world.condition("SequenceFeature", "recent", "Available").0, "True");
    world.until("the trial has stopped", |_| world.routes()["recent"].trial.is_none()).await;
    // It waits for a person.
    let held = text(&world.get("SequenceRollout", "recent-2").unwrap(), "/spec/target/revision").to_owned();
    world.merge("SequenceFeature", &world.at("movies"), "recent", json!({"metadata": {"annotations": {"tress.dev/force": held}}})).await;
    let retry = json!({"spec": {"intent": {"action": "Retry", "nonce": "1"}}});
    world.merge("SequenceRollout", &world.at("movies"), "recent-2", retry).await;
    world.until("what was forced is live", |_| world.live("recent") == held).await;
    let forced = |event: &serde_json::Value| text(event, "/reason") == "Forced" && text(event, "/message").contains(&held);
    world.until("an Event tells of it", |store| store.all("Event").iter().filter(|(_, event)| forced(event)).count() == 1).await;
    // Without gates it goes by itself.
    let experimental = with(feature("recent", &["rating"]), "/spec/definition/lifecycle", json!("Experimental"));
    world.define_feature(experimental).await;
    world.define_signal(filtered(signal("rating"), "2.0")).await;
    world.until("the next is live", |_| world.is_updated("recent") && world.live("recent") != held).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breaking_change_of_a_signal_is_refused_and_a_new_version_runs_beside_the_old_one() {
    let (world, _operator) = live("breaking").await;
    let first = world.live("recent");
    world.define_signal(narrower(signal("rating"))).await;
    world.until("it is refused", |_| world.condition("SignalDefinition", "rating", "SchemaCompatible").0 == "False").await;
    world
        .until("it is stalled", |_| world.condition("SignalDefinition", "rating", "Stalled") == ("True".to_owned(), "Breaking".to_owned()))
        .await;
    assert_eq!(world.live("recent"), first);
    let second = with(narrower(signal("rating")), "/spec/definition/schemaVersion", json!(2));
    world.define_signal(second).await;
    world.until("the new version is Ready", |_| world.is_ready("SignalDefinition", "rating")).await;
    let reads = |version: i64| json!([{"name": "rating", "schemaVersion": version}]);
    world.define_feature(with(feature("newer", &["rating"]), "/spec/definition/signals", reads(2))).await;
    world.until("a feature of the new version is Ready", |_| world.is_ready("SequenceFeature", "newer")).await;
    assert_eq!(world.live("recent"), first, "readers of the old version are left alone");
    assert_eq!(world.store.all("SignalRevision").len(), 2);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_change_the_data_starts_nothing_and_runtime_changes_in_place() {
    let (world, operator) = live("inplace").await;
    let (revisions, deployments) = (world.versions("SignalRevision"), world.store.all("Deployment").len());
    let described = with(signal("rating"), "/spec/definition/description", json!("What a user rated."));
    world.define_signal(with(described.clone(), "/spec/runtime/stream/replicas", json!(3))).await;
    world.define_feature(with(feature("recent", &["rating"]), "/spec/definition/description", json!("Newest first."))).await;
    let stream = world.stream("rating");
    let replicas = || number(&world.get("Deployment", &stream).unwrap(), "/spec/replicas");
    world.until("three pods stream", |_| replicas() == Some(3)).await;
    let told = || world.routes()["recent"].about.clone().map(|about| about.description);
    world.until("pods are told what people say of it", |_| told().as_deref() == Some("Newest first.")).await;
    world.until("it is Ready", |_| world.is_ready("SignalDefinition", "rating") && world.is_ready("SequenceFeature", "recent")).await;
    assert_eq!(world.attempts("recent"), [(1, "Succeeded".to_owned())]);
    assert_eq!((world.versions("SignalRevision").len(), world.store.all("Deployment").len()), (revisions.len(), deployments));
    let resources = json!({"limits": {"memory": "1Gi"}});
    world.define_signal(with(described, "/spec/runtime/stream/resources", resources)).await;
    let memory =
        || world.get("Deployment", &stream).unwrap()["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"].clone();
    world.until("pods have the memory", |_| memory() == "1Gi" && replicas() == Some(1)).await;
    assert!(operator.is_running());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_in_what_is_live_is_told_and_readers_notice_nothing() {
    let (world, _operator) = live("mistake").await;
    let first = world.live("recent");
    world.define_signal(mistaken(signal("rating"))).await;
    world.until("it is told", |_| world.condition("SignalDefinition", "rating", "Ready").0 == "False").await;
    assert!(world.condition_message("SignalDefinition", "rating", "Compiled").contains("ratng"));
    world.define_feature(with(feature("recent", &["rating"]), "/spec/definition/length", json!(20))).await;
    world.rest(std::time::Duration::from_secs(1)).await;
    assert_eq!(world.live("recent"), first);
    assert_eq!(world.condition("SequenceFeature", "recent", "Available").0, "True");
    assert_eq!(world.attempts("recent").len(), 1, "nothing is attempted while a definition that it needs has mistakes");
    world.define_signal(signal("rating")).await;
    world.until("the signal is Ready again", |_| world.is_ready("SignalDefinition", "rating")).await;
    world.until("the feature follows", |_| world.attempts("recent").len() == 2).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_is_paused_aborted_and_superseded_by_those_who_may() {
    let (world, _operator) = live("intents").await;
    let (first, at) = (world.live("recent"), world.at("movies"));
    // The new revision cannot be prepared: there is time.
    world.lake.lock().unwrap().missing.insert("elsewhere".to_owned());
    let moved = with(signal("rating"), "/spec/definition/source/stream/topic", json!("elsewhere"));
    world.define_feature(with(feature("recent", &["rating"]), "/spec/definition/lifecycle", json!("Experimental"))).await;
    world.define_signal(moved).await;
    let intend = async |attempt: &str, action: &str, nonce: &str| {
        let patch = json!({"spec": {"intent": {"action": action, "nonce": nonce}}});
        world.merge("SequenceRollout", &at, attempt, patch).await;
        let handled = || text(&world.get("SequenceRollout", attempt).unwrap(), "/status/handled").to_owned();
        world.until(&format!("{action} is heeded"), |_| handled() == nonce).await;
    };
    world.until("it prepares", |_| world.attempts("recent").last() == Some(&(2, "Preparing".to_owned()))).await;
    intend("recent-2", "Pause", "a").await;
    world.lake.lock().unwrap().missing.clear();
    world.rest(std::time::Duration::from_secs(1)).await;
    assert_eq!(world.attempts("recent").last(), Some(&(2, "Preparing".to_owned())), "it is paused");
    intend("recent-2", "Abort", "b").await;
    world.until("it is aborted", |_| world.attempts("recent").last() == Some(&(2, "Aborted".to_owned()))).await;
    world.rest(std::time::Duration::from_millis(500)).await;
    assert_eq!((world.attempts("recent").len(), world.live("recent")), (2, first.clone()), "the same is not tried again by itself");
    // Something newer is declared while an attempt goes on.
    world.lake.lock().unwrap().missing.insert("nowhere".to_owned());
    world.define_signal(with(signal("rating"), "/spec/definition/source/stream/topic", json!("nowhere"))).await;
    world.until("the next prepares", |_| world.attempts("recent").last() == Some(&(3, "Preparing".to_owned()))).await;
    world.define_signal(wider(signal("rating"))).await;
    world.until("it is overtaken", |_| world.attempts("recent").contains(&(3, "Superseded".to_owned()))).await;
    world.until("the newest is live", |_| world.is_updated("recent") && world.live("recent") != first).await;
    world.finish().await;
}
