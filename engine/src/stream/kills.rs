//! Kills of a real process at each step of a stream on a local log.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::{DecodeAndRun, Settings, Source, Stream, Target, World};
use crate::changelog::{Change, Codec};
use crate::clock::FixedClock;
use crate::decode::Decoder;
use crate::log::segment::durable::Sync;
use crate::log::{LocalLog, Log, NewRecord, Position, segment};
use crate::pipeline::Pipeline;
use crate::pipeline::fixture::ratings;
use crate::rows::Rows;
use crate::{faults, layout};

const TOPIC: &str = "ratings";
const UID: &str = "s1";
const RECORDS: i64 = 2_000;
/// Set for the process that is to be killed: the folder of its log.
const CHILD: &str = "TRESS_TEST_STREAM";

fn open(folder: &Path) -> LocalLog {
    let settings = segment::Settings { sync: Sync::OnlyOrder, segment_bytes: 20_000, ..segment::Settings::default() };
    LocalLog::open_with(folder, Arc::new(FixedClock::new(5_000_000)), settings).unwrap()
}

async fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    log.create(TOPIC, 2).await.unwrap();
    log.create(&layout::changelog(UID), i32::try_from(ratings().shards).unwrap()).await.unwrap();
    log.create(&layout::dead_letters(UID), 1).await.unwrap();
    for partition in 0..2 {
        let rating = |i| format!(r#"{{"kind":"rating","user_id":"u{i}","item_id":7,"rating":4.5,"ts":100,"updated_at":7}}"#);
        let records = (0..RECORDS).map(|i| NewRecord { payload: Bytes::from(rating(i)), ..NewRecord::default() }).collect();
        log.append(TOPIC, partition, records).await.unwrap();
    }
    folder
}

/// Runs the stream in a process of its own, with a fault; whether it reached the end.
fn run(folder: &Path, fault: &str) -> bool {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "stream::kills::streams_until_it_is_killed_or_at_the_end"])
        .env(CHILD, folder)
        .env(faults::VARIABLE, fault)
        .output()
        .unwrap()
        .status
        .success()
}

/// The raw positions that are rows in the changelog.
async fn published(log: &LocalLog) -> BTreeSet<(i32, i64)> {
    let (topic, codec) = (layout::changelog(UID), Codec::new(&ratings()));
    let mut found = BTreeSet::new();
    let Ok(ends) = log.ends(&topic).await else { return found };
    for (partition, ends) in (0..).zip(ends) {
        let mut next = ends.start;
        while next < ends.end {
            let batch = log.read(&topic, Position { partition, offset: next }, 1 << 20, Duration::ZERO).await.unwrap();
            assert!(batch.next > next, "what is before the end is there");
            next = batch.next;
            for record in batch.records {
                if let Change::Rows(rows) = codec.decode(&record).unwrap() {
                    let rows = Rows::new(rows).unwrap();
                    found.extend((0..rows.len()).map(|row| (rows.partition().value(row), rows.offset().value(row))));
                }
            }
        }
    }
    found
}

#[tokio::test]
async fn a_stream_that_is_killed_at_any_step_leaves_no_row_out() {
    let steps = [
        "ChangelogAppend:9",
        "ChangelogAppend:40",
        "LogAppend:20",
        "LogWritten:30",
        "LogAck:25",
        "LogAcked:35",
        "LogCommit:2",
        "StreamCommit:2",
    ];
    for step in steps {
        for action in if step.starts_with("LogAppend") { &["abort", "torn"][..] } else { &["abort"] } {
            let folder = prepared().await;
            assert!(!run(folder.path(), &format!("{step}:{action}")), "{step} {action}: it was killed");
            let log = open(folder.path());
            let rows = published(&log).await;
            for Position { partition, offset } in log.committed(&layout::stream_group(UID), TOPIC).await.unwrap() {
                let before = rows.range((partition, 0)..(partition, offset)).count();
                assert_eq!(before as i64, offset, "{step} {action}: what is committed is published");
            }
            drop(log);
            // A point that a stream never reaches: this run goes to the end.
            assert!(run(folder.path(), "RouteWrite:1:abort"), "{step} {action}: the next run reaches the end");
            assert_eq!(published(&open(folder.path())).await.len() as i64, 2 * RECORDS, "{step} {action}");
        }
    }
}

#[tokio::test]
#[ignore = "the process that the test above kills"]
async fn streams_until_it_is_killed_or_at_the_end() {
    let folder = PathBuf::from(std::env::var_os(CHILD).expect("only run by the test above"));
    faults::arm_from_env().unwrap();
    let log = Arc::new(open(&folder)) as Arc<dyn Log>;
    let plan = ratings();
    let pipeline = Pipeline::new(Arc::new(plan.clone()), Vec::new()).unwrap();
    let transform = Arc::new(DecodeAndRun::new(Arc::new(Decoder::new(&plan).unwrap()), pipeline));
    let source = Source { topic: TOPIC.into(), topic_id: None, starts: Vec::new() };
    let settings = Settings {
        heartbeat: Duration::from_millis(5),
        quiet: Duration::from_millis(5),
        poll: Duration::from_millis(5),
        linger: Duration::from_millis(2),
        idle: Duration::from_millis(1),
        fetch_bytes: 10_000,
        ..Settings::default()
    };
    let world = World { raw: Arc::clone(&log), own: log, clock: Arc::new(FixedClock::new(5_000_000)) };
    let target = Target { changelog: layout::changelog(UID), dead_letters: layout::dead_letters(UID) };
    let stream = Stream::with_settings(world, (UID, &plan), ((source, target), settings), transform);
    let stop = CancellationToken::new();
    let mut published = stream.published();
    let end = async {
        published.wait_for(|all| all.len() == 2 && all.iter().all(|p| p.offset == RECORDS)).await.unwrap();
        // A few heartbeats more: each of them is a step to be killed at.
        tokio::time::sleep(Duration::from_millis(50)).await;
        stop.cancel();
    };
    let (done, ()) = tokio::join!(stream.run(stop.clone()), end);
    done.unwrap();
}
