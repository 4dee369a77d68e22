use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arrow::array::{ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::*;
use crate::backfill::Cut;
use crate::entity::Entity;
use crate::run::Run;

/// Rows (entity, event_time, offset) of one partition, without columns of a signal.
fn batch(rows: &[(&str, i64, i64)]) -> RecordBatch {
    let time = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
    let times = || Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|r| r.1)).with_timezone("UTC")) as ArrayRef;
    let int64 = |f: &dyn Fn(&(&str, i64, i64)) -> i64| Arc::new(Int64Array::from_iter_values(rows.iter().map(f))) as ArrayRef;
    let zeros = || Arc::new(Int32Array::from(vec![0; rows.len()])) as ArrayRef;
    let columns: Vec<(&str, DataType, bool, ArrayRef)> = vec![
        ("entity", DataType::Utf8, false, Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.0)))),
        ("entity_hash", DataType::Int64, false, int64(&|r| Entity::String(r.0.to_owned()).hash())),
        ("event_time", time.clone(), false, times()),
        ("event_id", DataType::Int64, false, int64(&|r| r.2)),
        ("ordinal", DataType::Int32, false, zeros()),
        ("version", DataType::Int64, false, int64(&|_| 0)),
        ("raw_hash", DataType::Int32, false, zeros()),
        ("available_at", time, false, times()),
        ("deleted", DataType::Boolean, false, Arc::new(BooleanArray::from(vec![false; rows.len()]))),
        ("found", DataType::Int32, false, zeros()),
        ("partition", DataType::Int32, true, zeros()),
        ("offset", DataType::Int64, true, int64(&|r| r.2)),
        ("backfill", DataType::Int32, false, zeros()),
    ];
    let schema = Schema::new(columns.iter().map(|c| Field::new(c.0, c.1.clone(), c.2)).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|c| c.3).collect()).unwrap()
}

fn shard(memory: usize, folder: Option<&std::path::Path>) -> Shard {
    Shard::new(Settings { memory, spill_to: folder.map(std::path::Path::to_owned) })
}

/// A base that covers offsets before `end`.
fn sealed_base(manifest: u64, generations: Vec<Arc<Run>>, end: i64) -> Sealed {
    let cut = Cut::Offsets { cluster: "c".to_owned(), topic: "t".to_owned(), ends: [(0, end)].into() };
    Sealed { manifest, generations, history: None, cut: Some(cut) }
}

/// Offsets that a read of `entity` sees, base included.
fn offsets(shard: &Shard, entity: &str) -> BTreeSet<i64> {
    let entity = Entity::String(entity.to_owned());
    let held = shard.read_set().hold(&entity, entity.hash());
    let source = held.source();
    let mut seen = BTreeSet::new();
    for part in &source.parts {
        let mut newest = i64::MAX;
        for at in 0..part.len() {
            let row = part.row(at);
            assert!(part.rows.event_time(row) <= newest, "a part is newest first");
            newest = part.rows.event_time(row);
            seen.insert(part.rows.offset(row).unwrap());
        }
    }
    seen
}

#[test]
fn every_row_is_seen_at_once_and_stays_through_freezes_merges_and_spills() {
    let folder = tempfile::tempdir().unwrap();
    let shard = shard(1, Some(folder.path()));
    let mut expected = BTreeSet::new();
    for step in 0..40i64 {
        let name = if step % 3 == 0 { "b" } else { "a" };
        shard.append(batch(&[(name, 100 - step, step * 2), ("a", step, step * 2 + 1)]), step + 1).unwrap();
        if name == "a" {
            expected.insert(step * 2);
        }
        expected.insert(step * 2 + 1);
        assert_eq!(offsets(&shard, "a"), expected);
        if step % 5 == 4 {
            shard.maintain().unwrap();
            assert_eq!(offsets(&shard, "a"), expected);
        }
    }
    assert_eq!(shard.position(), 40);
    assert!(std::fs::read_dir(folder.path()).unwrap().count() > 0, "over its budget a shard spills");
    drop(shard);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "what was spilled goes with the shard");
}

#[test]
fn what_is_mapped_by_an_older_shard_of_this_process_is_not_written_to_by_a_newer_one() {
    let folder = tempfile::tempdir().unwrap();
    // A signal that is stopped and started again: readers hold what the first has spilled.
    let spilled = |offset| {
        let shard = shard(0, Some(folder.path()));
        let empty = shard.read_set().tail_bytes();
        shard.append(batch(&[("a", offset, offset)]), 1).unwrap();
        shard.maintain().unwrap();
        assert_eq!(shard.read_set().tail_bytes(), empty, "it is on disk");
        shard
    };
    let (older, newer) = (spilled(1), spilled(2));
    assert_eq!((offsets(&older, "a"), offsets(&newer, "a")), (BTreeSet::from([1]), BTreeSet::from([2])));
    clear(folder.path()).unwrap();
    assert_eq!((offsets(&older, "a"), offsets(&newer, "a")), (BTreeSet::from([1]), BTreeSet::from([2])), "mapped files stay readable");
    assert_eq!(std::fs::read_dir(folder.path()).ok().map(Iterator::count), None);
}

#[test]
fn more_rows_than_fit_while_hot_are_frozen_on_the_way() {
    let shard = shard(usize::MAX, None);
    let rows: Vec<(&str, i64, i64)> = (0..20_000).map(|i| ("a", i, i)).collect();
    shard.append(batch(&rows), 1).unwrap();
    assert_eq!(offsets(&shard, "a").len(), 20_000);
}

#[test]
fn a_base_takes_over_exactly_the_rows_that_it_covers() {
    let shard = shard(usize::MAX, None);
    shard.append(batch(&[("a", 1, 1), ("a", 2, 2), ("a", 3, 3)]), 3).unwrap();
    let base = Arc::new(Run::from_rows(batch(&[("a", 1, 1), ("a", 2, 2)])).unwrap());
    shard.install(sealed_base(1, vec![base], 3)).unwrap();
    assert_eq!(offsets(&shard, "a"), BTreeSet::from([1, 2, 3]));
    assert_eq!(shard.read_set().tail_rows(), 1);
}

#[test]
fn an_older_base_does_not_replace_a_newer_one() {
    let shard = shard(usize::MAX, None);
    let run = |offset| vec![Arc::new(Run::from_rows(batch(&[("a", 1, offset)])).unwrap())];
    shard.install(sealed_base(2, run(2), 0)).unwrap();
    shard.install(sealed_base(1, run(1), 0)).unwrap();
    assert_eq!(offsets(&shard, "a"), BTreeSet::from([2]));
}

#[test]
fn what_a_reader_has_seen_never_vanishes_while_the_writer_works() {
    let shard = shard(usize::MAX, None);
    let acknowledged = AtomicI64::new(-1);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    let least = acknowledged.load(Ordering::Acquire);
                    let seen = offsets(&shard, "a");
                    let missing: Vec<i64> = (0..=least).filter(|offset| !seen.contains(offset)).collect();
                    assert!(missing.is_empty(), "acknowledged rows are not seen: {missing:?}");
                }
            });
        }
        let mut sealed = Vec::new();
        for offset in 0..400i64 {
            shard.append(batch(&[("a", offset % 7, offset)]), offset + 1).unwrap();
            acknowledged.store(offset, Ordering::Release);
            sealed.push(("a", offset % 7, offset));
            if offset % 11 == 0 {
                shard.maintain().unwrap();
            }
            if offset % 37 == 36 {
                let base = Arc::new(Run::from_rows(batch(&sealed)).unwrap());
                let manifest = offset as u64;
                shard.install(sealed_base(manifest, vec![base], offset + 1)).unwrap();
            }
        }
        done.store(true, Ordering::Release);
    });
}

#[test]
fn the_rows_of_one_append_are_seen_together() {
    let shard = shard(usize::MAX, None);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                assert_eq!(offsets(&shard, "a").len() % 3, 0);
            }
        });
        for step in 0..300i64 {
            shard.append(batch(&[("a", 1, step * 3), ("a", 1, step * 3 + 1), ("a", 1, step * 3 + 2)]), step).unwrap();
        }
        done.store(true, Ordering::Release);
    });
}

#[test]
fn a_snapshot_restored_gives_the_same_rows_and_position() {
    let first = shard(usize::MAX, None);
    first.append(batch(&[("a", 1, 1), ("b", 2, 2)]), 7).unwrap();
    let frozen = first.frozen().unwrap();
    let second = shard(usize::MAX, None);
    for run in &frozen.runs {
        second.restore(TailRun::in_memory(crate::run::read(crate::run::encode(run.run()).unwrap()).unwrap())).unwrap();
    }
    second.advance(frozen.position);
    assert_eq!(offsets(&second, "a"), offsets(&first, "a"));
    assert_eq!(second.position(), 7);
}

#[test]
fn rows_that_base_covers_leave_again_when_they_are_read_twice() {
    let shard = shard(usize::MAX, None);
    let base = Arc::new(Run::from_rows(batch(&[("a", 1, 1), ("a", 2, 2)])).unwrap());
    shard.install(sealed_base(1, vec![base], 3)).unwrap();
    shard.append(batch(&[("a", 1, 1), ("a", 2, 2), ("a", 3, 3)]), 3).unwrap();
    shard.maintain().unwrap();
    assert_eq!(offsets(&shard, "a"), BTreeSet::from([1, 2, 3]));
    assert_eq!(shard.read_set().tail_rows(), 1);
}
