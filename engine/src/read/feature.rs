//! A feature's plan, bound to the plans of its signals and ready to read.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use tress_configs::column::{ColumnType, Scalar};
use tress_configs::plan::{SignalRead, ViewPlan};
use tress_configs::{FeaturePlan, SignalPlan};

use super::condition::Condition;
use super::key::Keys;
use super::view;
use crate::error::{Context, Error, Result};

/// A compiled read.
#[derive(Debug)]
pub struct Feature {
    plan: Arc<FeaturePlan>,
    signals: Vec<Arc<SignalPlan>>,
    reads: Vec<Read>,
    keys: Keys,
    /// Of events, before the view.
    events: SchemaRef,
    schema: SchemaRef,
}

/// One signal, compiled.
#[derive(Debug)]
pub(crate) struct Read {
    /// Per column of the feature: the signal's column, `None` where the signal has none of that name.
    pub sources: Vec<Option<usize>>,
    pub filter: Option<Condition>,
    pub required_found: i32,
    /// Its share at most; `None` = as many as are asked for, and deduplication may go through more to find them.
    pub length: Option<usize>,
    /// µs
    pub retention: Option<i64>,
    /// What the signal is called in an answer.
    pub label: String,
}

/// Columns that an answer of events has before the plan's.
pub(super) const EVENT_COLUMNS: usize = 2;

impl Feature {
    /// `signals`: the plans of the feature's signals, in the plan's order.
    ///
    /// # Errors
    /// `Invalid` when a signal's plan is not the one that the feature was compiled against.
    pub fn new(plan: Arc<FeaturePlan>, signals: Vec<Arc<SignalPlan>>) -> Result<Self> {
        if plan.signals.len() != signals.len() {
            return Err(Error::invalid(format!(
                "load {}: it reads {} signals, {} were given",
                plan.name,
                plan.signals.len(),
                signals.len()
            )));
        }
        let reads = plan.signals.iter().zip(&signals).map(|(read, signal)| bind(&plan, read, signal)).collect::<Result<Vec<_>>>()?;
        let mut fields = vec![
            Field::new("event_time", ColumnType::scalar(Scalar::Timestamp).arrow(), false),
            Field::new("signal", DataType::Utf8, false),
        ];
        fields.extend(plan.columns.iter().map(tress_configs::plan::ColumnPlan::output_field));
        let events = Arc::new(Schema::new(fields));
        let schema = match &plan.view {
            ViewPlan::Events => Arc::clone(&events),
            ViewPlan::Sessions { .. } => view::session_schema(&events),
            ViewPlan::Objects { .. } => view::object_schema(&events),
        };
        let keys = Keys::new(&plan, &reads, &plan.deduplicate)?;
        Ok(Self { plan, signals, reads, keys, events, schema })
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

    pub(super) const fn events(&self) -> &SchemaRef {
        &self.events
    }

    pub(super) const fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn reads(&self) -> &[Read] {
        &self.reads
    }
}

fn bind(plan: &FeaturePlan, read: &SignalRead, signal: &SignalPlan) -> Result<Read> {
    if read.name != signal.name || read.schema_version != signal.schema_version {
        return Err(Error::invalid(format!("load {}: it reads signal {}, {} was given", plan.name, read.name, signal.name)));
    }
    let source = |name: &str| {
        signal.columns.iter().position(|c| c.name == name).ok_or_else(|| {
            Error::invalid(format!(
                "load {}: signal {} has no column {name}; compile the feature against this revision",
                plan.name, signal.name
            ))
        })
    };
    let sources = plan
        .columns
        .iter()
        .map(|column| {
            let Some(from) = read.columns.iter().find(|c| c.output == column.name) else { return Ok(None) };
            let index = source(&from.source)?;
            if signal.columns[index].column_type.arrow() != column.column_type.arrow() {
                return Err(Error::invalid(format!(
                    "load {}: column {} of signal {} has another type",
                    plan.name, from.source, signal.name
                )));
            }
            Ok(Some(index))
        })
        .collect::<Result<Vec<_>>>()?;
    let filter = read.filter.as_ref().map(|expression| Condition::new(expression, &read.filter_columns, signal)).transpose();
    let filter = filter.context(|| format!("load {}", plan.name))?;
    Ok(Read {
        sources,
        filter,
        required_found: read.required_found,
        length: read.length.map(|length| length as usize),
        retention: signal.retention_ms.map(|ms| ms.saturating_mul(1000)),
        label: signal.name.to_string(),
    })
}
