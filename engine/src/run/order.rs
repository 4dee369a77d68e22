//! The one order of rows: entity, then newest first, then what breaks ties.

use std::cmp::Ordering;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Int64Type};

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
    let rows = Rows::new(batch)?;
    let index = match rows.entity().data_type() {
        DataType::Int64 => {
            let entities = rows.entity().as_primitive::<Int64Type>().values();
            sorted(&rows, |i, j| entities[i].cmp(&entities[j]))
        }
        _ => {
            let entities = rows.entity().as_string::<i32>();
            sorted(&rows, |i, j| entities.value(i).cmp(entities.value(j)))
        }
    };
    match index {
        None => Ok(rows.batch().clone()),
        Some(index) => Ok(arrow::compute::take_record_batch(rows.batch(), &UInt32Array::from(index))?),
    }
}

/// The rows in order; `None` when they are.
fn sorted(rows: &Rows, by_entity: impl Fn(usize, usize) -> Ordering) -> Option<Vec<u32>> {
    let columns = rows.columns();
    // Hash and time decide nearly always: compared first, beside the index, without a look at the other columns.
    let order = |a: &(i64, i64, u32), b: &(i64, i64, u32)| {
        let (i, j) = (a.2 as usize, b.2 as usize);
        a.0.cmp(&b.0).then_with(|| by_entity(i, j)).then_with(|| a.1.cmp(&b.1)).then_with(|| compare_in_entity(columns, i, columns, j))
    };
    let mut keys: Vec<(i64, i64, u32)> =
        (0u32..).zip(rows.entity_hash().iter().zip(rows.event_time())).map(|(i, (hash, time))| (*hash, !*time, i)).collect();
    if keys.is_sorted_by(|a, b| order(a, b) != Ordering::Greater) {
        return None;
    }
    // Rows come as a few sorted files or runs, one after the other: a stable sort finds these and merges them.
    keys.sort_by(order);
    Some(keys.into_iter().map(|(_, _, i)| i).collect())
}
