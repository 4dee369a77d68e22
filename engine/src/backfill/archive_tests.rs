use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use bytes::Bytes;
use futures::TryStreamExt;
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;
use tress_configs::SignalPlan;

use super::*;
use crate::archive::Archive;
use crate::base::{self, Base, Demand, Demands, Residence};
use crate::clock::{Clock, FixedClock};
use crate::decode::Decoder;
use crate::entity::Entity;
use crate::error::ErrorKind;
use crate::faults::{self, Point};
use crate::history::{History, Scan};
use crate::lake::Lake;
use crate::log::{Log, MemoryLog, NewRecord, Position};
use crate::pipeline::Pipeline;
use crate::pipeline::fixture::ratings;
use crate::raw::Reason;
use crate::read::{Bounds, Index, Part, Resolved};
use crate::rows::{Rows, col};
use crate::run::{NO_FLOOR, sort};

const TOPIC: &str = "ratings";

/// A topic, its archive, a history and a base.
struct World {
    folder: tempfile::TempDir,
    log: Arc<MemoryLog>,
    clock: Arc<FixedClock>,
    plan: Arc<SignalPlan>,
}

#[derive(Debug, Clone)]
struct Raw {
    user: u8,
    item: i64,
    rating: f32,
    /// Seconds.
    ts: i64,
    updated_at: i64,
    op: &'static str,
    partition: i32,
}

impl Raw {
    fn record(&self) -> NewRecord {
        let Self { user, item, rating, ts, updated_at, op, partition: _ } = self;
        let payload = format!(
            r#"{{"user_id":"u{user}","item_id":{item},"rating":{rating},"ts":{ts},"kind":"rating","op":"{op}","updated_at":{updated_at},"tags":["a","b{item}"]}}"#
        );
        NewRecord { key: None, payload: Bytes::from(payload), headers: Vec::new(), timestamp: Some(ts * 1000 + updated_at) }
    }
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(FixedClock::new(1_000_000));
        let log = Arc::new(MemoryLog::new(Arc::clone(&clock) as Arc<dyn Clock>));
        log.create(TOPIC, 2).await.unwrap();
        Self { folder: tempfile::tempdir().unwrap(), log, clock, plan: Arc::new(ratings()) }
    }

    fn lake(&self) -> Lake {
        Lake::local(self.folder.path()).unwrap()
    }

    fn history(&self) -> History {
        History::new(self.lake(), "s1", Arc::clone(&self.plan))
    }

    async fn append(&self, raws: &[Raw]) {
        for raw in raws {
            self.log.append(TOPIC, raw.partition, vec![raw.record()]).await.unwrap();
        }
    }

    async fn archive(&self) -> crate::Result<Archive> {
        let world = (Arc::clone(&self.log) as Arc<dyn Log>, Arc::clone(&self.clock) as Arc<dyn Clock>);
        Archive::open(world, self.lake(), "main", TOPIC).await
    }

    /// A process of its own: nothing is remembered from the one before.
    async fn backfill(&self) -> crate::Result<Backfill> {
        let archive = self.archive().await?;
        let id = self.log.id(TOPIC).await?;
        Ok(Backfill {
            history: self.history(),
            raw: Arc::new(ArchivedTopic::new(archive.table().clone(), id, Arc::clone(&self.plan), Arc::new(Decoder::new(&self.plan)?))),
            tables: Tables { plan: Arc::clone(&self.plan), lakes: BTreeMap::new() },
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            parallelism: 2,
            shutdown: CancellationToken::new(),
        })
    }

    /// Archives what is there, folds it, and makes base.
    async fn fold(&self, mode: &Mode) -> crate::Result<Outcome> {
        self.archive().await?.archive_now().await?;
        let outcome = self.backfill().await?.run(mode, |_| {}).await?;
        base::update(&self.history(), &demands()).await?;
        Ok(outcome)
    }

    async fn stored(&self) -> RecordBatch {
        let history = self.history();
        let snapshot = history.snapshot().await.unwrap().expect("a table");
        let batches: Vec<RecordBatch> = history.scan(snapshot.files, Scan::default()).try_collect().await.unwrap();
        concat_batches(history.schema(), &batches).unwrap()
    }

    /// What the stream makes of the whole topic.
    async fn streamed(&self) -> RecordBatch {
        let (decoder, pipeline) = (Decoder::new(&self.plan).unwrap(), Pipeline::new(Arc::clone(&self.plan), Vec::new()).unwrap());
        let mut batches = Vec::new();
        for (partition, ends) in (0..).zip(self.log.ends(TOPIC).await.unwrap()) {
            let from = Position { partition, offset: ends.start };
            let records = self.log.read(TOPIC, from, usize::MAX, Duration::ZERO).await.unwrap().records;
            batches.push(pipeline.process(&decoder.decode_records(partition, &records).await.unwrap(), 0).await.unwrap().rows);
        }
        concat_batches(self.history().schema(), &batches).unwrap()
    }

    /// Stream, history and base say the same of every entity, as far as base says anything.
    async fn check(&self) {
        let raw = self.streamed().await;
        assert_eq!(resolved(&self.stored().await, NO_FLOOR), resolved(&raw, NO_FLOOR));
        let manifest = base::Manifest::newest(&self.history()).await.unwrap().expect("a manifest");
        let base = Base::load(&self.lake(), manifest, &Residence::Memory, None).await.unwrap();
        for user in 0..4 {
            let entity = Entity::String(format!("u{user}"));
            let found = base.find(&entity, entity.hash());
            let parts: Vec<RecordBatch> = found.parts.iter().map(|(run, rows)| run.batch(rows.clone()).unwrap()).collect();
            let held = concat_batches(self.history().schema(), &parts).unwrap();
            assert_eq!(resolved(&held, found.floor), resolved(&of(&raw, &entity), found.floor), "{entity}");
        }
    }
}

fn of(batch: &RecordBatch, entity: &Entity) -> RecordBatch {
    let own = (0u32..).take(batch.num_rows()).filter(|row| entity.is_at(batch.column(col::ENTITY), *row as usize));
    take_record_batch(batch, &UInt32Array::from_iter_values(own)).unwrap()
}

fn demands() -> Demands {
    let demand = Demand {
        feature: "f".into(),
        filter: None,
        filter_columns: Vec::new(),
        required_found: 0,
        length: 2,
        share: None,
        deduplicate: Vec::new(),
        window_ms: None,
    };
    Demands { epoch: 1, list: vec![demand] }
}

/// Winners at or above `floor`, without what says which copy it was: the number of the backfill and the position.
fn resolved(batch: &RecordBatch, floor: i64) -> RecordBatch {
    let rows = Rows::new(sort(batch.clone()).unwrap()).unwrap();
    let mut winners = Vec::new();
    let mut start = 0;
    for end in 1..=rows.len() {
        if end < rows.len() && Entity::at(rows.entity(), start).is_at(rows.entity(), end) {
            continue;
        }
        let parts = [Part::new(rows.columns(), Index::Range(start..end))];
        let bounds = Bounds { lower: floor, upper: i64::MAX, known_by: i64::MAX };
        winners.extend(Resolved::new(&parts, bounds).map(|pick| u32::try_from(pick.row).unwrap()));
        start = end;
    }
    let mut batch = take_record_batch(rows.batch(), &UInt32Array::from(winners)).unwrap();
    for column in [col::BACKFILL, col::OFFSET, col::PARTITION] {
        batch.remove_column(column);
    }
    batch
}

fn sealed(outcome: Outcome) -> Report {
    match outcome {
        Outcome::Sealed(report) => report,
        other => panic!("{other:?}"),
    }
}

fn raw(item: i64, ts: i64) -> Raw {
    Raw { user: 1, item, rating: 5.0, ts, updated_at: 1, op: "u", partition: 0 }
}

fn some(range: std::ops::Range<i64>) -> Vec<Raw> {
    range.map(|i| Raw { user: (i % 4) as u8, partition: (i % 2) as i32, ..raw(i + 1, i * 5_000) }).collect()
}

#[tokio::test]
async fn each_backfill_takes_what_is_new_and_its_cut_says_so() {
    let world = World::new().await;
    assert_eq!(world.fold(&Mode::Incremental).await.unwrap(), Outcome::UpToDate);
    world.append(&some(0..40)).await;
    let first = sealed(world.fold(&Mode::Incremental).await.unwrap());
    let id = world.log.id(TOPIC).await.unwrap();
    let cut = |end| Cut::Offsets { cluster: id.cluster.clone(), topic: id.topic.clone(), ends: [(0, end), (1, end)].into() };
    assert_eq!((first.backfill, &first.cut, first.sealed.counts.read), (1, &cut(20), 40));
    assert_eq!(world.fold(&Mode::Incremental).await.unwrap(), Outcome::UpToDate);
    world.append(&some(40..50)).await;
    world.log.append(TOPIC, 0, vec![NewRecord { payload: Bytes::from_static(b"{"), ..NewRecord::default() }]).await.unwrap();
    let second = sealed(world.fold(&Mode::Incremental).await.unwrap());
    assert_eq!((second.backfill, second.sealed.counts.read, second.sealed.counts.rows), (2, 11, 10));
    assert!(second.cut.reaches(&first.cut));
    world.check().await;
}

#[tokio::test]
async fn restating_takes_sealed_records_only_and_leaves_the_cut() {
    let world = World::new().await;
    world.append(&some(0..40)).await;
    let first = sealed(world.fold(&Mode::Incremental).await.unwrap());
    world.append(&some(0..4)).await;
    let names = ["1970-01-01"];
    let buckets = Buckets::of_names(names, world.plan.bucket).unwrap();
    let restated = sealed(world.fold(&Mode::Restate(buckets)).await.unwrap());
    assert_eq!((restated.cut, restated.sealed.counts.read, restated.sealed.removed), (first.cut, 40, 1));
    assert_eq!(restated.sealed.counts.rows, 18);
    let third = sealed(world.fold(&Mode::Incremental).await.unwrap());
    assert_eq!(third.sealed.counts.read, 4);
    world.check().await;
    let all = sealed(world.fold(&Mode::Restate(Buckets::All)).await.unwrap());
    assert_eq!(all.sealed.counts.read, 44);
    world.check().await;
}

#[tokio::test]
async fn a_record_stamped_beyond_the_year_9999_is_a_dead_letter_as_in_the_stream_and_all_others_are_folded() {
    let world = World::new().await;
    world.append(&some(0..10)).await;
    let far = NewRecord { timestamp: Some(i64::MAX), ..raw(1, 1).record() };
    world.log.append(TOPIC, 0, vec![far]).await.unwrap();
    let report = sealed(world.fold(&Mode::Incremental).await.unwrap());
    assert_eq!((report.sealed.counts.read, report.sealed.counts.rows), (11, 10));
    assert_eq!(report.sealed.counts.dead, BTreeMap::from([(Reason::NoAvailableAt, 1)]));
    world.check().await;
}

#[tokio::test]
async fn a_topic_that_was_made_anew_is_refused_and_history_stays() {
    let world = World::new().await;
    world.append(&some(0..10)).await;
    world.fold(&Mode::Incremental).await.unwrap();
    world.log.delete(TOPIC).await.unwrap();
    world.log.create(TOPIC, 2).await.unwrap();
    world.append(&some(0..30)).await;
    let refused = world.fold(&Mode::Incremental).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("made again"), "{refused}");
    assert_eq!(world.history().snapshot().await.unwrap().map(|s| s.backfill), Some(1));
}

#[tokio::test]
async fn killed_at_any_step_again_and_again_nothing_is_lost_and_nothing_is_there_twice() {
    let points = [
        Point::ArchiveCommit,
        Point::ArchiveCommitted,
        Point::WorkPlanPut,
        Point::TaskFile,
        Point::TaskManifest,
        Point::SealCommit,
        Point::SealCommitted,
        Point::BaseRun,
        Point::BaseManifest,
    ];
    let world = World::new().await;
    let mut rows = 0;
    for (round, point) in (0..).zip(points) {
        world.append(&some(round * 10..round * 10 + 10)).await;
        rows += 10;
        let armed = faults::arm(point, 1, faults::Action::Error);
        world.fold(&Mode::Incremental).await.unwrap_err();
        assert_eq!(armed.hits(), 1, "{point:?}");
        drop(armed);
        world.fold(&Mode::Incremental).await.unwrap();
        world.check().await;
        assert_eq!(world.stored().await.num_rows(), rows, "{point:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]
    #[test]
    fn any_schedule_of_archiving_folding_and_restating_gives_what_the_stream_gives(
        raws in prop::collection::vec((0..3u8, 1..4i64, 0..40i64, 0..4i64, 0..6u8, 0..2i32), 60..140),
        steps in prop::collection::vec((1..40usize, 0..6u8), 1..6),
    ) {
        let raws: Vec<Raw> = raws.into_iter().map(|(user, item, ts, updated_at, kind, partition)| Raw {
            user,
            item,
            rating: if kind == 1 { 0.1 } else { f32::from(kind) },
            ts: ts * 10_000,
            updated_at,
            op: if kind == 0 { "d" } else { "u" },
            partition,
        }).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let mut left = raws.as_slice();
            for (count, action) in steps {
                let (now, later) = left.split_at(count.min(left.len()));
                left = later;
                world.append(now).await;
                match action {
                    0 => drop(world.archive().await.unwrap().archive_now().await.unwrap()),
                    1 if world.history().snapshot().await.unwrap().is_some_and(|s| s.backfill > 0) => {
                        let buckets = Buckets::of_names(["1970-01-02", "1970-01-04"], world.plan.bucket).unwrap();
                        world.fold(&Mode::Restate(buckets)).await.unwrap();
                    }
                    2 => drop(world.fold(&Mode::Restate(Buckets::All)).await.unwrap()),
                    _ => drop(world.fold(&Mode::Incremental).await.unwrap()),
                }
            }
            world.append(left).await;
            world.fold(&Mode::Incremental).await.unwrap();
            world.check().await;
        });
    }
}
