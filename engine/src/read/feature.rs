//! A feature's plan, bound to the plans of its signals and ready to read.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use tress_configs::{FeaturePlan, SignalPlan};

use crate::error::Result;

/// A compiled read.
#[derive(Debug)]
pub struct Feature {
    plan: Arc<FeaturePlan>,
    signals: Vec<Arc<SignalPlan>>,
    schema: SchemaRef,
}

impl Feature {
    /// `signals`: the plans of the feature's signals, in the plan's order.
    ///
    /// # Errors
    /// `Invalid` when a signal's plan is not the one that the feature was compiled against.
    pub fn new(_plan: Arc<FeaturePlan>, _signals: Vec<Arc<SignalPlan>>) -> Result<Self> {
        unimplemented!()
    }

    #[must_use]
    pub const fn plan(&self) -> &Arc<FeaturePlan> {
        &self.plan
    }

    #[must_use]
    pub fn signals(&self) -> &[Arc<SignalPlan>] {
        &self.signals
    }

    /// What an answer has: for events `event_time`, `signal`, then the plan's columns; sessions and objects have columns of their own.
    #[must_use]
    pub const fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}
