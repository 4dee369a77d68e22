//! Executors: the business logic that turns a raw event into enriched records. The framework does everything around it.

mod builtin;
mod declarative;
mod explode;
pub(crate) mod expression;

use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::datatypes::{Schema, SchemaRef};
use thiserror::Error;
use tress_configs::SignalPlan;
use tress_configs::plan::ExecutorPlan;

pub use self::builtin::{Builtin, Declared, OptionSpec, Options};
use self::declarative::Declarative;
use crate::error::Result;

/// Turns raw events into enriched records.
///
/// # Contract
/// - *Pure*: `execute(a ++ b) == execute(a) ++ execute(b)`; the same answer always. No time, no randomness, no state.
/// - *Order*: the records of a raw event follow one another, and those of an earlier one come first: `source_row` never falls.
///   Their order within a raw event is their ordinal, so it may depend on that event only.
/// - *Errors*: a batch that fails is given again row by row; the rows that fail alone are put aside, the others go on.
pub trait Executor: Send + Sync + std::fmt::Debug {
    /// Of the records: what the executor adds to the raw fields.
    fn schema(&self) -> SchemaRef;
    /// `raw`: the plan's raw schema. Every required field is there.
    fn execute(&self, raw: &RecordBatch) -> Result<Executed, ExecuteError>;
}

/// What a batch of raw events became: none, one or more records of each.
#[derive(Debug, Clone)]
pub struct Executed {
    /// Of the executor's schema.
    pub records: RecordBatch,
    /// Per record: its row in the raw batch. No nulls; never falls.
    pub source_row: UInt32Array,
}

/// An executor cannot do these rows.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {message}")]
pub struct ExecuteError {
    /// The field, column or expression that failed.
    pub field: String,
    /// Why. Never holds a value of an event when it is shown: only `field` leaves the pipeline.
    pub message: String,
}

/// The executor of a plan.
///
/// # Errors
/// `Invalid` when an expression does not reach the type that the plan states, or a built-in one is unknown or refuses its options.
pub fn build(plan: &SignalPlan) -> Result<Arc<dyn Executor>> {
    match &plan.executor {
        ExecutorPlan::Declarative { filter, derive } => Ok(Arc::new(Declarative::new(validated_schema(plan), filter.as_ref(), derive)?)),
        ExecutorPlan::Builtin { name, options, columns } => builtin::build(name, options, &Declared { plan, columns }),
    }
}

/// The schema of raw events that have been validated: what is required is there. Expressions are typed against it.
pub(crate) fn validated_schema(plan: &SignalPlan) -> SchemaRef {
    Arc::new(Schema::new(plan.event.fields.iter().map(|f| f.column_type.field(&f.name, f.nullable)).collect::<Vec<_>>()))
}
