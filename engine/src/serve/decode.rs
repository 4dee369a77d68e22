//! Columns as they came, back into a batch. Everything is checked: they came over a network.

use arrow::array::{ArrayData, ArrayRef, RecordBatch, RecordBatchOptions, make_array};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, SchemaRef};
use bytes::Bytes;

use super::encode::fixed_width;
use super::proto;
use crate::error::{Error, Result};

/// `schema`: the columns that were asked for, in that order, plain.
///
/// # Errors
/// `Corrupt` when the columns are not of that schema or their buffers do not fit together.
pub fn decode(schema: &SchemaRef, columns: &proto::Columns) -> Result<RecordBatch> {
    let rows = usize::try_from(columns.row_count).map_err(|_| damaged("too many rows"))?;
    if columns.columns.len() != schema.fields().len() {
        return Err(damaged(&format!("{} columns instead of {}", columns.columns.len(), schema.fields().len())));
    }
    let arrays = schema
        .fields()
        .iter()
        .zip(&columns.columns)
        .map(|(field, column)| Ok(make_array(array(field.data_type(), column, rows)?)))
        .collect::<Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), arrays, &options).map_err(|e| damaged(&e.to_string()))
}

fn array(data_type: &DataType, column: &proto::Column, rows: usize) -> Result<ArrayData> {
    let mut builder = ArrayData::builder(data_type.clone()).len(rows).align_buffers(true);
    if !column.validity.is_empty() {
        at_least(&column.validity, rows.div_ceil(8))?;
        builder = builder.null_bit_buffer(Some(buffer(&column.validity)));
    }
    builder = match data_type {
        DataType::Boolean => {
            at_least(&column.values, rows.div_ceil(8))?;
            builder.add_buffer(buffer(&column.values))
        }
        DataType::Utf8 | DataType::Binary => {
            last_offset(column, rows)?;
            builder.add_buffer(buffer(&column.offsets)).add_buffer(buffer(&column.values))
        }
        DataType::List(item) => {
            let items = last_offset(column, rows)?;
            builder.add_buffer(buffer(&column.offsets)).add_child_data(array(item.data_type(), child(column, 0)?, items)?)
        }
        DataType::Struct(fields) => {
            for (index, field) in fields.iter().enumerate() {
                builder = builder.add_child_data(array(field.data_type(), child(column, index)?, rows)?);
            }
            builder
        }
        other => {
            let width = fixed_width(other).ok_or_else(|| damaged(&format!("the type {other} is not known")))?;
            at_least(&column.values, rows.checked_mul(width).ok_or_else(|| damaged("too many rows"))?)?;
            builder.add_buffer(buffer(&column.values))
        }
    };
    // Validates offsets and UTF-8, too.
    builder.build().map_err(|e| damaged(&e.to_string()))
}

fn child(column: &proto::Column, index: usize) -> Result<&proto::Column> {
    column.children.get(index).ok_or_else(|| damaged("a column lacks its children"))
}

/// Checks that there is an offset for every row and one more; gives the last: the number of items.
fn last_offset(column: &proto::Column, rows: usize) -> Result<usize> {
    let end = rows.checked_add(1).and_then(|n| n.checked_mul(4)).ok_or_else(|| damaged("too many rows"))?;
    let last: [u8; 4] =
        column.offsets.get(end - 4..end).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| damaged("a column lacks offsets"))?;
    usize::try_from(i32::from_le_bytes(last)).map_err(|_| damaged("an offset is negative"))
}

fn at_least(bytes: &Bytes, length: usize) -> Result<()> {
    if bytes.len() < length { Err(damaged(&format!("{} bytes where {length} are needed", bytes.len()))) } else { Ok(()) }
}

fn buffer(bytes: &Bytes) -> Buffer {
    Buffer::from(bytes.clone())
}

fn damaged(what: &str) -> Error {
    Error::corrupt(format!("decode columns: {what}; the reply is damaged, or the schema is of another revision"))
}
