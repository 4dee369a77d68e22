//! What is carried of a row until it is chosen: its raw fields, what the executor made, its times; each array once.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit as ArrowUnit, TimestampMicrosecondType};
use tress_configs::SignalPlan;
use tress_configs::definition::TimeUnit;
use tress_configs::plan::{AvailableAtPlan, TimePlan};

use crate::error::{Error, Result};
use crate::pipeline::early::Early;

/// Where everything of a carried row is.
#[derive(Debug)]
pub struct Carried {
    pub schema: SchemaRef,
    fields: SchemaRef,
    own: SchemaRef,
    event_time: usize,
    available_at: usize,
    version: usize,
    deleted: Option<usize>,
}

impl Carried {
    /// `own`: the schema of the executor's records.
    pub fn new(plan: &SignalPlan, own: &SchemaRef) -> Self {
        let fields = plan.raw_schema();
        let mut all: Vec<Field> = fields.fields().iter().chain(own.fields()).map(|f| f.as_ref().clone().with_nullable(true)).collect();
        let mut extra = |name: &str, data_type: DataType| {
            all.push(Field::new(name, data_type, true));
            all.len() - 1
        };
        // A valid time that is written in microseconds is its field.
        let same = |time: &TimePlan| {
            let index = fields.index_of(&time.field).ok()?;
            let micros = DataType::Timestamp(ArrowUnit::Microsecond, None);
            let readable = match time.unit {
                TimeUnit::Micros => *fields.field(index).data_type() == DataType::Int64,
                TimeUnit::Timestamp => {
                    fields.field(index).data_type().equals_datatype(&micros) || is_micros(fields.field(index).data_type())
                }
                _ => false,
            };
            readable.then_some(index)
        };
        let event_time = same(&plan.event.time).unwrap_or_else(|| extra("event_time", DataType::Int64));
        let available_at = match &plan.event.available_at {
            AvailableAtPlan::Field(time) => same(time),
            AvailableAtPlan::EventTime { delay_ms: 0 } => Some(event_time),
            AvailableAtPlan::EventTime { .. } | AvailableAtPlan::RecordTimestamp => None,
        };
        let available_at = available_at.unwrap_or_else(|| extra("available_at", DataType::Int64));
        let version = match &plan.event.version {
            None => available_at,
            Some(_) => extra("version", DataType::Int64),
        };
        let deleted = plan.keeps_tombstones().then(|| extra("deleted", DataType::Boolean));
        Self { schema: Arc::new(Schema::new(all)), fields, own: Arc::clone(own), event_time, available_at, version, deleted }
    }

    /// Puts rows into one batch.
    ///
    /// # Errors
    /// `Internal` when they are of other types than the plan says.
    pub fn join(&self, rows: Early) -> Result<RecordBatch> {
        let count = rows.fields.num_rows();
        let mut columns: Vec<ArrayRef> = rows.fields.columns().iter().chain(rows.own.columns()).cloned().collect();
        let plain = columns.len();
        for index in plain..self.schema.fields().len() {
            columns.push(match index {
                i if i == self.event_time => Arc::new(rows.event_time.clone()),
                i if i == self.available_at => Arc::new(rows.available_at.clone()),
                i if i == self.version => Arc::new(rows.version.clone()),
                _ => Arc::new(rows.deleted.clone().unwrap_or_else(|| BooleanArray::from(vec![false; count]))),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    /// Takes rows out of their batch again.
    ///
    /// # Errors
    /// `Corrupt` when the batch is of other types.
    pub fn split(&self, batch: &RecordBatch) -> Result<Early> {
        let (fields, own) = (self.fields.fields().len(), self.own.fields().len());
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let part = |schema: &SchemaRef, from: usize, count: usize| {
            RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns()[from..from + count].to_vec(), &options)
        };
        Ok(Early {
            fields: part(&self.fields, 0, fields)?,
            own: part(&self.own, fields, own)?,
            event_time: micros(batch.column(self.event_time))?,
            available_at: micros(batch.column(self.available_at))?,
            version: micros(batch.column(self.version))?,
            deleted: self.deleted.and_then(|at| batch.column(at).as_boolean_opt().cloned()),
        })
    }
}

fn is_micros(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(ArrowUnit::Microsecond, _))
}

fn micros(column: &ArrayRef) -> Result<Int64Array> {
    if let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() {
        return Ok(times.reinterpret_cast::<Int64Type>());
    }
    column.as_primitive_opt::<Int64Type>().cloned().ok_or_else(|| Error::corrupt("read carried rows: a time is not one"))
}
