//! An event as a value of a Redis list: its columns packed, as a careful user would.

use anyhow::{Context, anyhow};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Int32Type, Int64Type, TimestampMicrosecondType};

/// Appends the values of these columns at a row: little-endian, strings with a length before them, a null as zero.
///
/// # Errors
/// For a type that events have not.
pub fn value(columns: &[&ArrayRef], row: usize, out: &mut Vec<u8>) -> anyhow::Result<()> {
    for column in columns {
        match column.data_type() {
            // What an array holds where it has no value is nobody's business.
            DataType::Int32 | DataType::Float32 if column.is_null(row) => out.extend([0; 4]),
            DataType::Int64 | DataType::Timestamp(..) if column.is_null(row) => out.extend([0; 8]),
            DataType::Int64 => out.extend(column.as_primitive::<Int64Type>().value(row).to_le_bytes()),
            DataType::Int32 => out.extend(column.as_primitive::<Int32Type>().value(row).to_le_bytes()),
            DataType::Float32 => out.extend(column.as_primitive::<Float32Type>().value(row).to_le_bytes()),
            DataType::Timestamp(..) => out.extend(column.as_primitive::<TimestampMicrosecondType>().value(row).to_le_bytes()),
            DataType::Utf8 => {
                let text = if column.is_valid(row) { column.as_string::<i32>().value(row) } else { "" };
                out.push(u8::try_from(text.len()).context("a text of an event is short")?);
                out.extend_from_slice(text.as_bytes());
            }
            other => return Err(anyhow!("pack an event: it has no {other}")),
        }
    }
    Ok(())
}

/// The columns of these names.
pub fn columns<'a>(batch: &'a RecordBatch, names: &[&str]) -> anyhow::Result<Vec<&'a ArrayRef>> {
    names.iter().map(|name| batch.column_by_name(name).with_context(|| format!("there is no column {name}"))).collect()
}

/// A command of Redis, as it goes over the wire.
pub fn command(parts: &[&[u8]], out: &mut Vec<u8>) {
    out.extend(format!("*{}\r\n", parts.len()).into_bytes());
    for part in parts {
        out.extend(format!("${}\r\n", part.len()).into_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}
