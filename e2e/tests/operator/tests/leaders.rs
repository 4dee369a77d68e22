//! Several operators, and an API server that goes and comes.

use std::time::{Duration, Instant};

use tress_e2e::apiserver::ApiServer;

use super::edits::live;
use crate::definitions::{feature, signal, with};
use crate::fate::Mood;
use crate::process::{Operator, calm};
use crate::world::World;

async fn two(world: &World) -> [Operator; 2] {
    let mut start = world.start();
    let first = world.operator_with(&start, calm()).await;
    start.identity = "operator-1".to_owned();
    [first, world.operator_with(&start, calm()).await]
}

/// Who has changed something, in the order of time, without repetitions.
fn writers(operators: &[Operator]) -> Vec<usize> {
    let of =
        |(n, operator): (usize, &Operator)| operator.proxy.calls.changes().into_iter().map(move |call| (call.at, n)).collect::<Vec<_>>();
    let mut all: Vec<(Instant, usize)> = operators.iter().enumerate().flat_map(of).collect();
    all.sort();
    let mut writers: Vec<usize> = all.into_iter().map(|(_, n)| n).collect();
    writers.dedup();
    writers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_operators_one_writes_and_hands_over_at_once_when_it_is_told_to_end() {
    let world = World::begin("handover", Mood::CALM).await;
    let operators = two(&world).await;
    world.define_signal(signal("rating")).await;
    world.define_feature(feature("recent", &["rating"])).await;
    world.until("it is Ready", |_| world.is_ready("SequenceFeature", "recent")).await;
    let writing = writers(&operators);
    assert_eq!(writing.len(), 1, "only the leader writes: {writing:?}");
    let (leader, other) = (writing[0], 1 - writing[0]);
    let told = Instant::now();
    assert_eq!(operators[leader].stop().await, Some(0));
    world.define_feature(feature("next", &["rating"])).await;
    world.until_seen("the other one writes", async || writers(&operators).contains(&other)).await;
    assert!(told.elapsed() < Duration::from_secs(5), "a clean handover took {:?}", told.elapsed());
    world.until("the next is Ready", |_| world.is_ready("SequenceFeature", "next")).await;
    assert_eq!(writers(&operators), [leader, other]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_leader_is_killed_another_one_acts_before_long() {
    let world = World::begin("takeover", Mood::CALM).await;
    let operators = two(&world).await;
    world.define_signal(signal("rating")).await;
    world.until("something is written", |store| !store.all("SignalRevision").is_empty()).await;
    let leader = writers(&operators)[0];
    operators[leader].kill();
    let killed = Instant::now();
    world.define_feature(feature("recent", &["rating"])).await;
    world.until_seen("the other one writes", async || writers(&operators).contains(&(1 - leader))).await;
    assert!(killed.elapsed() < Duration::from_secs(30), "it took {:?}", killed.elapsed());
    world.until("it is Ready", |_| world.is_ready("SequenceFeature", "recent")).await;
    assert_eq!(writers(&operators), [leader, 1 - leader]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_without_an_api_server_ends_nothing_and_goes_on_when_it_comes_back() {
    let (world, operator) = live("outage").await;
    world.rest(Duration::from_secs(1)).await;
    let before = operator.proxy.calls.changes().len();
    operator.proxy.go_away();
    world
        .define_feature(with(feature("recent", &["rating"]), "/spec/definition/description", serde_json::json!("Changed meanwhile.")))
        .await;
    world.define_feature(feature("next", &["rating"])).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(operator.proxy.calls.changes().len(), before);
    operator.proxy.come_back();
    // Should it have given up its lease and ended, as it may, its container starts again.
    let again = if operator.is_running() { None } else { Some(world.operator().await) };
    world.until("the next is Ready", |_| world.is_ready("SequenceFeature", "next")).await;
    assert_eq!(world.attempts("recent").len(), 1);
    drop(again);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_loses_its_power_in_the_middle_changes_nothing() {
    let server = ApiServer::alone();
    let world = World::on(&server, "power", Mood::CALM).await;
    let mut operator = world.operator().await;
    world.define_signal(signal("rating")).await;
    world.define_feature(feature("recent", &["rating"])).await;
    world.until("it is under way", |store| !store.all("SequenceRollout").is_empty()).await;
    tokio::task::block_in_place(|| server.restart());
    if !operator.is_running() {
        operator = world.operator().await;
    }
    world.until("it is Ready", |_| world.is_settled("recent")).await;
    assert_eq!(world.attempts("recent"), [(1, "Succeeded".to_owned())]);
    assert!(operator.is_running());
    // What the server forgot to tell its watches is missing from the history: what must hold at every moment cannot be asked of it.
    world.leave().await;
}
