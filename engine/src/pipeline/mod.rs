//! The one pipeline: where → validate → delete → filter → derive → enrich. Streaming, backfill and tests all call it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use tress_configs::SignalPlan;

use crate::error::Result;
use crate::lookup::Lookup;
use crate::raw::{DeadLetter, RawBatch};

/// A compiled plan, ready to run.
#[derive(Debug)]
pub struct Pipeline {
    plan: Arc<SignalPlan>,
    lookups: Vec<Arc<dyn Lookup>>,
}

/// What a batch of raw events became.
#[derive(Debug)]
pub struct Processed {
    /// Rows of [`crate::rows::row_schema`], in the order of their raw events; tombstones included.
    pub rows: RecordBatch,
    pub dead: Vec<DeadLetter>,
    /// Raw events that the source's `where` did not let in.
    pub not_ours: usize,
    /// Raw events that were ours, valid, and yielded nothing (filtered or deleted), whether or not a tombstone was kept.
    pub yielded_nothing: usize,
}

impl Pipeline {
    /// `lookups`: one per enrichment of the plan, in its order.
    ///
    /// # Errors
    /// `Invalid` when an expression does not reach the type that the plan states, or an executor is unknown.
    pub fn new(plan: Arc<SignalPlan>, lookups: Vec<Arc<dyn Lookup>>) -> Result<Self> {
        Ok(Self { plan, lookups })
    }

    #[must_use]
    pub const fn plan(&self) -> &Arc<SignalPlan> {
        &self.plan
    }

    /// Runs raw events through; what happens to a row is what would happen to it alone.
    /// `backfill`: the number of the backfill, 0 for the stream.
    ///
    /// # Errors
    /// Only for what is not a row's fault: a lookup that does not answer.
    pub async fn process(&self, _raw: &RawBatch, _backfill: i32) -> Result<Processed> {
        let _ = &self.lookups;
        unimplemented!()
    }
}
