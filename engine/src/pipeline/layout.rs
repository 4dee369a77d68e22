//! Where everything of a plan is found in a batch: names resolved to positions, once.

use arrow::datatypes::SchemaRef;
use tress_configs::SignalPlan;
use tress_configs::column::ColumnType;
use tress_configs::definition::TimeUnit;
use tress_configs::plan::{AvailableAtPlan, Origin};

use crate::error::{Error, Result};
use crate::rows::row_schema;

/// A raw field: its position, its name for messages.
#[derive(Debug, Clone)]
pub(super) struct FieldRef {
    pub index: usize,
    pub name: String,
}

#[derive(Debug, Clone)]
pub(super) struct TimeRef {
    pub field: FieldRef,
    pub unit: TimeUnit,
}

#[derive(Debug, Clone)]
pub(super) enum AvailableAt {
    RecordTimestamp,
    Field(TimeRef),
    /// After the event's time, microseconds.
    Delay(i64),
}

/// Where a column of a record comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Raw(usize),
    Executor(usize),
    Enrichment { enrichment: usize, column: usize },
}

#[derive(Debug)]
pub(super) struct Layout {
    pub entity: FieldRef,
    pub time: TimeRef,
    pub available_at: AvailableAt,
    pub id: Vec<FieldRef>,
    pub version: Option<FieldRef>,
    /// Fields that are not nullable.
    pub required: Vec<FieldRef>,
    /// Microseconds.
    pub max_future_skew: i64,
    pub keeps_tombstones: bool,
    /// Of the signal's columns, in order.
    pub columns: Vec<Place>,
    pub schema: SchemaRef,
    pub raw: SchemaRef,
    pub executor: SchemaRef,
}

impl Layout {
    /// # Errors
    /// `Invalid` when the plan names what it does not declare, or gives a type where it cannot be.
    pub(super) fn new(plan: &SignalPlan, executor: &SchemaRef) -> Result<Self> {
        let raw = plan.raw_schema();
        let field = |name: &str| -> Result<FieldRef> {
            let index = raw.index_of(name).map_err(|_| unknown(plan, name))?;
            Ok(FieldRef { index, name: name.to_owned() })
        };
        let time = |name: &str, unit| Ok::<_, Error>(TimeRef { field: field(name)?, unit });
        let column = |place: Option<usize>, name: &str| place.ok_or_else(|| unknown(plan, name));
        let mut columns = Vec::with_capacity(plan.columns.len());
        for c in &plan.columns {
            let (place, found) = match c.origin {
                Origin::Raw => {
                    let index = field(&c.name)?.index;
                    (Place::Raw(index), raw.field(index).data_type().clone())
                }
                Origin::Executor => {
                    let index = column(executor.index_of(&c.name).ok(), &c.name)?;
                    (Place::Executor(index), executor.field(index).data_type().clone())
                }
                Origin::Enrichment(enrichment) => {
                    let enrichment = enrichment as usize;
                    let columns = plan.enrichments.get(enrichment).map(|e| e.columns.as_slice()).unwrap_or_default();
                    let index = column(columns.iter().position(|e| e.name == c.name), &c.name)?;
                    (Place::Enrichment { enrichment, column: index }, columns[index].column_type.arrow())
                }
                Origin::Signals => return Err(Error::invalid(format!("signal {}: column {} is one of a feature", plan.name, c.name))),
            };
            if found != c.column_type.arrow() {
                return Err(Error::invalid(format!(
                    "signal {}: column {} is {}, but its source gives {found}",
                    plan.name, c.name, c.column_type
                )));
            }
            columns.push(place);
        }
        let entity = field(&plan.entity.field)?;
        if *raw.field(entity.index).data_type() != ColumnType::scalar(plan.entity.scalar).arrow() {
            return Err(Error::invalid(format!(
                "signal {}: field {} is not the {} that entities are",
                plan.name, entity.name, plan.entity.scalar
            )));
        }
        Ok(Self {
            entity,
            time: time(&plan.event.time.field, plan.event.time.unit)?,
            available_at: match &plan.event.available_at {
                AvailableAtPlan::RecordTimestamp => AvailableAt::RecordTimestamp,
                AvailableAtPlan::Field(t) => AvailableAt::Field(time(&t.field, t.unit)?),
                AvailableAtPlan::EventTime { delay_ms } => AvailableAt::Delay(micros(*delay_ms)),
            },
            id: plan.event.id.iter().map(|name| field(name)).collect::<Result<_>>()?,
            version: plan.event.version.as_deref().map(field).transpose()?,
            required: plan.event.fields.iter().filter(|f| !f.nullable).map(|f| field(&f.name)).collect::<Result<_>>()?,
            max_future_skew: micros(plan.max_future_skew_ms),
            keeps_tombstones: plan.keeps_tombstones(),
            columns,
            schema: row_schema(plan),
            raw,
            executor: executor.clone(),
        })
    }

    /// A column that an enrichment may take as its key: of the executor, or a raw field.
    pub(super) fn key(&self, name: &str) -> Option<Place> {
        let executor = self.executor.index_of(name).ok().map(Place::Executor);
        executor.or_else(|| self.raw.index_of(name).ok().map(Place::Raw))
    }
}

const fn micros(millis: i64) -> i64 {
    millis.saturating_mul(1000)
}

fn unknown(plan: &SignalPlan, name: &str) -> Error {
    Error::invalid(format!("signal {}: the plan names {name} but does not declare it; compile the definition again", plan.name))
}
