//! The one order of rows: entity, then newest first, then what breaks ties.

use std::cmp::Ordering;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, interleave_record_batch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};

use crate::error::Result;
use crate::rows::{Columns, Rows};

/// Compares row `i` of `a` with row `j` of `b`, both of one signal, across entities.
///
/// (entity_hash, entity, event_time desc, event_id, ordinal, then by the law: version desc, raw_hash desc, available_at, backfill desc,
/// position). Equal means: the same row.
#[must_use]
pub fn compare(a: &Rows, i: usize, b: &Rows, j: usize) -> Ordering {
    a.entity_hash()[i]
        .cmp(&b.entity_hash()[j])
        .then_with(|| compare_entity(a.entity(), i, b.entity(), j))
        .then_with(|| compare_in_entity(a.columns(), i, b.columns(), j))
}

/// Compares two rows of one entity and one signal.
#[must_use]
pub fn compare_in_entity(a: &Columns, i: usize, b: &Columns, j: usize) -> Ordering {
    compare_identity(a, i, b, j)
        .then_with(|| a.ordinal(i).cmp(&b.ordinal(j)))
        .then_with(|| compare_law(a, i, b, j))
        .then_with(|| compare_position(a, i, b, j))
}

/// Among copies that the law does not tell apart, the one read from the first place comes first; no place comes before any.
#[must_use]
pub fn compare_position(a: &Columns, i: usize, b: &Columns, j: usize) -> Ordering {
    (a.partition(i), a.offset(i)).cmp(&(b.partition(j), b.offset(j)))
}

/// Newest first; equal = two states of one raw event.
#[must_use]
#[inline]
pub fn compare_identity(a: &Columns, i: usize, b: &Columns, j: usize) -> Ordering {
    b.event_time(j).cmp(&a.event_time(i)).then_with(|| a.event_id(i).cmp(&b.event_id(j)))
}

/// The law: who wins comes first. Greatest (version, raw_hash); among copies the earliest available_at, then the latest backfill.
#[must_use]
pub fn compare_law(a: &Columns, i: usize, b: &Columns, j: usize) -> Ordering {
    b.version(j)
        .cmp(&a.version(i))
        .then_with(|| b.raw_hash(j).cmp(&a.raw_hash(i)))
        .then_with(|| a.available_at(i).cmp(&b.available_at(j)))
        .then_with(|| b.backfill(j).cmp(&a.backfill(i)))
}

/// Compares two entities of columns of one type.
#[must_use]
pub fn compare_entity(a: &ArrayRef, i: usize, b: &ArrayRef, j: usize) -> Ordering {
    match (a.data_type(), b.data_type()) {
        (DataType::Int64, DataType::Int64) => a.as_primitive::<Int64Type>().value(i).cmp(&b.as_primitive::<Int64Type>().value(j)),
        (DataType::Utf8, DataType::Utf8) => a.as_string::<i32>().value(i).cmp(b.as_string::<i32>().value(j)),
        (a, b) => a.to_string().cmp(&b.to_string()),
    }
}

/// Sorts a batch of rows into the one order. A batch that is in order already is returned as it is.
///
/// # Errors
/// `Corrupt` when the batch has not the system columns.
pub fn sort(batch: RecordBatch) -> Result<RecordBatch> {
    match sorted(&[Rows::new(batch.clone())?]) {
        None => Ok(batch),
        Some(places) => {
            let index = UInt32Array::from_iter_values(places.into_iter().map(|(_, row)| row));
            Ok(arrow::compute::take_record_batch(&batch, &index)?)
        }
    }
}

/// All rows of several batches of `schema` in the one order.
///
/// # Errors
/// As [`sort`].
pub fn sort_all(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch> {
    let rows = batches.iter().map(|batch| Rows::new(batch.clone())).collect::<Result<Vec<_>>>()?;
    match sorted(&rows) {
        None => Ok(concat_batches(schema, batches)?),
        Some(places) => gather(batches, &places),
    }
}

/// The places of all rows of several batches in the one order: (batch, row).
#[must_use]
pub fn places(rows: &[Rows]) -> Vec<(u32, u32)> {
    let as_they_are = || (0u32..).zip(rows).flat_map(|(batch, rows)| (0u32..).take(rows.len()).map(move |row| (batch, row))).collect();
    sorted(rows).unwrap_or_else(as_they_are)
}

/// The rows at these places of several batches of one schema.
///
/// # Errors
/// `Internal` when there is no batch.
pub fn gather(batches: &[RecordBatch], places: &[(u32, u32)]) -> Result<RecordBatch> {
    let places: Vec<(usize, usize)> = places.iter().map(|(batch, row)| (*batch as usize, *row as usize)).collect();
    Ok(interleave_record_batch(&batches.iter().collect::<Vec<_>>(), &places)?)
}

/// A row that is being sorted: what decides nearly always beside its batch and its place there, to be compared without a look at the
/// columns: the hash, and the time with the newest first.
type Key = (i64, i64, u32, u32);

/// Where the rows are that come one after the other, (batch, row); `None` when they are in order.
fn sorted(rows: &[Rows]) -> Option<Vec<(u32, u32)>> {
    if rows.iter().all(|rows| *rows.entity().data_type() == DataType::Int64) {
        let entities: Vec<&[i64]> = rows.iter().map(|rows| rows.entity().as_primitive::<Int64Type>().values().as_ref()).collect();
        let entity = |key: &Key| entities[key.2 as usize][key.3 as usize];
        sorted_by(rows, |a, b| entity(a).cmp(&entity(b)))
    } else {
        let entities: Vec<&ArrayRef> = rows.iter().map(Rows::entity).collect();
        sorted_by(rows, |a, b| compare_entity(entities[a.2 as usize], a.3 as usize, entities[b.2 as usize], b.3 as usize))
    }
}

fn sorted_by(rows: &[Rows], by_entity: impl Fn(&Key, &Key) -> Ordering) -> Option<Vec<(u32, u32)>> {
    let order = |a: &Key, b: &Key| {
        let columns = |key: &Key| rows[key.2 as usize].columns();
        a.0.cmp(&b.0)
            .then_with(|| by_entity(a, b))
            .then_with(|| a.1.cmp(&b.1))
            .then_with(|| compare_in_entity(columns(a), a.3 as usize, columns(b), b.3 as usize))
    };
    let mut keys: Vec<Key> = Vec::with_capacity(rows.iter().map(Rows::len).sum());
    for (batch, rows) in (0u32..).zip(rows) {
        let times = rows.entity_hash().iter().zip(rows.event_time());
        keys.extend((0u32..).zip(times).map(|(row, (hash, time))| (*hash, !*time, batch, row)));
    }
    if keys.is_sorted_by(|a, b| order(a, b) != Ordering::Greater) {
        return None;
    }
    // Rows come as a few sorted files or runs, one after the other: a stable sort finds these and merges them.
    keys.sort_by(order);
    Some(keys.into_iter().map(|(_, _, batch, row)| (batch, row)).collect())
}
