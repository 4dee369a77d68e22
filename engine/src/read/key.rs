//! Values of a row as one comparable key: for deduplication.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use tress_configs::FeaturePlan;

use super::feature::Read;
use super::resolve::Pick;
use super::source::Source;
use crate::error::{Error, Result};
use crate::rows::Values;

/// Which columns make the key, per signal.
#[derive(Debug)]
pub struct Keys {
    /// Per signal, per key column: the signal's column, `None` where it has none.
    columns: Vec<Vec<Option<usize>>>,
}

impl Keys {
    /// `by`: output columns of the feature; empty = every row is on its own.
    pub(super) fn new(plan: &FeaturePlan, reads: &[Read], by: &[String]) -> Result<Self> {
        let outputs =
            by.iter()
                .map(|name| {
                    plan.columns.iter().position(|c| c.name == *name).ok_or_else(|| {
                        Error::invalid(format!("load {}: deduplicate names column {name}, which it does not have", plan.name))
                    })
                })
                .collect::<Result<Vec<_>>>()?;
        let columns = reads.iter().map(|read| outputs.iter().map(|output| read.sources[*output]).collect()).collect();
        Ok(Self { columns })
    }

    /// Whether rows of this signal have keys at all.
    pub fn of_signal(&self, signal: usize) -> bool {
        self.columns.get(signal).is_some_and(|columns| !columns.is_empty())
    }

    /// The key of a row; `None` when there is no key or a value of it is null: then it never matches another.
    pub fn of(&self, sources: &[Source<'_>], signal: usize, pick: Pick) -> Option<Vec<u8>> {
        let columns = &self.columns[signal];
        if columns.is_empty() {
            return None;
        }
        let mut key = Vec::with_capacity(columns.len() * 9);
        for column in columns {
            append_value(&mut key, sources[signal].parts[pick.part].rows.signal((*column)?), pick.row)?;
        }
        Some(key)
    }
}

/// As [`append`], of a column in any form.
fn append_value(key: &mut Vec<u8>, values: &Values, row: usize) -> Option<()> {
    match values.place(row) {
        Some((array, row)) => append(key, array.as_ref(), row),
        None => append(key, values.slice(row..row + 1).ok()?.as_ref(), 0),
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
