//! Values of a row as one comparable key: for deduplication.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};

use super::feature::Feature;
use super::resolve::Pick;
use super::source::Source;
use crate::error::{Error, Result};

/// Which columns make the key, per signal.
#[derive(Debug)]
pub struct Keys {
    /// Per signal, per key column: the signal's column, `None` where it has none.
    columns: Vec<Vec<Option<usize>>>,
}

impl Keys {
    /// `by`: output columns of the feature; empty = every row is on its own.
    pub fn new(feature: &Feature, by: &[String]) -> Result<Self> {
        let plan = feature.plan();
        let outputs =
            by.iter()
                .map(|name| {
                    plan.columns.iter().position(|c| c.name == *name).ok_or_else(|| {
                        Error::invalid(format!("load {}: deduplicate names column {name}, which it does not have", plan.name))
                    })
                })
                .collect::<Result<Vec<_>>>()?;
        let columns = feature.reads().iter().map(|read| outputs.iter().map(|output| read.sources[*output]).collect()).collect();
        Ok(Self { columns })
    }

    /// The key of a row; `None` when there is no key or a value of it is null: then it never matches another.
    pub fn of(&self, sources: &[Source<'_>], signal: usize, pick: Pick) -> Option<Vec<u8>> {
        let columns = &self.columns[signal];
        if columns.is_empty() {
            return None;
        }
        let mut key = Vec::with_capacity(columns.len() * 9);
        for column in columns {
            let array = sources[signal].parts[pick.part].rows.signal_column((*column)?);
            append(&mut key, array.as_ref(), pick.row)?;
        }
        Some(key)
    }
}

/// Appends one value so that keys are equal exactly when all values are. `None` for a null.
pub fn append(key: &mut Vec<u8>, array: &dyn Array, row: usize) -> Option<()> {
    if array.is_null(row) {
        return None;
    }
    let mut bytes = |value: &[u8]| {
        key.extend_from_slice(&(value.len() as u64).to_le_bytes());
        key.extend_from_slice(value);
    };
    match array.data_type() {
        DataType::Utf8 => bytes(array.as_string::<i32>().value(row).as_bytes()),
        DataType::Binary => bytes(array.as_binary::<i32>().value(row)),
        DataType::Boolean => key.push(u8::from(array.as_boolean().value(row))),
        DataType::Int32 => key.extend_from_slice(&array.as_primitive::<Int32Type>().value(row).to_le_bytes()),
        DataType::Int64 => key.extend_from_slice(&array.as_primitive::<Int64Type>().value(row).to_le_bytes()),
        DataType::Timestamp(..) => key.extend_from_slice(&array.as_primitive::<TimestampMicrosecondType>().value(row).to_le_bytes()),
        _ => return None,
    }
    Some(())
}
