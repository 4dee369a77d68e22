//! Revisions and attempts that somebody deletes while they are needed: they are made anew, and readers go on.

use std::time::Duration;

use serde_json::json;

use super::edits::live;
use crate::definitions::{feature, filtered, signal, wider, with};
use crate::store::{items, text, uid};
use crate::world::World;

/// The UID of the revision that readers are sent to.
fn read(world: &World) -> Option<String> {
    world.routes().get("recent").and_then(|route| route.live.clone()).map(|live| live.uid)
}

/// Readers are sent to another revision than this one, and all has come to rest.
async fn comes_anew(world: &World, before: &Option<String>) {
    world.until("what was deleted is made anew, and read", |_| read(world) != *before && world.is_settled("recent")).await;
    world.rest(Duration::from_millis(700)).await;
    assert!(world.is_settled("recent"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_of_a_feature_that_is_read_and_deleted_is_made_anew_while_its_signals_go_on() {
    let (world, _operator) = live("seqrev").await;
    let (name, before) = (world.live("recent"), read(&world));
    let stream = world.stream("rating");
    let deployed = uid(&world.get("Deployment", &stream).unwrap()).to_owned();
    world.delete_by_force("SequenceRevision", &name).await;
    comes_anew(&world, &before).await;
    assert_eq!(world.attempts("recent"), [(1, "Succeeded".to_owned()), (2, "Succeeded".to_owned())]);
    assert_eq!((world.live("recent"), read(&world).as_deref()), (name.clone(), Some(uid(&world.get("SequenceRevision", &name).unwrap()))));
    assert_eq!(uid(&world.get("Deployment", &stream).unwrap()), deployed, "the stream was never stopped");
    assert_eq!(world.repeated(), Vec::<String>::new());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_of_a_signal_that_is_read_and_deleted_is_made_anew_with_everything_that_reads_it() {
    let (world, _operator) = live("sigrev").await;
    let (first, before) = (world.store.all("SignalRevision")[0].0.clone(), read(&world));
    let old = uid(&world.get("SignalRevision", &first.name).unwrap()).to_owned();
    world.delete_by_force("SignalRevision", &first.name).await;
    comes_anew(&world, &before).await;
    let anew = world.get("SignalRevision", &first.name).unwrap();
    assert_ne!(uid(&anew), old);
    let revision = world.get("SequenceRevision", &world.live("recent")).unwrap();
    let pins: Vec<&str> = items(&revision, "/spec/signals").iter().map(|pin| text(pin, "/uid")).collect();
    assert_eq!(pins, [uid(&anew)]);
    assert!(world.is_ready("SignalDefinition", "rating"));
    assert_eq!(world.attempts("recent").len(), 2);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_is_deleted_gives_way_to_the_next_and_one_that_has_ended_is_not_missed() {
    let (world, _operator) = live("seqroll").await;
    let first = world.live("recent");
    // The new revision cannot be prepared: there is time.
    world.lake.lock().unwrap().missing.insert("elsewhere".to_owned());
    world.define_feature(with(feature("recent", &["rating"]), "/spec/definition/lifecycle", json!("Experimental"))).await;
    world.define_signal(with(signal("rating"), "/spec/definition/source/stream/topic", json!("elsewhere"))).await;
    world.until("it prepares", |_| world.attempts("recent").last() == Some(&(2, "Preparing".to_owned()))).await;
    world.delete_by_force("SequenceRollout", "recent-2").await;
    world.until("the next goes on", |_| world.attempts("recent").last() == Some(&(3, "Preparing".to_owned()))).await;
    // Its target goes, too.
    let target = text(&world.get("SequenceRollout", "recent-3").unwrap(), "/spec/target/revision").to_owned();
    world.delete_by_force("SequenceRevision", &target).await;
    world.until("one more begins", |_| world.attempts("recent").last() == Some(&(4, "Preparing".to_owned()))).await;
    assert!(world.attempts("recent").contains(&(3, "Superseded".to_owned())));
    world.lake.lock().unwrap().missing.clear();
    world.until("the change is live", |_| world.is_settled("recent") && world.live("recent") != first).await;
    let second = world.live("recent");
    for (number, _) in world.attempts("recent") {
        world.delete_by_force("SequenceRollout", &format!("recent-{number}")).await;
    }
    world.rest(Duration::from_millis(700)).await;
    assert_eq!((world.attempts("recent"), world.live("recent")), (Vec::new(), second.clone()), "nothing begins");
    assert_eq!(world.condition("SequenceFeature", "recent", "Available").0, "True");
    world.define_signal(wider(with(signal("rating"), "/spec/definition/source/stream/topic", json!("elsewhere")))).await;
    world.until("the next change is live", |_| world.is_settled("recent") && world.live("recent") != second).await;
    assert_eq!(world.attempts("recent"), [(5, "Succeeded".to_owned())]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_attempt_did_not_succeed_stays_held_when_somebody_deletes_the_attempt() {
    let (world, _operator) = live("lifted").await;
    let first = world.live("recent");
    let updated = |reason: &str| world.condition("SequenceFeature", "recent", "Updated") == ("False".to_owned(), reason.to_owned());
    // The second is of something else: numbers of attempts go on from it.
    for (attempt, least) in [(2, "2.0"), (3, "3.0")] {
        world.define_signal(filtered(signal("rating"), least)).await;
        let ended = (attempt, "Inconclusive".to_owned());
        world.until("it is held", |_| updated("BehaviouralChangeHeld") && world.attempts("recent").contains(&ended)).await;
    }
    let target = |attempt: &str| text(&world.get("SequenceRollout", attempt).unwrap(), "/spec/target/revision").to_owned();
    let (wanted, other) = (target("recent-2"), target("recent-3"));
    assert_ne!(wanted, other);
    world.define_signal(filtered(signal("rating"), "2.0")).await;
    let told = |of: &str| world.condition_message("SequenceFeature", "recent", "Updated").contains(of);
    world.until("what is said is of what is declared", |_| updated("BehaviouralChangeHeld") && told(&wanted) && !told(&other)).await;
    world.delete_by_force("SequenceRollout", "recent-2").await;
    world.until("it is told", |_| updated("AttemptFailed") && told(&wanted)).await;
    world.rest(Duration::from_millis(700)).await;
    let ended = [(1, "Succeeded".to_owned()), (3, "Inconclusive".to_owned())];
    assert_eq!((world.attempts("recent"), world.live("recent")), (ended.to_vec(), first.clone()), "nothing begins");
    let target = text(&world.get("SequenceFeature", "recent").unwrap(), "/status/target/revision").to_owned();
    let force = json!({"metadata": {"annotations": {"tress.dev/force": target}}});
    world.merge("SequenceFeature", &world.at("movies"), "recent", force).await;
    world.until("it is live", |_| world.is_settled("recent") && world.live("recent") == target).await;
    assert_ne!(target, first);
    world.finish().await;
}
