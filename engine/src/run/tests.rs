use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::ScalarBuffer;

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
    let from = |hash: Vec<i64>, start: Vec<i32>, count: Vec<i32>, floor: Vec<i64>| {
        let ranges = (ScalarBuffer::from(start), ScalarBuffer::from(count));
        Run::from_parts(run.rows().clone(), hash.into(), ranges, floor.into()).map_err(|e| e.kind())
    };
    assert!(from(vec![1, 2], vec![0, 2], vec![2, 1], vec![NO_FLOOR, 7]).is_ok());
    for (hash, start, count, floor) in [
        (vec![1, 2], vec![0, 2], vec![2, 2], vec![0, 0]),
        (vec![1, 2], vec![0, -1], vec![2, 1], vec![0, 0]),
        (vec![1, 2], vec![0, 2], vec![2, -1], vec![0, 0]),
        (vec![1, 2], vec![0, i32::MAX], vec![2, i32::MAX], vec![0, 0]),
        (vec![2, 1], vec![0, 2], vec![2, 1], vec![0, 0]),
        (vec![1, 2], vec![0], vec![2, 1], vec![0, 0]),
        (vec![1, 2], vec![0, 2], vec![2], vec![0, 0]),
        (vec![1, 2], vec![0, 2], vec![2, 1], vec![0]),
    ] {
        assert_eq!(from(hash, start, count, floor).err(), Some(ErrorKind::Corrupt));
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

#[test]
fn a_batch_in_order_is_not_copied_and_any_other_is_sorted() {
    let ordered = Run::from_rows(rows(&[(1, 5), (2, 9), (1, 3)])).expect("a run");
    let times = |run: &Run| run.rows().event_time().to_vec();
    let again = Run::from_rows(ordered.rows().batch().clone()).expect("a run");
    assert_eq!(again.rows().event_time().as_ptr(), ordered.rows().event_time().as_ptr());
    let other = Run::from_rows(rows(&[(1, 3), (1, 5), (2, 9)])).expect("a run");
    assert_eq!(times(&other), times(&ordered));
}
