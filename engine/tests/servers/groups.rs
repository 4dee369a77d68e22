//! Several processes that share the partitions of a topic.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tress_configs::SignalPlan;
use tress_engine::clock::SystemClock;
use tress_engine::decode::Decoder;
use tress_engine::log::kafka::Connection;
use tress_engine::log::{Assigned, KafkaLog, Log, Membership, NewRecord, Position};
use tress_engine::pipeline::Pipeline;
use tress_engine::stream::{DecodeAndRun, Settings, Source, Stream, Target, World};
use tress_engine::{Error, ErrorKind, layout};

use crate::broker::{connection, log, name};
use crate::server::Server;
use crate::whole::{event, items, plan};

async fn until(what: &str, seats: &mut [&mut Membership], wanted: impl Fn(&[BTreeSet<i32>]) -> bool) -> Vec<BTreeSet<i32>> {
    for _ in 0..1200 {
        let held: Vec<BTreeSet<i32>> = seats
            .iter()
            .map(|seat| match &*seat.assigned.borrow() {
                Assigned::Reads(partitions) => partitions.iter().copied().collect(),
                _ => BTreeSet::new(),
            })
            .collect();
        if wanted(&held) {
            return held;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: {seats:?}")
}

/// Two processes share six partitions, nobody commits what is another's, and who leaves is taken over from where it was.
async fn two_share(connection: Connection) {
    let (first, second) = (KafkaLog::open(connection.clone()).unwrap(), KafkaLog::open(connection.clone()).unwrap());
    let (topic, group) = (name("shared"), name("sharing"));
    first.create(&topic, 6).await.unwrap();
    let all: BTreeSet<i32> = (0..6).collect();
    let mut one = first.join(&group, &topic).await.unwrap();
    until("one has all", &mut [&mut one], |held| held[0] == all).await;
    let mut two = second.join(&group, &topic).await.unwrap();
    let shared = |held: &[BTreeSet<i32>]| {
        !held[0].is_empty() && !held[1].is_empty() && held[0].is_disjoint(&held[1]) && held[0].union(&held[1]).eq(&all)
    };
    let held = until("two share", &mut [&mut one, &mut two], shared).await;
    let at = |partition: i32| [Position { partition, offset: 0 }];
    let (of_one, of_two) = (*held[0].first().unwrap(), *held[1].first().unwrap());
    first.commit(&group, &topic, &at(of_one)).await.unwrap();
    second.commit(&group, &topic, &at(of_two)).await.unwrap();
    let late = first.commit(&group, &topic, &at(of_two)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict, "{late}");
    let stranger = KafkaLog::open(connection).unwrap();
    let refused = stranger.commit(&group, &topic, &at(of_one)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    one.leave().await;
    until("two has all", &mut [&mut two], |held| held[0] == all).await;
    second.commit(&group, &topic, &at(of_one)).await.unwrap();
    let mut committed: Vec<i32> = stranger.committed(&group, &topic).await.unwrap().into_iter().map(|p| p.partition).collect();
    committed.sort_unstable();
    let mut expected = vec![of_one, of_two];
    expected.sort_unstable();
    assert_eq!(committed, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_a_topic_as_the_broker_says() {
    two_share(connection()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_a_topic_among_themselves_where_the_broker_is_older() {
    let server = tokio::task::spawn_blocking(|| {
        Server::start_with("kafka", vec![("TRESS_KAFKA_SETTINGS", "group.coordinator.rebalance.protocols=classic")])
    });
    let server = server.await.unwrap();
    let connection = || Connection::plain(server.tell("bootstrap"));
    two_share(connection()).await;
    one_is_spare(connection()).await;
}

/// A process that finds every partition taken hears that there is none for it, and has them once the other leaves: else no pod could take the
/// place of another that goes only after its successor is ready.
async fn one_is_spare(connection: Connection) {
    let (first, second) = (KafkaLog::open(connection.clone()).unwrap(), KafkaLog::open(connection).unwrap());
    let (topic, group) = (name("spare"), name("taken"));
    first.create(&topic, 1).await.unwrap();
    let mut one = first.join(&group, &topic).await.unwrap();
    until("one has the only partition", &mut [&mut one], |held| held[0] == BTreeSet::from([0])).await;
    let mut two = second.join(&group, &topic).await.unwrap();
    in_time("two hears that there is none for it", async || *two.assigned.borrow() == Assigned::Reads(Vec::new())).await;
    assert_eq!(*one.assigned.borrow(), Assigned::Reads(vec![0]));
    one.leave().await;
    until("two has it now", &mut [&mut two], |held| held[0] == BTreeSet::from([0])).await;
    second.commit(&group, &topic, &[Position { partition: 0, offset: 0 }]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_hears_that_no_partition_is_left_for_it() {
    one_is_spare(connection()).await;
}

const PATIENCE: Duration = Duration::from_secs(120);

/// A process that streams.
struct Member {
    stream: Stream,
    stop: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Member {
    fn start(uid: &str, topic: &str, plan: &Arc<SignalPlan>) -> Self {
        let log: Arc<dyn Log> = Arc::new(log());
        let world = World { raw: Arc::clone(&log), own: log, clock: Arc::new(SystemClock) };
        let target = Target { changelog: layout::changelog(uid), dead_letters: layout::dead_letters(uid) };
        let transform = DecodeAndRun::new(Arc::new(Decoder::new(plan).unwrap()), Pipeline::new(Arc::clone(plan), Vec::new()).unwrap());
        let source = Source { topic: topic.to_owned(), topic_id: None, starts: Vec::new() };
        let settings = Settings { heartbeat: Duration::from_millis(50), ..Settings::default() };
        let stream = Stream::with_settings(world, (uid, plan), ((source, target), settings), Arc::new(transform));
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let (stream, stop) = (stream.clone(), stop.clone());
            async move { stream.run(stop).await }
        });
        Self { stream, stop, task }
    }

    fn reads(&self) -> BTreeSet<i32> {
        self.stream.published().borrow().iter().map(|p| p.partition).collect()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

async fn in_time(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !done().await {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Appends events, each to the partition of its number among those that there are, until it is stopped; returns how many.
fn produce(topic: String, stop: CancellationToken) -> JoinHandle<usize> {
    tokio::spawn(async move {
        let log = log();
        let mut n = 0;
        while !stop.is_cancelled() {
            // Leaders of partitions that are added are not known at once; what is appended twice is one event.
            let Ok(ends) = log.ends(&topic).await else { continue };
            for partition in 0..ends.len() {
                let records: Vec<NewRecord> = (n..n + 20).map(event).collect();
                while log.append(&topic, i32::try_from(partition).unwrap(), records.clone()).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                n += 20;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        n
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_come_and_go_under_load_share_the_partitions_and_lose_no_row() {
    let (topic, uid, own) = (name("rebalanced"), name("rebalanced"), log());
    let plan = plan(&topic);
    own.create(&topic, 4).await.unwrap();
    own.create(&layout::changelog(&uid), i32::try_from(plan.shards).unwrap()).await.unwrap();
    own.create(&layout::dead_letters(&uid), 1).await.unwrap();
    let (producing, group) = (CancellationToken::new(), layout::stream_group(&uid));
    let producer = produce(topic.clone(), producing.clone());
    let all = |partitions: i32| (0..partitions).collect::<BTreeSet<_>>();
    let first = Member::start(&uid, &topic, &plan);
    in_time("the first reads all", async || first.reads() == all(4)).await;
    let second = Member::start(&uid, &topic, &plan);
    let share = |one: &Member, two: &Member, partitions| {
        let (one, two) = (one.reads(), two.reads());
        !one.is_empty() && !two.is_empty() && one.is_disjoint(&two) && one.union(&two).copied().collect::<BTreeSet<_>>() == all(partitions)
    };
    in_time("two share", async || share(&first, &second, 4)).await;
    own.create(&topic, 6).await.unwrap();
    in_time("what was added is shared too", async || share(&first, &second, 6)).await;
    let left = Instant::now();
    second.stop().await;
    in_time("the first takes over", async || first.reads() == all(6)).await;
    assert!(left.elapsed() < Duration::from_secs(30), "who leaves gives way at once: {:?}", left.elapsed());
    let third = Member::start(&uid, &topic, &plan);
    in_time("a third takes its part", async || share(&first, &third, 6)).await;
    first.stop().await;
    producing.cancel();
    let produced = producer.await.unwrap();
    in_time("all is committed", async || {
        let ends: Vec<_> = own.ends(&topic).await.unwrap().into_iter().map(|e| e.end).collect();
        let mut committed = own.committed(&group, &topic).await.unwrap();
        committed.sort_unstable();
        committed.iter().map(|p| p.offset).eq(ends)
    })
    .await;
    third.stop().await;
    let expected: BTreeSet<i64> = (0..produced).filter(|n| n % 5 != 0).map(|n| i64::try_from(n).unwrap()).collect();
    let found = items(&own, &layout::changelog(&uid), &plan).await;
    let distinct: BTreeSet<i64> = found.iter().copied().collect();
    assert!(distinct == expected, "every row is in the changelog: {} of {}", distinct.len(), expected.len());
}
