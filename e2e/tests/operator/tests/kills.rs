//! The operator dies at any of its writes, and the next one goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::definitions::{feature, filtered, signal, wider, with};
use crate::fate::{Fate, Mood};
use crate::proxy::{Fortune, Rule};
use crate::world::World;

/// Kills at the nth write that is no lease; fate chooses whether it is done.
fn at(nth: usize, fate: Arc<Fate>) -> Rule {
    let count = AtomicUsize::new(0);
    Box::new(move |call| {
        if !call.changes() || count.fetch_add(1, Ordering::Relaxed) + 1 < nth {
            return Fortune::Done;
        }
        if nth > 1 && fate.happens(5000, "killed before") { Fortune::KilledBefore } else { Fortune::KilledAfter }
    })
}

/// Operators one after another, each killed at its nth write, until `is_so`. How many there were.
async fn until(world: &World, nth: impl Fn(usize) -> usize, is_so: impl Fn() -> bool) -> usize {
    let mut operators = 0;
    while !is_so() {
        operators += 1;
        assert!(operators < 400, "it does not come to its end; there is:\n{}", world.summary());
        // The one that was killed held it, and nobody waits for that here.
        world.release_lease().await;
        let operator = world.operator_with(&world.start(), at(nth(operators), Arc::clone(&world.fate))).await;
        world.until_seen("it is killed or done", async || !operator.is_running() || is_so()).await;
    }
    operators
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_is_killed_after_each_of_its_writes_comes_to_its_end() {
    let world = World::begin("killed-first", Mood { slow: std::time::Duration::from_millis(5), ..Mood::CALM }).await;
    world.define_signal(signal("rating")).await;
    world.define_feature(feature("recent", &["rating"])).await;
    let first = until(&world, |_| 1, || world.is_settled("recent")).await;
    assert!(first > 20, "only {first} writes");
    assert_eq!(world.attempts("recent"), [(1, "Succeeded".to_owned())]);
    assert_eq!(world.repeated(), Vec::<String>::new(), "every job did its work once");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_is_killed_again_and_again_brings_changes_and_deletions_to_their_end() {
    let world = World::begin("killed-later", Mood::CALM).await;
    let experimental = |name: &str| with(feature(name, &["rating"]), "/spec/definition/lifecycle", json!("Experimental"));
    let fate = Arc::clone(&world.fate);
    let nth = |n: usize| 1 + fate.one_of(7, &format!("nth {n}"));
    world.define_signal(with(signal("rating"), "/spec/deletionPolicy", json!("Delete"))).await;
    world.define_feature(experimental("recent")).await;
    until(&world, nth, || world.is_ready("SequenceFeature", "recent")).await;
    let first = world.live("recent");
    world.define_signal(with(wider(signal("rating")), "/spec/deletionPolicy", json!("Delete"))).await;
    until(&world, nth, || world.is_updated("recent") && world.live("recent") != first).await;
    let second = world.live("recent");
    world.define_signal(with(filtered(wider(signal("rating")), "2.0"), "/spec/deletionPolicy", json!("Delete"))).await;
    until(&world, nth, || world.is_updated("recent") && world.live("recent") != second).await;
    world.delete("SignalDefinition", &world.at("movies"), "rating").await;
    world.delete("SequenceFeature", &world.at("movies"), "recent").await;
    let gone = || ["SignalRevision", "SequenceRevision", "SequenceRollout"].iter().all(|kind| world.store.all(kind).is_empty());
    until(&world, nth, || gone() && world.lake.lock().unwrap().data.is_empty()).await;
    assert_eq!(world.repeated(), Vec::<String>::new());
    world.finish().await;
}
