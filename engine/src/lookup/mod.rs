//! Enrichment: values for keys as of a time.

mod files;
mod index;
mod reload;
mod table;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use async_trait::async_trait;

pub use self::reload::{Refreshed, ReloadingLookup};
pub use self::table::TableLookup;
use crate::error::Result;

/// What was found for a batch of keys, row by row.
#[derive(Debug, Clone)]
pub struct Found {
    /// The enrichment's columns, in its order; null where nothing was found.
    pub columns: Vec<ArrayRef>,
    pub found: BooleanArray,
}

/// Values for keys as of a time. Rows align with the keys; the same answer for any batching.
#[async_trait]
pub trait Lookup: Send + Sync + std::fmt::Debug {
    /// `keys`: the plan's key columns, in its order. `as_of`: available_at of each event.
    async fn lookup(&self, keys: &RecordBatch, as_of: &TimestampMicrosecondArray) -> Result<Found>;
    /// Names the data that answers: a table's version. Equal identity, equal answers.
    fn identity(&self) -> String;
    /// The most bytes, as rows are judged by, that an answer for one key has; `None` = not known.
    fn widest_row(&self) -> Option<usize> {
        None
    }
}

#[cfg(test)]
mod tests;
