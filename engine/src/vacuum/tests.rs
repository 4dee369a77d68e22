use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;

use super::*;
use crate::archive::{Archive, Settings};
use crate::backfill::fixture::{fold, put_task, work_plan};
use crate::backfill::{self, Mode, WorkPlan};
use crate::base::{self, Base, Demand, Demands, Manifest, Residence};
use crate::clock::{Clock, FixedClock};
use crate::faults::Action;
use crate::history::Scan;
use crate::history::fixture::{Event, event, history};
use crate::log::{Log, MemoryLog, NewRecord};

const LEAST: Spared = Spared { versions: 1, manifests: 1 };

fn demands() -> Demands {
    let demand = Demand {
        feature: "f".into(),
        filter: None,
        filter_columns: Vec::new(),
        required_found: 0,
        length: 1,
        share: None,
        deduplicate: Vec::new(),
        window_ms: None,
    };
    Demands { epoch: 1, list: vec![demand] }
}

fn events() -> Vec<Event> {
    (0..50).map(|i| event(&format!("u{i}"), i, i)).collect()
}

/// Six folds of the same events: the fifth compacts. Versions 1 to 6; six base manifests.
async fn folded(folder: &std::path::Path) -> History {
    let history = history(folder);
    for number in 1..=6 {
        fold(&history, number, Mode::Incremental, &[events()]).await;
        base::update(&history, &demands()).await.unwrap();
    }
    history
}

async fn rows(history: &History, version: u64) -> Result<usize> {
    let snapshot = history.snapshot_at(Some(version)).await?.expect("a version");
    history.scan(snapshot.files, Scan::default()).try_fold(0, |n, batch| async move { Ok(n + batch.num_rows()) }).await
}

/// Every file of the lake, as text, but the tables' logs.
async fn listing(lake: &Lake) -> Vec<String> {
    let all: Vec<_> = lake.store().list(None).try_collect().await.unwrap();
    let mut paths: Vec<String> =
        all.into_iter().map(|file| file.location.to_string()).filter(|path| !path.contains("_delta_log")).collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn what_manifests_and_pins_name_stays_and_the_rest_goes() {
    let folder = tempfile::tempdir().unwrap();
    let history = folded(folder.path()).await;
    let newest = Manifest::newest(&history).await.unwrap().expect("a manifest");
    // Eight of each are spared; only what the fifth backfill compacted before it was ever committed is named nowhere.
    let never_named = layout::history(history.uid()).join("bucket=1970-01-01").join("part-0000000005-000000.parquet");
    assert!(history.lake().store().head(&never_named).await.is_ok());
    assert_eq!(signal(&history, Spared::default()).await.unwrap().files, 1);
    assert!(history.lake().store().head(&never_named).await.is_err());
    history.pin(2, "a-dataset").await.unwrap();
    let done = signal(&history, LEAST).await.unwrap();
    assert!(done.files > 10 && done.bytes > 0, "{done:?}");
    assert_eq!(signal(&history, LEAST).await.unwrap(), Vacuumed::default());
    for version in [2, 6] {
        assert_eq!(rows(&history, version).await.unwrap() as u64, version * 50, "version {version}");
    }
    assert!(rows(&history, 4).await.is_err(), "the fifth seal compacted what the fourth version is made of");
    assert_eq!(Manifest::newest(&history).await.unwrap().as_ref(), Some(&newest));
    Base::load(history.lake(), newest, &Residence::Memory, None).await.unwrap();
    // The work plans of the pinned version's cut and of the newest.
    for (number, there) in [(1, false), (2, true), (3, false), (5, false), (6, true)] {
        assert_eq!(WorkPlan::read(&history, number).await.unwrap().is_some(), there, "work plan {number}");
    }
    fold(&history, 7, Mode::Incremental, &[events()]).await;
    assert!(base::update(&history, &demands()).await.unwrap().is_some());
    assert_eq!(rows(&history, 7).await.unwrap(), 350);
}

#[tokio::test]
async fn a_backfill_under_way_keeps_its_files_however_long_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let history = folded(folder.path()).await;
    let plan = work_plan(7, Mode::Incremental, 1).agree(&history).await.unwrap();
    put_task(&history, 7, 0, &events()).await;
    assert!(signal(&history, LEAST).await.unwrap().files > 0);
    backfill::seal(&history, &plan).await.unwrap();
    assert_eq!(rows(&history, 7).await.unwrap(), 350);
}

#[tokio::test]
async fn what_others_put_beside_history_is_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let history = folded(folder.path()).await;
    let theirs = layout::history(history.uid()).join("notes.parquet");
    history.lake().store().put(&theirs, "x".into()).await.unwrap();
    signal(&history, LEAST).await.unwrap();
    assert!(history.lake().store().head(&theirs).await.is_ok());
}

#[tokio::test]
async fn a_vacuum_that_is_killed_anywhere_harms_nothing_and_the_next_one_finishes_it() {
    let whole = {
        let folder = tempfile::tempdir().unwrap();
        let history = folded(folder.path()).await;
        let files = signal(&history, LEAST).await.unwrap().files;
        (files, without_attempts(listing(history.lake()).await))
    };
    for at in [1, 2, 5, u32::try_from(whole.0).unwrap()] {
        let folder = tempfile::tempdir().unwrap();
        let history = folded(folder.path()).await;
        let armed = faults::arm(Point::Vacuum, at, Action::Error);
        assert!(signal(&history, LEAST).await.is_err());
        drop(armed);
        assert_eq!(rows(&history, 6).await.unwrap(), 300);
        let manifest = Manifest::newest(&history).await.unwrap().expect("a manifest");
        Base::load(history.lake(), manifest, &Residence::Memory, None).await.unwrap();
        assert_eq!(signal(&history, LEAST).await.unwrap().files, whole.0 + 1 - at as usize);
        assert_eq!(without_attempts(listing(history.lake()).await), whole.1, "killed at {at}");
    }
}

/// Runs of base have a part in their name that keeps racing writers apart.
fn without_attempts(paths: Vec<String>) -> Vec<String> {
    let run = |path: &str| path.contains("/runs/").then(|| path.rsplit_once('-').map(|(name, _)| name.to_owned())).flatten();
    paths.into_iter().map(|path| run(&path).unwrap_or(path)).collect()
}

#[tokio::test]
async fn files_of_a_killed_archive_go_once_another_has_archived_their_records() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::local(folder.path()).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::new(7_000_000));
    let log = Arc::new(MemoryLog::new(Arc::clone(&clock)));
    log.create("ratings", 1).await.unwrap();
    let open = |file_bytes| {
        let world = (Arc::clone(&log) as Arc<dyn Log>, Arc::clone(&clock));
        let lake = lake.clone();
        async move {
            let archive = Archive::open(world, lake, "main", "ratings").await.unwrap();
            archive.with_settings(Settings { fetch_bytes: 300, file_bytes, commit_bytes: 1 << 20 })
        }
    };
    let append = |count: usize| {
        let record = |n| NewRecord { payload: Bytes::from(format!("payload {n}").repeat(5)), ..NewRecord::default() };
        log.append("ratings", 0, (0..count).map(record).collect())
    };
    append(100).await.unwrap();
    let archive = open(1_000).await;
    archive.archive_now().await.unwrap();
    append(100).await.unwrap();
    let armed = faults::arm(Point::ArchiveCommit, 1, Action::Error);
    assert!(archive.archive_now().await.is_err());
    drop(armed);
    // Nobody else has archived those records: whoever goes on may take the files that are there.
    assert_eq!(raw(archive.table()).await.unwrap(), Vacuumed::default());
    // Another one cuts its files otherwise, so that those of the first are nobody's.
    let other = open(1_700).await;
    let archived = other.archive_now().await.unwrap();
    let done = raw(other.table()).await.unwrap();
    assert!(done.files > 0, "{done:?}");
    assert_eq!(raw(other.table()).await.unwrap(), Vacuumed::default());
    let raw_files = listing(&lake).await.into_iter().filter(|path| path.contains("partition-")).count();
    assert_eq!(raw_files, archived.files.len());
    assert_eq!(
        log.read("ratings", crate::log::Position { partition: 0, offset: 0 }, usize::MAX, Duration::ZERO).await.unwrap().records.len(),
        200
    );
    assert_eq!(archived.rows(), 200);
}
