use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};

use super::*;
use crate::error::ErrorKind;

/// Rows of a signal without columns: (entity, event_time).
fn rows(of: &[(i64, i64)]) -> RecordBatch {
    use arrow::array::{ArrayRef, BooleanArray, Int32Array, Int64Array, TimestampMicrosecondArray};
    let long = |value: &dyn Fn(&(i64, i64)) -> i64| Arc::new(Int64Array::from_iter_values(of.iter().map(value))) as ArrayRef;
    let time = || Arc::new(TimestampMicrosecondArray::from_iter_values(of.iter().map(|r| r.1)).with_timezone("UTC")) as ArrayRef;
    let zero = || Arc::new(Int32Array::from_iter_values(of.iter().map(|_| 0))) as ArrayRef;
    let columns = [
        ("entity", long(&|r| r.0)),
        ("entity_hash", long(&|r| Entity::Int64(r.0).hash())),
        ("event_time", time()),
        ("event_id", long(&|_| 0)),
        ("ordinal", zero()),
        ("version", long(&|_| 0)),
        ("raw_hash", zero()),
        ("available_at", time()),
        ("deleted", Arc::new(BooleanArray::from(vec![false; of.len()])) as ArrayRef),
        ("found", zero()),
        ("partition", zero()),
        ("offset", long(&|_| 0)),
        ("backfill", zero()),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

#[test]
fn a_directory_that_does_not_fit_its_rows_is_refused() {
    let run = Run::from_rows(rows(&[(1, 5), (1, 3), (2, 9)])).expect("a run");
    let from = |hash: Vec<i64>, start: Vec<i32>, floor: Vec<i64>| {
        let directory = Directory {
            start: start.into(),
            floor: Packed::new(floor.into_iter()),
            settled: Flags::All(true),
            entity: Arc::new(Int64Array::from(vec![0; hash.len()])),
            hash: hash.into(),
        };
        Run::from_parts(run.rows().clone(), directory).map_err(|e| e.kind())
    };
    assert!(from(vec![1, 2], vec![0, 2, 3], vec![NO_FLOOR, 7]).is_ok());
    for (hash, start, floor) in [
        (vec![1, 2], vec![0, 2, 4], vec![0, 0]),
        (vec![1, 2], vec![0, 2, 2], vec![0, 0]),
        (vec![1, 2], vec![0, 4, 3], vec![0, 0]),
        (vec![1, 2], vec![-1, 2, 3], vec![0, 0]),
        (vec![1, 2], vec![1, 2, 3], vec![0, 0]),
        (vec![2, 1], vec![0, 2, 3], vec![0, 0]),
        (vec![1, 2], vec![0, 3], vec![0, 0]),
        (vec![1, 2], vec![], vec![0, 0]),
        (vec![1, 2], vec![0, 2, 3], vec![0]),
    ] {
        assert_eq!(from(hash, start, floor).err(), Some(ErrorKind::Corrupt));
    }
}

#[test]
fn an_entity_without_rows_has_an_entry_with_its_floor() {
    let mut floors = Floors::default();
    floors.set(Entity::Int64(1), 4);
    floors.set(Entity::Int64(8), 6);
    let run = Run::with_floors(rows(&[(1, 5), (2, 9)]), &floors).expect("a run");
    let of = |entity: i64| run.find(&Entity::Int64(entity), Entity::Int64(entity).hash());
    assert_eq!(of(1).map(|e| (e.rows.len(), e.floor)), Some((1, 4)));
    assert_eq!(of(2).map(|e| (e.rows.len(), e.floor)), Some((1, NO_FLOOR)));
    assert_eq!(of(8).map(|e| (e.rows.len(), e.floor)), Some((0, 6)));
    assert_eq!(of(9), None);
}

/// Entities 1 (with a floor), 2, 3 and, without rows, 8.
fn of_four() -> Run {
    let mut floors = Floors::default();
    floors.set(Entity::Int64(1), 4);
    floors.set(Entity::Int64(8), 6);
    Run::with_floors(rows(&[(1, 5), (2, 9), (1, 4), (3, 7)]), &floors).expect("a run")
}

#[test]
fn files_of_every_format_are_read() {
    let expected = of_four();
    let file = |format: u8| format!("{}/vectors/run-format-{format}.arrows", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("TRESS_BLESS").is_some() {
        std::fs::write(file(2), encode(&expected).expect("a file")).expect("written");
    }
    for format in [1, 2] {
        let run = open(std::path::Path::new(&file(format))).expect("a run");
        let all = |run: &Run| run.batch(0..run.rows().len()).expect("rows");
        assert_eq!(all(&run), all(&expected), "format {format}");
        for entity in [1, 2, 3, 8, 9].map(Entity::Int64) {
            assert_eq!(run.find(&entity, entity.hash()), expected.find(&entity, entity.hash()), "format {format}");
        }
    }
    let last = std::fs::read(file(2)).expect("the file of the last format");
    assert_eq!(encode(&expected).expect("a file"), last, "what is written now is of the last format");
}

#[test]
fn an_entity_is_settled_when_its_rows_need_no_resolving() {
    let settled = |of: &[(i64, i64)]| {
        let run = Run::from_rows(rows(of)).expect("a run");
        (0..run.directory().len()).map(|entry| run.directory().entry(entry).settled).collect::<Vec<_>>()
    };
    assert_eq!(settled(&[(1, 5), (1, 4), (1, 3)]), [true]);
    assert_eq!(settled(&[(1, 5), (1, 4), (1, 4)]), [false], "two copies");
    let mut deleted = rows(&[(1, 5), (1, 4)]);
    let at = crate::rows::col::DELETED;
    deleted.remove_column(at);
    let mut columns = deleted.columns().to_vec();
    columns.insert(at, Arc::new(arrow::array::BooleanArray::from(vec![false, true])));
    let deleted = RecordBatch::try_new(rows(&[]).schema(), columns).expect("rows");
    assert!(!Run::from_rows(deleted).expect("a run").directory().entry(0).settled, "a tombstone");
}

#[test]
fn a_hash_is_found_wherever_it_lies() {
    for hashes in [vec![], vec![7], vec![i64::MIN, i64::MAX], (0..1000i64).map(|i| i * i * i - 400_000_000).collect(), vec![3; 9]] {
        let around = hashes.iter().flat_map(|h: &i64| [h.saturating_sub(1), *h, h.saturating_add(1)]).chain([i64::MIN, 0, i64::MAX]);
        for hash in around {
            assert_eq!(first_at_or_above(&hashes, hash), hashes.partition_point(|h| *h < hash), "{hash}");
        }
    }
}

#[test]
fn what_repeats_takes_no_bytes() {
    let of = |count: i64| (0..count).map(|i| (i % 10, i)).collect::<Vec<_>>();
    let bytes = |count: i64| Run::dense(rows(&of(count))).expect("a run").bytes() as i64;
    // The identity takes 8 bytes, a time below 4096 a bit and a half; everything else is constant, or the time.
    assert!(bytes(4000) - bytes(2000) < 2000 * 10, "{}", bytes(4000) - bytes(2000));
}

#[test]
fn a_batch_in_order_is_not_sorted_again_and_any_other_is() {
    let ordered = Run::from_rows(rows(&[(1, 5), (2, 9), (1, 3)])).expect("a run");
    let all = ordered.batch(0..3).expect("rows");
    assert_eq!(sort(all.clone()).expect("sorted").column(3).to_data().buffers()[0].as_ptr(), all.column(3).to_data().buffers()[0].as_ptr());
    let other = Run::from_rows(rows(&[(1, 3), (1, 5), (2, 9)])).expect("a run");
    assert_eq!(other.batch(0..3).expect("rows"), all);
}
