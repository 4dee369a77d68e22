//! How rows are stored: as the engine has them, but what no table format knows. Vectors become plain binary; there are no unsigned
//! numbers and no half floats (those are float32 everywhere already).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use deltalake::kernel::{ArrayType, DataType as DeltaType, PrimitiveType, StructField};
use tress_configs::column::TYPE_KEY;

use crate::error::{Error, Result};

/// The partition column.
pub const BUCKET: &str = "bucket";

/// The Arrow schema of data files, from that of rows.
#[must_use]
pub fn stored(rows: &Schema) -> SchemaRef {
    let fields: Vec<Field> = rows
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::FixedSizeBinary(_) => field.as_ref().clone().with_data_type(DataType::Binary),
            _ => field.as_ref().clone(),
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// The columns of the Delta table: those of rows, and the bucket.
///
/// # Errors
/// `Internal` for a type that no signal can have.
pub fn delta_columns(rows: &Schema) -> Result<Vec<StructField>> {
    let mut columns = Vec::with_capacity(rows.fields().len() + 1);
    for field in rows.fields() {
        let mut column = StructField::new(field.name(), delta_type(field.data_type())?, field.is_nullable());
        if let Some(written) = field.metadata().get(TYPE_KEY) {
            column = column.with_metadata([(TYPE_KEY, written.as_str())]);
        }
        columns.push(column);
    }
    columns.push(StructField::new(BUCKET, DeltaType::Primitive(PrimitiveType::String), false));
    Ok(columns)
}

fn delta_type(data_type: &DataType) -> Result<DeltaType> {
    Ok(DeltaType::Primitive(match data_type {
        DataType::Boolean => PrimitiveType::Boolean,
        DataType::Int32 => PrimitiveType::Integer,
        DataType::Int64 => PrimitiveType::Long,
        DataType::Float32 => PrimitiveType::Float,
        DataType::Float64 => PrimitiveType::Double,
        DataType::Utf8 => PrimitiveType::String,
        DataType::Binary | DataType::FixedSizeBinary(_) => PrimitiveType::Binary,
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => PrimitiveType::Timestamp,
        DataType::List(item) => return Ok(ArrayType::new(delta_type(item.data_type())?, item.is_nullable()).into()),
        other => return Err(Error::internal(format!("create history: {other} has no place in a Delta table"))),
    }))
}

/// Rows as data files hold them.
///
/// # Errors
/// `Internal` when the batch is not of the schema that `stored` was made from.
pub fn to_stored(batch: &RecordBatch, stored: &SchemaRef) -> Result<RecordBatch> {
    convert(batch, stored).map_err(|e| Error::internal("write history: rows are not of the signal's schema").with_source(e))
}

/// What a data file holds as rows of `rows`, a schema with the same columns in the same order.
///
/// # Errors
/// `Corrupt` when the file has other columns or a vector of another length.
pub fn to_rows(batch: &RecordBatch, rows: &SchemaRef) -> Result<RecordBatch> {
    convert(batch, rows).map_err(|e| Error::corrupt("read history: a file's columns are not those of the signal").with_source(e))
}

fn convert(batch: &RecordBatch, target: &SchemaRef) -> Result<RecordBatch> {
    if batch.num_columns() != target.fields().len() {
        return Err(Error::corrupt(format!("{} columns where {} belong", batch.num_columns(), target.fields().len())));
    }
    let columns =
        batch.columns().iter().zip(target.fields()).map(|(column, field)| converted(column, field)).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(target), columns, &options)?)
}

fn converted(column: &ArrayRef, field: &FieldRef) -> Result<ArrayRef> {
    match (column.data_type(), field.data_type()) {
        (from, to) if from == to => Ok(Arc::clone(column)),
        // Only the name of the element differs.
        (DataType::List(_), DataType::List(item)) => {
            let list = column.as_list::<i32>();
            let values = converted(list.values(), item)?;
            Ok(Arc::new(ListArray::try_new(Arc::clone(item), list.offsets().clone(), values, list.nulls().cloned())?))
        }
        (DataType::FixedSizeBinary(_), DataType::Binary)
        | (DataType::Binary, DataType::FixedSizeBinary(_))
        | (DataType::Timestamp(..), DataType::Timestamp(..)) => {
            let cast = cast(column, field.data_type())?;
            if cast.null_count() != column.null_count() {
                return Err(Error::corrupt(format!("column {}: a vector of another length", field.name())));
            }
            Ok(cast)
        }
        (from, to) => Err(Error::corrupt(format!("column {}: {from} where {to} belongs", field.name()))),
    }
}
