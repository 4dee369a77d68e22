//! The batch view: every enriched event of a signal revision, columnar, in time buckets; what batch and training read.
//!
//! ```text
//! rows ─▶ encode (Parquet, sorted) ─▶ commit (one per seal) ─▶ Delta table ─▶ snapshot ─▶ scan ─▶ rows
//! ```
//!
//! A history is a Delta table that any engine reads. Progress lives with the data: each seal commits the transactions
//! [`commit::BACKFILL`] (the backfill that was sealed last) and [`commit::CUT`] (the backfill whose cut is in effect; work plans are
//! immutable, so the number stands for all that its plan says).

pub(crate) mod agreement;
mod aside;
pub mod bucket;
pub mod commit;
mod encode;
mod pin;
pub(crate) mod reader;
mod scan;
mod schema;
mod snapshot;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use tress_configs::SignalPlan;

pub(crate) use aside::aside;
pub use commit::{Commit, Committed, NewFile};
pub use encode::{Encoder, FileStats, encode};
pub use scan::{OpenFile, Scan};
pub use snapshot::{HistoryFile, Snapshot};

use crate::lake::Lake;
use crate::rows::row_schema;

/// The history of one signal revision. Cheap to clone.
#[derive(Debug, Clone)]
pub struct History {
    lake: Lake,
    uid: Arc<str>,
    plan: Arc<SignalPlan>,
    /// Of rows.
    schema: SchemaRef,
}

impl History {
    /// `uid`: of the signal revision.
    #[must_use]
    pub fn new(lake: Lake, uid: &str, plan: Arc<SignalPlan>) -> Self {
        let schema = row_schema(&plan);
        Self { lake, uid: uid.into(), plan, schema }
    }

    #[must_use]
    pub const fn lake(&self) -> &Lake {
        &self.lake
    }

    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }

    #[must_use]
    pub const fn plan(&self) -> &Arc<SignalPlan> {
        &self.plan
    }

    /// The schema of rows that scans give, when they project nothing away.
    #[must_use]
    pub const fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
