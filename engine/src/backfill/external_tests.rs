use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use tokio_util::sync::CancellationToken;
use tress_configs::SignalPlan;
use tress_configs::definition::PartitionedBy;
use tress_configs::plan::{BatchPlan, ExternalLog};

use super::*;
use crate::clock::FixedClock;
use crate::error::ErrorKind;
use crate::faults;
use crate::history::{History, Scan};
use crate::lake::Lake;
use crate::pipeline::fixture::ratings;
use crate::raw::Reason;
use crate::run::sort;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// (user, item, rating, seconds, available seconds)
type Raw = (&'static str, i64, Option<f32>, i64, i64);

fn plan(by: PartitionedBy) -> SignalPlan {
    let mut plan = ratings();
    plan.source.batch = BatchPlan::External(ExternalLog {
        connection: "lake".into(),
        path: "raw/dt={date}".into(),
        partitioned_by: by,
        rename: BTreeMap::from([("ts".to_owned(), "happened".to_owned())]),
        record_timestamp: Some("seen".into()),
        complete_after_ms: 3_600_000,
    });
    plan.event.version = None;
    plan.event.delete = None;
    plan
}

/// A history in a folder and a log that others write.
struct World {
    _folder: tempfile::TempDir,
    lake: Lake,
    clock: Arc<FixedClock>,
    backfill: Backfill,
}

impl World {
    fn new(by: PartitionedBy) -> Self {
        Self::of(plan(by))
    }

    fn of(plan: SignalPlan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::local(folder.path()).unwrap();
        let clock = Arc::new(FixedClock::new(0));
        let BatchPlan::External(log) = plan.source.batch.clone() else { panic!("an external log") };
        let plan = Arc::new(plan);
        let backfill = Backfill {
            history: History::new(lake.clone(), "s1", Arc::clone(&plan)),
            raw: Arc::new(ExternalFiles::new(lake.clone(), &plan, &log).unwrap()),
            tables: Tables { plan, lakes: BTreeMap::new() },
            clock: Arc::clone(&clock) as Arc<dyn crate::clock::Clock>,
            parallelism: 2,
            shutdown: CancellationToken::new(),
        };
        Self { _folder: folder, lake, clock, backfill }
    }

    async fn write(&self, path: &str, raws: &[Raw]) {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("user_id", Arc::new(StringArray::from_iter_values(raws.iter().map(|r| r.0)))),
            ("item_id", Arc::new(Int64Array::from_iter_values(raws.iter().map(|r| r.1)))),
            ("rating", Arc::new(Float32Array::from_iter(raws.iter().map(|r| r.2)))),
            ("happened", Arc::new(Int64Array::from_iter_values(raws.iter().map(|r| r.3)))),
            ("kind", Arc::new(StringArray::from_iter_values(raws.iter().map(|_| "rating")))),
            ("seen", Arc::new(TimestampMicrosecondArray::from_iter_values(raws.iter().map(|r| r.4 * SECOND)).with_timezone("UTC"))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        self.lake.store().put(&Path::from(path), writer.into_inner().unwrap().into()).await.unwrap();
    }

    async fn run(&self, mode: &Mode) -> crate::Result<Outcome> {
        self.backfill.run(mode, |_| {}).await
    }

    async fn sealed(&self, mode: &Mode) -> Report {
        match self.run(mode).await.unwrap() {
            Outcome::Sealed(report) => report,
            other => panic!("{other:?}"),
        }
    }

    async fn all(&self) -> RecordBatch {
        let snapshot = self.backfill.history.snapshot().await.unwrap().expect("a table");
        let history = &self.backfill.history;
        let batches: Vec<RecordBatch> = history.scan(snapshot.files, Scan::default()).try_collect().await.unwrap();
        sort(concat_batches(history.schema(), &batches).unwrap()).unwrap()
    }

    /// The items in history, sorted; an item twice when it is there twice.
    async fn items(&self) -> Vec<i64> {
        let all = self.all().await;
        let mut items: Vec<i64> = all.column(crate::rows::col::SIGNAL).as_primitive::<Int64Type>().values().to_vec();
        items.sort_unstable();
        items
    }

    async fn listing(&self, folder: &str) -> Vec<(String, bytes::Bytes)> {
        let mut files = Vec::new();
        let metas: Vec<_> = self.lake.store().list(Some(&Path::from(folder))).try_collect().await.unwrap();
        for meta in metas {
            let bytes = self.lake.store().get(&meta.location).await.unwrap().bytes().await.unwrap();
            files.push((meta.location.to_string(), bytes));
        }
        files.sort();
        files
    }
}

#[tokio::test]
async fn complete_partitions_are_taken_whole_and_of_others_what_is_final() {
    let world = World::new(PartitionedBy::EventTime);
    let day = 86_400;
    world.write("raw/dt=1970-01-01/a.parquet", &[("u", 1, Some(5.0), 10, 11), ("u", 2, Some(0.1), 20, 21), ("v", 3, None, 30, 31)]).await;
    // Seen before the first day's end, and after it.
    world.write("raw/dt=1970-01-02/a.parquet", &[("u", 4, Some(5.0), day + 5, day - 1), ("u", 5, Some(5.0), day + 6, day + 7)]).await;
    world.write("raw/_unfinished/dt=1970-01-01/x.parquet", &[("u", 99, Some(5.0), 10, 11)]).await;
    world.clock.set(DAY + HOUR - 1);
    assert_eq!(world.run(&Mode::Incremental).await.unwrap(), Outcome::UpToDate);

    world.clock.set(DAY + HOUR);
    let report = world.sealed(&Mode::Incremental).await;
    assert_eq!(report.cut, Cut::Time { through: DAY });
    assert_eq!(report.sealed.counts.dead, BTreeMap::from([(Reason::MissingField, 1)]));
    assert_eq!((report.sealed.counts.read, report.sealed.counts.rows, report.sealed.counts.yielded_nothing), (5, 2, 1));
    assert_eq!(world.items().await, [1, 4]);
    assert_eq!(Report::read(&world.backfill.history, 1).await.unwrap(), Some(report));
    assert_eq!(world.run(&Mode::Incremental).await.unwrap(), Outcome::UpToDate);

    // The rest of the second day, and a late file of the first.
    world.write("raw/dt=1970-01-01/late.parquet", &[("u", 6, Some(5.0), 40, day + 9)]).await;
    world.clock.set(2 * DAY + HOUR);
    let report = world.sealed(&Mode::Incremental).await;
    assert_eq!(report.cut, Cut::Time { through: 2 * DAY });
    assert_eq!(world.items().await, [1, 4, 5, 6]);
}

#[tokio::test]
async fn a_file_that_was_replaced_or_is_gone_is_refused_until_its_buckets_are_restated() {
    let world = World::new(PartitionedBy::EventTime);
    world.write("raw/dt=1970-01-01/a.parquet", &[("u", 1, Some(5.0), 10, 11)]).await;
    world.write("raw/dt=1970-01-02/a.parquet", &[("u", 2, Some(5.0), 86_410, 86_411)]).await;
    world.clock.set(3 * DAY);
    world.sealed(&Mode::Incremental).await;
    world.write("raw/dt=1970-01-01/a.parquet", &[("u", 3, Some(5.0), 10, 11), ("u", 4, Some(5.0), 12, 13)]).await;
    let refused = world.run(&Mode::Incremental).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("raw/dt=1970-01-01/a.parquet: this file was replaced"), "{refused}");

    let report = world.sealed(&Mode::Restate(Buckets::Spans(vec![0..DAY]))).await;
    assert_eq!(report.cut, Cut::Time { through: 2 * DAY });
    assert_eq!(world.items().await, [2, 3, 4]);
    assert_eq!(world.run(&Mode::Incremental).await.unwrap(), Outcome::UpToDate);

    world.lake.store().delete(&Path::from("raw/dt=1970-01-02/a.parquet")).await.unwrap();
    assert!(world.run(&Mode::Incremental).await.unwrap_err().to_string().contains("is gone"));
    world.sealed(&Mode::Restate(Buckets::All)).await;
    assert_eq!(world.items().await, [3, 4]);
}

#[tokio::test]
async fn restating_a_bucket_of_a_log_by_arrival_reads_what_arrived_later_and_keeps_the_rest() {
    let world = World::new(PartitionedBy::ArrivalTime);
    world.write("raw/dt=1970-01-01/a.parquet", &[("u", 1, Some(5.0), 10, 11)]).await;
    world.write("raw/dt=1970-01-02/a.parquet", &[("u", 2, Some(5.0), 20, 86_411), ("u", 3, Some(5.0), 86_420, 86_421)]).await;
    world.clock.set(3 * DAY);
    world.sealed(&Mode::Incremental).await;
    let report = world.sealed(&Mode::Restate(Buckets::Spans(vec![0..DAY]))).await;
    assert_eq!((report.sealed.removed, report.sealed.counts.rows, report.sealed.counts.left_out), (1, 2, 1));
    assert_eq!(world.items().await, [1, 2, 3]);
    assert_eq!(world.run(&Mode::Incremental).await.unwrap(), Outcome::UpToDate);
}

#[tokio::test]
async fn a_backfill_that_dies_at_any_step_is_finished_by_the_next_with_the_same_files() {
    let mut reference = None;
    for point in [
        None,
        Some(faults::Point::WorkPlanPut),
        Some(faults::Point::TaskFile),
        Some(faults::Point::TaskManifest),
        Some(faults::Point::SealCommit),
        Some(faults::Point::SealCommitted),
    ] {
        let world = World::new(PartitionedBy::EventTime);
        let raws: Vec<Raw> = (0..50i64).map(|i| ("u", i + 1, Some(5.0), i * 4000, i * 4000 + 1)).collect();
        for day in 0..3i64 {
            let own: Vec<Raw> = raws.iter().filter(|r| r.3 / 86_400 == day).copied().collect();
            world.write(&format!("raw/dt=1970-01-0{}/a.parquet", day + 1), &own).await;
        }
        world.clock.set(4 * DAY);
        if let Some(point) = point {
            let armed = faults::arm(point, 1, faults::Action::Error);
            world.run(&Mode::Incremental).await.unwrap_err();
            assert_eq!(armed.hits(), 1);
        }
        let outcome = world.run(&Mode::Incremental).await.unwrap();
        // After its commit a backfill is sealed, whoever learned of it.
        assert_eq!(outcome == Outcome::UpToDate, point == Some(faults::Point::SealCommitted));
        assert_eq!(world.items().await, (1..51).collect::<Vec<i64>>());
        let mut files = world.listing("signals/s1/history").await;
        files.retain(|(path, _)| path.ends_with(".parquet"));
        assert_eq!(files.len(), 3);
        assert_eq!(*reference.get_or_insert_with(|| files.clone()), files, "{point:?}");
    }
}

#[tokio::test]
async fn racing_backfills_converge_on_one_history() {
    let world = World::new(PartitionedBy::EventTime);
    for day in 0..3i64 {
        world.write(&format!("raw/dt=1970-01-0{}/a.parquet", day + 1), &[("u", day + 1, Some(5.0), day * 86_400, day * 86_400)]).await;
    }
    world.clock.set(4 * DAY);
    let all = futures::future::join_all((0..4).map(|_| world.run(&Mode::Incremental))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(world.items().await, [1, 2, 3]);
    assert_eq!(world.backfill.history.snapshot().await.unwrap().map(|s| (s.version, s.backfill)), Some((1, 1)));
}

#[tokio::test]
async fn rows_outside_retention_are_not_taken_and_sealed_buckets_leave_when_they_fall_out() {
    let mut short = plan(PartitionedBy::EventTime);
    short.retention_ms = Some(2 * 86_400_000);
    let world = World::of(short);
    for day in 0..6i64 {
        world
            .write(&format!("raw/dt=1970-01-0{}/a.parquet", day + 1), &[("u", day + 1, Some(5.0), day * 86_400 + 5, day * 86_400 + 6)])
            .await;
    }
    // Nothing is sealed yet: there is no newest event to count retention from.
    world.clock.set(10 * DAY);
    world.sealed(&Mode::Incremental).await;
    assert_eq!(world.items().await, [1, 2, 3, 4, 5, 6]);
    world.write("raw/dt=1970-01-01/late.parquet", &[("u", 9, Some(5.0), 7, 8)]).await;
    let report = world.sealed(&Mode::Incremental).await;
    assert_eq!((report.sealed.counts.left_out, report.sealed.dropped), (1, 3));
    assert_eq!(world.items().await, [4, 5, 6]);
}

#[tokio::test]
async fn a_plan_of_another_definition_is_not_executed_with_this_one() {
    let world = World::new(PartitionedBy::EventTime);
    world.write("raw/dt=1970-01-01/a.parquet", &[("u", 1, Some(5.0), 10, 11)]).await;
    world.clock.set(3 * DAY);
    let armed = faults::arm(faults::Point::TaskFile, 1, faults::Action::Error);
    world.run(&Mode::Incremental).await.unwrap_err();
    drop(armed);
    let mut other = plan(PartitionedBy::EventTime);
    other.lateness_ms += 1;
    let other = Backfill { history: History::new(world.lake.clone(), "s1", Arc::new(other)), ..world.backfill.clone() };
    assert_eq!(other.run(&Mode::Incremental, |_| {}).await.unwrap_err().kind(), ErrorKind::Invalid);
    world.sealed(&Mode::Incremental).await;
}

#[tokio::test]
async fn a_shutdown_stops_between_tasks_and_the_next_goes_on() {
    let world = World::new(PartitionedBy::EventTime);
    world.write("raw/dt=1970-01-01/a.parquet", &[("u", 1, Some(5.0), 10, 11)]).await;
    world.clock.set(3 * DAY);
    world.backfill.shutdown.cancel();
    assert_eq!(world.run(&Mode::Incremental).await.unwrap(), Outcome::Stopped);
    let next = Backfill { shutdown: CancellationToken::new(), ..world.backfill.clone() };
    assert!(matches!(next.run(&Mode::Incremental, |_| {}).await.unwrap(), Outcome::Sealed(_)));
}
