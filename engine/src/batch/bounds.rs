//! What of the rows a read at one moment can use at all: the rest is dropped where it is scanned.

use std::ops::RangeInclusive;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;

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
pub fn keep(batch: RecordBatch, times: &RangeInclusive<i64>) -> Result<RecordBatch> {
    let rows = Rows::new(batch)?;
    let within = BooleanArray::from_iter(rows.event_time().iter().map(|time| Some(times.contains(time))));
    if within.true_count() == within.len() {
        return Ok(rows.batch().clone());
    }
    Ok(filter_record_batch(rows.batch(), &within)?)
}
