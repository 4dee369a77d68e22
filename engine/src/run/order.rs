//! The one order of rows: entity, then newest first, then what breaks ties.

use std::cmp::Ordering;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Int64Type};

use crate::error::Result;
use crate::rows::Rows;

/// Compares row `i` of `a` with row `j` of `b`, both of one signal, across entities.
///
/// (entity_hash, entity, event_time desc, event_id, ordinal, then by the law: version desc, raw_hash desc, available_at, backfill desc,
/// position). Equal means: the same row.
#[must_use]
pub fn compare(a: &Rows, i: usize, b: &Rows, j: usize) -> Ordering {
    a.entity_hash()[i].cmp(&b.entity_hash()[j]).then_with(|| compare_entity(a, i, b, j)).then_with(|| compare_in_entity(a, i, b, j))
}

/// Compares two rows of one entity and one signal.
#[must_use]
pub fn compare_in_entity(a: &Rows, i: usize, b: &Rows, j: usize) -> Ordering {
    compare_identity(a, i, b, j)
        .then_with(|| a.ordinal()[i].cmp(&b.ordinal()[j]))
        .then_with(|| compare_law(a, i, b, j))
        .then_with(|| compare_position(a, i, b, j))
}

/// Among copies that the law does not tell apart, the one read from the first place comes first; no place comes before any.
#[must_use]
pub fn compare_position(a: &Rows, i: usize, b: &Rows, j: usize) -> Ordering {
    let position = |rows: &Rows, k: usize| {
        (rows.partition().is_valid(k).then(|| rows.partition().value(k)), rows.offset().is_valid(k).then(|| rows.offset().value(k)))
    };
    position(a, i).cmp(&position(b, j))
}

/// Newest first; equal = two states of one raw event.
#[must_use]
pub fn compare_identity(a: &Rows, i: usize, b: &Rows, j: usize) -> Ordering {
    b.event_time()[j].cmp(&a.event_time()[i]).then_with(|| a.event_id()[i].cmp(&b.event_id()[j]))
}

/// The law: who wins comes first. Greatest (version, raw_hash); among copies the earliest available_at, then the latest backfill.
#[must_use]
pub fn compare_law(a: &Rows, i: usize, b: &Rows, j: usize) -> Ordering {
    b.version()[j]
        .cmp(&a.version()[i])
        .then_with(|| b.raw_hash()[j].cmp(&a.raw_hash()[i]))
        .then_with(|| a.available_at()[i].cmp(&b.available_at()[j]))
        .then_with(|| b.backfill()[j].cmp(&a.backfill()[i]))
}

fn compare_entity(a: &Rows, i: usize, b: &Rows, j: usize) -> Ordering {
    match (a.entity().data_type(), b.entity().data_type()) {
        (DataType::Int64, DataType::Int64) => {
            a.entity().as_primitive::<Int64Type>().value(i).cmp(&b.entity().as_primitive::<Int64Type>().value(j))
        }
        (DataType::Utf8, DataType::Utf8) => a.entity().as_string::<i32>().value(i).cmp(b.entity().as_string::<i32>().value(j)),
        (a, b) => a.to_string().cmp(&b.to_string()),
    }
}

/// Sorts a batch of rows into the one order. A batch that is in order already is returned as it is.
///
/// # Errors
/// `Corrupt` when the batch has not the system columns.
pub fn sort(batch: RecordBatch) -> Result<RecordBatch> {
    let rows = Rows::new(batch)?;
    let in_order = (1..rows.len()).all(|i| compare(&rows, i - 1, &rows, i) != Ordering::Greater);
    if in_order {
        return Ok(rows.batch().clone());
    }
    // Hash and time decide nearly always: sorted first, beside the index, without a look at the other columns.
    let mut keys: Vec<(i64, i64, u32)> =
        (0u32..).zip(rows.entity_hash().iter().zip(rows.event_time())).map(|(i, (hash, time))| (*hash, !*time, i)).collect();
    keys.sort_unstable_by(|a, b| {
        a.0.cmp(&b.0)
            .then_with(|| compare_entity(&rows, a.2 as usize, &rows, b.2 as usize))
            .then_with(|| a.1.cmp(&b.1))
            .then_with(|| compare_in_entity(&rows, a.2 as usize, &rows, b.2 as usize))
            .then_with(|| a.2.cmp(&b.2))
    });
    let index = UInt32Array::from_iter_values(keys.into_iter().map(|(_, _, i)| i));
    Ok(arrow::compute::take_record_batch(rows.batch(), &index)?)
}
