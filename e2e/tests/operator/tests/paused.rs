//! What people hold, let go on, and try again.

use std::time::Duration;

use serde_json::{Value, json};

use super::edits::live;
use crate::definitions::{feature, filtered, signal, with};
use crate::fate::Mood;
use crate::store::text;
use crate::world::World;

const PAUSED: &str = "/spec/paused";

fn experimental() -> Value {
    with(feature("recent", &["rating"]), "/spec/definition/lifecycle", json!("Experimental"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_feature_attempts_nothing_and_a_paused_signal_becomes_nothing_until_they_go_on() {
    let (world, _operator) = live("paused").await;
    let first = world.live("recent");
    world.define_feature(with(experimental(), PAUSED, json!(true))).await;
    world.define_signal(filtered(signal("rating"), "1.0")).await;
    world.until("it says that it is paused", |_| world.condition("SequenceFeature", "recent", "Updated").1 == "Paused").await;
    world.rest(Duration::from_secs(1)).await;
    assert_eq!((world.live("recent"), world.attempts("recent").len()), (first.clone(), 1));
    assert_eq!(world.condition("SequenceFeature", "recent", "Available").0, "True", "what is live goes on");
    world.define_feature(experimental()).await;
    world.until("it goes on", |_| world.is_settled("recent") && world.live("recent") != first).await;

    let (second, revisions) = (world.live("recent"), world.store.all("SignalRevision").len());
    world.define_signal(with(filtered(signal("rating"), "2.0"), PAUSED, json!(true))).await;
    world.until("it says that it is paused", |_| world.condition("SignalDefinition", "rating", "Ready").1 == "Paused").await;
    world.rest(Duration::from_secs(1)).await;
    assert_eq!((world.live("recent"), world.store.all("SignalRevision").len()), (second.clone(), revisions));
    world.define_signal(filtered(signal("rating"), "2.0")).await;
    world.until("it goes on", |_| world.is_settled("recent") && world.live("recent") != second).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_was_paused_goes_on_and_one_that_failed_is_made_again_only_when_somebody_says_so() {
    let world = World::begin("retry", Mood::CALM).await;
    let _operator = world.operator().await;
    let at = world.at("movies");
    world.lake.lock().unwrap().contradicted.insert("rating".to_owned());
    world.define_signal(signal("rating")).await;
    world.define_feature(feature("recent", &["rating"])).await;
    let last = || world.attempts("recent").last().cloned();
    world.until("its attempt failed", |_| last() == Some((1, "Failed".to_owned()))).await;
    let why = || text(&world.get("SequenceRollout", "recent-1").unwrap(), "/status/message").to_owned();
    assert!(why().contains("topic rating"), "{}", why());
    // Its topic is gone meanwhile: what is made again waits for it, and is held before it can end.
    {
        let mut lake = world.lake.lock().unwrap();
        lake.contradicted.clear();
        lake.missing.insert("rating".to_owned());
    }
    world.rest(Duration::from_secs(1)).await;
    assert_eq!(world.attempts("recent").len(), 1, "it is not made again by itself");

    let intend = async |attempt: &str, action: &str, nonce: &str| {
        let patch = json!({"spec": {"intent": {"action": action, "nonce": nonce}}});
        world.merge("SequenceRollout", &at, attempt, patch).await;
    };
    intend("recent-1", "Retry", "a").await;
    world.until("it is made again", |_| world.attempts("recent").len() == 2).await;
    intend("recent-2", "Pause", "b").await;
    let paused = || world.condition("SequenceRollout", "recent-2", "Ready").1 == "Paused";
    world.until("it is held", |_| paused()).await;
    world.lake.lock().unwrap().missing.clear();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(last().is_some_and(|(_, phase)| phase == "Pending" || phase == "Preparing"), "{:?}", last());
    intend("recent-2", "Resume", "c").await;
    world.until("it succeeded", |_| world.is_settled("recent")).await;
    assert_eq!(world.attempts("recent"), [(1, "Failed".to_owned()), (2, "Succeeded".to_owned())]);
    world.finish().await;
}
