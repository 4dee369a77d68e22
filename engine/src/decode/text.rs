//! A value written as text in a definition: the default of an enrichment.

use arrow::array::ArrayRef;
use tress_configs::column::{ColumnType, Scalar};

use super::cell::Cell;
use super::field::{FieldBuilder, Fit};
use crate::error::{Error, Result};

/// An array of one value. Numbers and truth are written as in JSON, times as in RFC 3339, binary as base64; a vector as the one
/// number that each of its elements is. Lists have no defaults.
///
/// # Errors
/// `Invalid` when the text is not of the type.
pub(crate) fn from_text(text: &str, column_type: &ColumnType) -> Result<ArrayRef> {
    let mut builder = FieldBuilder::new(column_type, 1)?;
    let cell = match column_type.scalar {
        Scalar::String | Scalar::Binary | Scalar::Timestamp => Cell::Text(text),
        Scalar::Bool => text.parse().map_or(Cell::Other, Cell::Bool),
        Scalar::Int8 | Scalar::Int32 | Scalar::Int64 => text.parse().map_or(Cell::Other, Cell::Int),
        Scalar::Float16 | Scalar::Float32 | Scalar::Float64 => {
            text.parse().ok().filter(|v: &f64| v.is_finite()).map_or(Cell::Other, Cell::Float)
        }
    };
    let fit = match column_type.dim {
        Some(dim) => builder.push_list((0..dim as usize).map(|_| cell)),
        None => builder.push(cell),
    };
    match fit {
        Fit::Fits => builder.finish(),
        Fit::Misfit => Err(Error::invalid(format!("the text is not a {column_type}"))),
    }
}
