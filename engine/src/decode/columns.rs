//! Batches of a table, such as an external raw log in Parquet, into raw events: every declared field from the column it maps to.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use tress_configs::SignalPlan;
use tress_configs::column::{ColumnType, Scalar};
use tress_configs::plan::FieldPlan;

use super::cast::{cast, readable};
use crate::error::{Context, Error, Result};
use crate::raw::{Invalid, RawBatch, Reason};

/// Turns batches of a table into raw events.
#[derive(Debug)]
pub struct ColumnsDecoder {
    schema: SchemaRef,
    fields: Vec<FieldColumn>,
    record_timestamp: Option<String>,
}

/// A declared field and where it is in the table: names from the outermost on, the first of a column, others of struct members.
#[derive(Debug)]
struct FieldColumn {
    field: FieldPlan,
    path: Vec<String>,
}

impl ColumnsDecoder {
    /// `rename`: field → column, where they differ. `record_timestamp`: the column that holds the record's timestamp, if any does.
    #[must_use]
    pub fn new(plan: &SignalPlan, rename: &BTreeMap<String, String>, record_timestamp: Option<&str>) -> Self {
        let fields = plan.event.fields.iter().map(|field| {
            let path = rename.get(&field.name).map_or_else(|| field.path.clone(), |column| vec![column.clone()]);
            FieldColumn { field: field.clone(), path }
        });
        Self { schema: plan.raw_schema(), fields: fields.collect(), record_timestamp: record_timestamp.map(str::to_owned) }
    }

    /// The columns of the table that are read, sorted: what to project.
    #[must_use]
    pub fn columns(&self) -> BTreeSet<&str> {
        self.fields.iter().filter_map(|f| f.path.first()).chain(&self.record_timestamp).map(String::as_str).collect()
    }

    /// Checks a table's schema without reading it.
    ///
    /// # Errors
    /// `Invalid`, naming the column, when one that is needed is missing or cannot hold its field.
    pub fn check(&self, schema: &Schema) -> Result<()> {
        for FieldColumn { field, path } in &self.fields {
            match find_type(schema, path) {
                Some(found) if readable(found, &field.column_type) => {}
                Some(found) => {
                    return Err(Error::invalid(format!(
                        "column {}: it is {found}, which is not the {} that field {} is declared to be; change the type, or rename another column to the field",
                        path.join("."),
                        field.column_type,
                        field.name
                    )));
                }
                None if field.nullable => {}
                None => return Err(missing(path, &format!("field {} is not nullable", field.name))),
            }
        }
        if let Some(column) = &self.record_timestamp {
            match schema.field_with_name(column).map(Field::data_type) {
                Ok(found) if readable(found, &ColumnType::scalar(Scalar::Timestamp)) => {}
                Ok(found) => return Err(Error::invalid(format!("column {column}: it is {found}, but recordTimestamp needs a timestamp"))),
                Err(_) => return Err(missing(std::slice::from_ref(column), "recordTimestamp names it")),
            }
        }
        Ok(())
    }

    /// One row a row, in order. Position and payload are empty: a table has none.
    ///
    /// # Errors
    /// As `check`.
    pub fn decode(&self, batch: &RecordBatch) -> Result<RawBatch> {
        self.check(batch.schema_ref())?;
        let rows = batch.num_rows();
        let mut broken: Vec<Option<Invalid>> = vec![None; rows];
        let mut columns = Vec::with_capacity(self.fields.len());
        for FieldColumn { field, path } in &self.fields {
            let Some(array) = find(batch, path)? else {
                columns.push(new_null_array(&field.column_type.arrow(), rows));
                continue;
            };
            let fitted = cast(&array, &field.column_type).context(|| format!("column {}", path.join(".")))?;
            for row in fitted.misfits {
                if let Some(broken @ None) = broken.get_mut(row) {
                    *broken = Some(Invalid { reason: Reason::WrongType, field: field.name.clone() });
                }
            }
            columns.push(fitted.array);
        }
        let record_timestamp = match self.record_timestamp.as_ref().and_then(|name| batch.column_by_name(name)) {
            Some(array) => {
                let micros = cast(array, &ColumnType::scalar(Scalar::Timestamp))?.array;
                micros.as_primitive::<TimestampMicrosecondType>().reinterpret_cast::<arrow::datatypes::Int64Type>()
            }
            None => Int64Array::new_null(rows),
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RawBatch {
            fields: RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?,
            partition: Int32Array::new_null(rows),
            offset: Int64Array::new_null(rows),
            record_timestamp,
            broken,
            payload: Vec::new(),
        })
    }
}

fn missing(path: &[String], why: &str) -> Error {
    Error::invalid(format!(
        "column {} is missing, and {why}; add the column, rename another to the field, or declare it nullable",
        path.join(".")
    ))
}

fn find_type<'a>(schema: &'a Schema, path: &[String]) -> Option<&'a DataType> {
    let (first, rest) = path.split_first()?;
    let mut found = schema.field_with_name(first).ok()?.data_type();
    for name in rest {
        let DataType::Struct(members) = found else { return None };
        found = members.find(name)?.1.data_type();
    }
    Some(found)
}

/// The column at `path`; members of a struct that is null are null.
fn find(batch: &RecordBatch, path: &[String]) -> Result<Option<ArrayRef>> {
    let Some((first, rest)) = path.split_first() else { return Ok(None) };
    let Some(mut found) = batch.column_by_name(first).cloned() else { return Ok(None) };
    for name in rest {
        let Some(parent) = found.as_struct_opt() else { return Ok(None) };
        let Some(member) = parent.column_by_name(name) else { return Ok(None) };
        let absent = arrow::compute::is_null(parent)?;
        found = arrow::compute::nullif(member, &absent)?;
    }
    Ok(Some(found))
}
