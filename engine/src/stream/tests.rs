mod groups;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tress_configs::definition::OnInvalid;

use super::*;
use crate::ErrorKind;
use crate::changelog::{Change, Heartbeat};
use crate::clock::FixedClock;
use crate::dead_letters::{self, Selection};
use crate::decode::Decoder;
use crate::entity::shard_of;
use crate::faults::{self, Action, Point};
use crate::layout;
use crate::log::{MemoryLog, NewRecord};
use crate::pipeline::Pipeline;
use crate::pipeline::fixture::ratings;
use crate::rows::Rows;

const TOPIC: &str = "ratings";
const UID: &str = "s1";
const PATIENCE: Duration = Duration::from_secs(20);

struct Bench {
    log: Arc<MemoryLog>,
    clock: Arc<FixedClock>,
    plan: SignalPlan,
    source: Source,
    settings: Settings,
}

impl Bench {
    async fn new(partitions: i32) -> Self {
        let clock = Arc::new(FixedClock::new(3_000_000));
        let log = Arc::new(MemoryLog::new(Arc::clone(&clock) as Arc<dyn Clock>));
        log.create(TOPIC, partitions).await.unwrap();
        log.create(&layout::changelog(UID), i32::try_from(ratings().shards).unwrap()).await.unwrap();
        log.create(&layout::dead_letters(UID), 1).await.unwrap();
        let source = Source { topic: TOPIC.into(), topic_id: None, starts: Vec::new() };
        let settings = Settings {
            heartbeat: Duration::from_millis(10),
            quiet: Duration::from_millis(10),
            poll: Duration::from_millis(5),
            linger: Duration::from_millis(5),
            idle: Duration::from_millis(1),
            ..Settings::default()
        };
        Self { log, clock, plan: ratings(), source, settings }
    }

    fn stream(&self) -> Stream {
        self.stream_on(Arc::clone(&self.log) as Arc<dyn Log>)
    }

    fn stream_on(&self, log: Arc<dyn Log>) -> Stream {
        let pipeline = Pipeline::new(Arc::new(self.plan.clone()), Vec::new()).unwrap();
        let world = World { own: Arc::clone(&log), raw: log, clock: Arc::clone(&self.clock) as Arc<dyn Clock> };
        let transform = Arc::new(DecodeAndRun::new(Arc::new(Decoder::new(&self.plan).unwrap()), pipeline));
        Stream::with_settings(world, (UID, &self.plan), ((self.source.clone(), target()), self.settings), transform)
    }

    async fn append(&self, partition: i32, payloads: impl IntoIterator<Item = String>) {
        let records = payloads.into_iter().map(|p| NewRecord { payload: Bytes::from(p), ..NewRecord::default() }).collect();
        self.log.append(TOPIC, partition, records).await.unwrap();
    }

    /// Runs a stream until all raw records are published, then stops it in good order.
    async fn run_to_the_end(&self) -> Stream {
        let stream = self.stream();
        let stop = CancellationToken::new();
        let running = tokio::spawn({
            let (stream, stop) = (stream.clone(), stop.clone());
            async move { stream.run(stop).await }
        });
        self.until_published(&stream).await;
        stop.cancel();
        running.await.unwrap().unwrap();
        stream
    }

    async fn until_published(&self, stream: &Stream) {
        let ends = self.log.ends(TOPIC).await.unwrap();
        let mut published = stream.published();
        let all = |published: &Vec<Published>| {
            ends.len() == published.len() && published.iter().zip(&ends).all(|(published, ends)| published.offset == ends.end)
        };
        tokio::time::timeout(PATIENCE, published.wait_for(all)).await.expect("all is published in time").unwrap();
    }

    async fn changes(&self) -> Vec<(i32, Change)> {
        let topic = layout::changelog(UID);
        let mut changes = Vec::new();
        for partition in 0..self.plan.shards as i32 {
            let mut next = 0;
            loop {
                let batch = self.log.read(&topic, Position { partition, offset: next }, 1 << 20, Duration::ZERO).await.unwrap();
                if batch.next == next {
                    break;
                }
                next = batch.next;
                changes.extend(batch.records.iter().map(|r| (partition, Codec::new(&self.plan).decode(r).unwrap())));
            }
        }
        changes
    }

    /// How often each raw position was published as a row.
    async fn rows(&self) -> BTreeMap<(i32, i64), usize> {
        let mut found = BTreeMap::new();
        for (partition, change) in self.changes().await {
            let Change::Rows(batch) = change else { continue };
            let rows = Rows::new(batch).unwrap();
            for row in 0..rows.len() {
                assert_eq!(shard_of(rows.entity_hash()[row], self.plan.shards) as i32, partition);
                *found.entry((rows.partition().value(row), rows.offset().value(row))).or_default() += 1;
            }
        }
        found
    }

    async fn heartbeats(&self) -> Vec<(i32, Heartbeat)> {
        let heartbeat = |(partition, change)| match change {
            Change::Heartbeat(heartbeat) => Some((partition, heartbeat)),
            _ => None,
        };
        self.changes().await.into_iter().filter_map(heartbeat).collect()
    }

    async fn committed(&self) -> BTreeMap<i32, i64> {
        let committed = self.log.committed(&layout::stream_group(UID), TOPIC).await.unwrap();
        committed.into_iter().map(|p| (p.partition, p.offset)).collect()
    }
}

fn target() -> Target {
    Target { changelog: layout::changelog(UID), dead_letters: layout::dead_letters(UID) }
}

fn rating(user: usize) -> String {
    format!(r#"{{"kind":"rating","user_id":"u{user}","item_id":7,"rating":4.5,"ts":100,"updated_at":7}}"#)
}

#[tokio::test]
async fn raw_records_become_rows_of_their_shard_once_and_the_rest_dead_letters() {
    let bench = Bench::new(2).await;
    bench.append(0, (0..3000).map(rating)).await;
    bench.append(1, [rating(1), "no json".to_owned(), r#"{"kind":"watch"}"#.to_owned(), rating(2)]).await;
    let stream = bench.run_to_the_end().await;
    let expected: BTreeMap<_, _> = (0..3000).map(|o| ((0, o), 1)).chain([((1, 0), 1), ((1, 3), 1)]).collect();
    assert_eq!(bench.rows().await, expected);
    let letters = dead_letters::list(bench.log.as_ref(), &layout::dead_letters(UID), &Selection::first(10)).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (letters[0].letter.partition, letters[0].letter.offset, letters[0].letter.payload.as_ref()),
        (Some(1), Some(1), &b"no json"[..])
    );
    assert_eq!(bench.committed().await, BTreeMap::from([(0, 3000), (1, 4)]));
    assert_eq!(stream.counts(), Counts { raw: 3004, rows: 3002, dead: 1, not_ours: 1, yielded_nothing: 0 });
    assert_eq!(*stream.state().borrow(), StreamState::Running);
}

#[tokio::test]
async fn a_second_run_goes_on_where_the_first_was_and_starts_are_only_for_what_is_not_committed() {
    let mut bench = Bench::new(2).await;
    bench.append(0, (0..5).map(rating)).await;
    bench.append(1, (0..5).map(rating)).await;
    bench.source.starts = vec![Position { partition: 0, offset: 3 }];
    bench.run_to_the_end().await;
    bench.source.starts = vec![Position { partition: 0, offset: 0 }];
    bench.append(0, [rating(9)]).await;
    bench.run_to_the_end().await;
    let expected: BTreeMap<_, _> = (3..6).map(|o| ((0, o), 1)).chain((0..5).map(|o| ((1, o), 1))).collect();
    assert_eq!(bench.rows().await, expected);
}

#[tokio::test]
async fn a_full_log_makes_it_wait_and_say_so_and_it_goes_on_when_there_is_room() {
    let bench = Bench::new(1).await;
    bench.append(0, (0..100).map(rating)).await;
    let stream = bench.stream();
    let mut state = stream.state();
    let full: Vec<_> = (0..40).map(|_| faults::arm(Point::ChangelogAppend, 1, Action::Full)).collect();
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (stream, stop) = (stream.clone(), stop.clone());
        async move { stream.run(stop).await }
    });
    let waits = |s: &StreamState| matches!(s, StreamState::Waiting { reason } if reason.contains("no room"));
    tokio::time::timeout(PATIENCE, state.wait_for(waits)).await.expect("it says that it waits").unwrap();
    assert_eq!(bench.committed_now(0), 0);
    drop(full);
    tokio::time::timeout(PATIENCE, state.wait_for(|s| *s == StreamState::Running)).await.expect("it goes on").unwrap();
    bench.until_published(&stream).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(bench.committed_now(0), 100);
    assert_eq!(bench.rows().await.len(), 100);
}

#[tokio::test]
async fn a_commit_that_fails_for_a_while_is_made_later() {
    let bench = Bench::new(1).await;
    bench.append(0, (0..10).map(rating)).await;
    let _armed = [faults::arm(Point::StreamCommit, 1, Action::Error), faults::arm(Point::StreamCommit, 1, Action::Error)];
    bench.run_to_the_end().await;
    assert_eq!(bench.committed().await, BTreeMap::from([(0, 10)]));
}

#[tokio::test]
async fn a_small_budget_slows_it_and_never_stops_it() {
    let mut bench = Bench::new(3).await;
    bench.settings.budget_bytes = 2_000;
    bench.settings.fetch_bytes = 300;
    for partition in 0..3 {
        bench.append(partition, (0..200).map(rating)).await;
    }
    bench.run_to_the_end().await;
    assert_eq!(bench.rows().await.len(), 600);
}

#[tokio::test]
async fn a_partition_that_is_added_later_is_read_from_its_beginning() {
    let bench = Bench::new(1).await;
    bench.append(0, [rating(1)]).await;
    let stream = bench.stream();
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (stream, stop) = (stream.clone(), stop.clone());
        async move { stream.run(stop).await }
    });
    bench.until_published(&stream).await;
    bench.log.create(TOPIC, 2).await.unwrap();
    bench.append(1, [rating(2), rating(3)]).await;
    bench.until_published(&stream).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(bench.rows().await, BTreeMap::from([((0, 0), 1), ((1, 0), 1), ((1, 1), 1)]));
}

#[tokio::test]
async fn offsets_that_hold_no_records_count_as_published_after_what_is_before_them() {
    let bench = Bench::new(2).await;
    bench.append(0, (0..100).map(rating)).await;
    bench.log.leave_out(TOPIC, 0, 2).unwrap();
    bench.log.leave_out(TOPIC, 1, 3).unwrap();
    let stream = bench.stream();
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (stream, stop) = (stream.clone(), stop.clone());
        async move { stream.run(stop).await }
    });
    bench.until_published(&stream).await;
    let at_end = |published: &Vec<Published>| published.iter().all(|p| p.at_end_as_of == Some(3_000_000));
    tokio::time::timeout(PATIENCE, stream.published().wait_for(at_end)).await.expect("it sees the end of both").unwrap();
    bench.append(0, [rating(1)]).await;
    bench.log.leave_out(TOPIC, 0, 1).unwrap();
    bench.until_published(&stream).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(bench.committed().await, BTreeMap::from([(0, 104), (1, 3)]));
    let expected: BTreeMap<_, _> = (0..100).chain([102]).map(|o| ((0, o), 1)).collect();
    assert_eq!(bench.rows().await, expected);
}

#[tokio::test]
async fn raw_records_that_retention_dropped_stop_it_with_the_place() {
    let bench = Bench::new(1).await;
    bench.append(0, (0..10).map(rating)).await;
    bench.log.trim(TOPIC, &[Position { partition: 0, offset: 4 }]).await.unwrap();
    let stream = bench.stream();
    let error = stream.run(CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("partition 0: offset 0 is below its start 4"), "{error}");
    assert!(matches!(&*stream.state().borrow(), StreamState::Failed { reason } if reason.contains("below its start")));
}

#[tokio::test]
async fn a_topic_that_was_made_anew_is_refused() {
    let mut bench = Bench::new(1).await;
    bench.source.topic_id = Some(bench.log.id(TOPIC).await.unwrap().topic);
    bench.run_to_the_end().await;
    bench.log.delete(TOPIC).await.unwrap();
    bench.log.create(TOPIC, 1).await.unwrap();
    let error = bench.stream().run(CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("deleted and made again"), "{error}");
}

#[tokio::test]
async fn a_definition_that_tolerates_no_invalid_event_stops_it_before_anything_after_is_committed() {
    let mut bench = Bench::new(1).await;
    bench.plan.on_invalid = OnInvalid::Fail;
    bench.append(0, ["no json".to_owned()]).await;
    let error = bench.stream().run(CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(bench.committed().await.get(&0).is_none_or(|offset| *offset == 0));
}

#[tokio::test]
async fn heartbeats_tell_every_changelog_partition_how_far_it_is_and_when_nothing_was_left() {
    let bench = Bench::new(2).await;
    bench.append(0, [rating(1), rating(2)]).await;
    let stream = bench.stream();
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (stream, stop) = (stream.clone(), stop.clone());
        async move { stream.run(stop).await }
    });
    bench.until_published(&stream).await;
    let position = |partition, offset, timestamp| Published { partition, offset, timestamp, at_end_as_of: Some(3_000_000) };
    let last = [position(0, 2, Some(3_000_000)), position(1, 0, None)];
    tokio::time::timeout(PATIENCE, async {
        loop {
            let beats = bench.heartbeats().await;
            let told: BTreeSet<_> = beats.iter().filter(|(_, beat)| beat.positions == last).map(|(partition, _)| *partition).collect();
            if told.len() == bench.plan.shards as usize {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("every partition is told in time");
    stop.cancel();
    running.await.unwrap().unwrap();
    let mut seen: BTreeMap<(i32, i32), i64> = BTreeMap::new();
    for (partition, beat) in bench.heartbeats().await {
        for p in beat.positions {
            let before = seen.insert((partition, p.partition), p.offset);
            assert!(before.is_none_or(|before| before <= p.offset), "what is published never shrinks");
        }
    }
}

#[tokio::test]
async fn an_idle_stream_says_so_once_in_a_while_and_tells_what_comes_at_once() {
    let mut bench = Bench::new(1).await;
    bench.settings.quiet = Duration::from_millis(400);
    bench.append(0, [rating(1)]).await;
    let stream = bench.stream();
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (stream, stop) = (stream.clone(), stop.clone());
        async move { stream.run(stop).await }
    });
    let began = std::time::Instant::now();
    bench.until_published(&stream).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let told = |beats: &[(i32, Heartbeat)]| beats.iter().filter(|(partition, _)| *partition == 0).count();
    let idle = bench.heartbeats().await;
    // One when it begins, one when the record is published, then one each time that the span is over; a hundred ticks went by.
    let most = 3 + usize::try_from(began.elapsed().as_millis() / 400).unwrap();
    assert!((2..=most).contains(&told(&idle)), "{} heartbeats, at most {most}", told(&idle));
    bench.append(0, [rating(2)]).await;
    let came = async {
        while !bench.heartbeats().await.iter().any(|(_, beat)| beat.positions.iter().any(|p| p.offset == 2)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, came).await.expect("what comes is told");
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_has_no_company_to_expect_is_written_without_waiting_for_a_full_span() {
    let mut bench = Bench::new(2).await;
    bench.settings.linger = Duration::from_secs(3600);
    bench.settings.pace = Duration::ZERO;
    bench.append(0, [rating(1)]).await;
    let stream = bench.run_to_the_end().await;
    bench.append(1, [rating(2)]).await;
    drop(stream);
    bench.run_to_the_end().await;
    assert_eq!(bench.rows().await.len(), 2);
}

#[tokio::test]
async fn what_was_written_keeps_the_next_write_waiting() {
    let mut bench = Bench::new(1).await;
    (bench.settings.linger, bench.settings.pace) = (Duration::from_secs(3600), Duration::from_secs(3600));
    let stream = bench.stream();
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (stream, stop) = (stream.clone(), stop.clone());
        async move { stream.run(stop).await }
    });
    bench.append(0, [rating(1)]).await;
    bench.until_published(&stream).await;
    bench.append(0, [rating(2)]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(bench.rows().await.len(), 1, "one record was written: an hour of pause");
    stop.cancel();
    running.await.unwrap().unwrap();
    bench.settings.pace = Duration::ZERO;
    bench.run_to_the_end().await;
    assert_eq!(bench.rows().await.len(), 2);
}

#[tokio::test]
async fn rows_do_not_wait_for_a_commit_that_fails() {
    let bench = Bench::new(1).await;
    let failing: Vec<_> = (0..1000).map(|_| faults::arm(Point::StreamCommit, 1, Action::Error)).collect();
    let stream = bench.stream();
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (stream, stop) = (stream.clone(), stop.clone());
        async move { stream.run(stop).await }
    });
    let waits = |s: &StreamState| matches!(s, StreamState::Waiting { .. });
    tokio::time::timeout(PATIENCE, stream.state().wait_for(waits)).await.expect("the commit fails").unwrap();
    bench.append(0, (0..10).map(rating)).await;
    bench.until_published(&stream).await;
    assert_eq!((bench.rows().await.len(), bench.committed_now(0)), (10, 0));
    drop(failing);
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(bench.committed_now(0), 10);
}

impl Bench {
    fn committed_now(&self, partition: i32) -> i64 {
        let committed = futures::executor::block_on(self.committed());
        committed.get(&partition).copied().unwrap_or(0)
    }
}
