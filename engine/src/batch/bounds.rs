//! What of the rows a read at one moment can use at all: the rest is dropped where it is scanned.

use std::ops::RangeInclusive;

use arrow::array::RecordBatch;

use crate::entity::Entity;
use crate::error::Result;
use crate::read::{Feature, Query};
use crate::rows::Rows;

/// The event times, µs, that a signal can give to a read as of `as_of`. All states of an event share its time: what is dropped by it
/// decides nothing.
pub fn of(feature: &Feature, signal: usize, as_of: i64) -> RangeInclusive<i64> {
    // Bounds are the same for every entity.
    let bounds = feature.bounds(signal, &Query::new(Entity::Int64(0), as_of));
    bounds.lower..=bounds.upper
}

/// The rows within bounds.
///
/// # Errors
/// `Corrupt` when these are no rows.
pub fn within(batch: &RecordBatch, times: &RangeInclusive<i64>) -> Result<Vec<u32>> {
    let rows = Rows::new(batch.clone())?;
    Ok((0u32..).zip(rows.event_time()).filter_map(|(row, time)| times.contains(time).then_some(row)).collect())
}
