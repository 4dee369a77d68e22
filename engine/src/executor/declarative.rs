//! The executor that is written as expressions: a filter, then columns derived one after another.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float32Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Float32Type, Schema, SchemaRef};
use half::f16;
use tress_configs::column::Scalar;
use tress_configs::plan::{self, DerivePlan};

use super::expression::Expression;
use super::{ExecuteError, Executed, Executor};
use crate::error::Result;

/// Three-valued: a row passes when the filter is true. Each derivation sees the raw fields and the derivations before it.
#[derive(Debug)]
pub(super) struct Declarative {
    filter: Option<Expression>,
    derive: Vec<Derive>,
    schema: SchemaRef,
}

#[derive(Debug)]
struct Derive {
    expression: Expression,
    is_half: bool,
    /// Of what the next expression sees: raw fields and derivations up to this one.
    seen: SchemaRef,
}

impl Declarative {
    /// `raw`: of validated events, where a field that is required is not nullable.
    pub(super) fn new(raw: SchemaRef, filter: Option<&plan::Expression>, derive: &[DerivePlan]) -> Result<Self> {
        let filter = filter.map(|f| Expression::new("filter", f, &raw)).transpose()?;
        let mut seen = raw;
        let mut columns = Vec::with_capacity(derive.len());
        let mut derives = Vec::with_capacity(derive.len());
        for DerivePlan { name, expr } in derive {
            let expression = Expression::new(name, expr, &seen)?;
            let column = expr.column_type.field(name, true);
            let known = expr.column_type.field(name, expr.nullable);
            let fields: Vec<Arc<Field>> = seen.fields().iter().cloned().chain([Arc::new(known)]).collect();
            columns.push(column);
            seen = Arc::new(Schema::new(fields));
            derives.push(Derive { expression, is_half: expr.column_type.scalar == Scalar::Float16, seen: seen.clone() });
        }
        Ok(Self { filter, derive: derives, schema: Arc::new(Schema::new(columns)) })
    }
}

impl Executor for Declarative {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn execute(&self, raw: &RecordBatch) -> Result<Executed, ExecuteError> {
        let (mut seen, source_row) = match &self.filter {
            None => (raw.clone(), rows(raw.num_rows())),
            Some(filter) => pass(raw, &filter.is_true(raw)?)?,
        };
        let raw_columns = raw.num_columns();
        for derive in &self.derive {
            let mut column = derive.expression.evaluate(&seen)?;
            if derive.is_half {
                column = rounded(&column);
            }
            let columns = seen.columns().iter().cloned().chain([column]).collect();
            seen = batch(derive.seen.clone(), columns, seen.num_rows())?;
        }
        let columns = seen.columns().iter().skip(raw_columns).cloned().collect();
        Ok(Executed { records: batch(self.schema.clone(), columns, seen.num_rows())?, source_row })
    }
}

fn pass(raw: &RecordBatch, passes: &BooleanArray) -> Result<(RecordBatch, UInt32Array), ExecuteError> {
    if passes.true_count() == passes.len() {
        return Ok((raw.clone(), rows(raw.num_rows())));
    }
    let kept = filter_record_batch(raw, passes).map_err(|e| failed(&e))?;
    Ok((kept, UInt32Array::from_iter_values(passes.values().set_indices().map(|row| row as u32))))
}

fn rows(count: usize) -> UInt32Array {
    UInt32Array::from_iter_values(0..count as u32)
}

fn batch(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, ExecuteError> {
    RecordBatch::try_new_with_options(schema, columns, &RecordBatchOptions::new().with_row_count(Some(rows))).map_err(|e| failed(&e))
}

fn failed(error: &arrow::error::ArrowError) -> ExecuteError {
    ExecuteError { field: "executor".to_owned(), message: error.to_string() }
}

/// A float16 is a float32 that 16 bits can hold.
fn rounded(column: &ArrayRef) -> ArrayRef {
    match column.as_primitive_opt::<Float32Type>() {
        Some(values) => Arc::new(values.unary::<_, Float32Type>(|v| f16::from_f32(v).to_f32()) as Float32Array),
        None => column.clone(),
    }
}
