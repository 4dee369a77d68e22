//! Packed vectors as lists of floats, which is what training reads.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, ListArray};
use arrow::datatypes::{DataType, Field};
use half::f16;
use tress_configs::column::{ColumnType, Scalar};

use crate::error::{Error, Result};

/// The type that a column of Arrow type `stored` has in a dataset.
pub fn data_type(stored: &DataType, column: &ColumnType) -> DataType {
    match stored {
        DataType::FixedSizeBinary(_) => match column.dim {
            Some(dim) => DataType::FixedSizeList(element(), i32::try_from(dim).unwrap_or(i32::MAX)),
            None => stored.clone(),
        },
        DataType::List(item) => {
            DataType::List(Arc::new(item.as_ref().clone().with_data_type(data_type(item.data_type(), column)).with_metadata([].into())))
        }
        other => other.clone(),
    }
}

/// Unpacks the vectors of a column, at any depth of lists.
///
/// # Errors
/// `Corrupt` when a vector has not the length that its type says.
pub fn unpack(array: &ArrayRef, column: &ColumnType) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::FixedSizeBinary(_) if column.dim.is_some() => vectors(array, column),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let values = unpack(list.values(), column)?;
            let DataType::List(item) = data_type(array.data_type(), column) else {
                return Err(Error::internal("unpack: a list is a list"));
            };
            Ok(Arc::new(ListArray::try_new(item, list.offsets().clone(), values, list.nulls().cloned())?))
        }
        _ => Ok(Arc::clone(array)),
    }
}

fn element() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float32, true))
}

fn vectors(array: &ArrayRef, column: &ColumnType) -> Result<ArrayRef> {
    let packed = array.as_fixed_size_binary();
    let dim = column.dim.unwrap_or(0);
    if packed.value_length() != i32::try_from(column.packed_bytes().unwrap_or(0)).unwrap_or(-1) {
        return Err(Error::corrupt(format!("unpack vectors: {} bytes are not a {column}", packed.value_length())));
    }
    let scale: f32 = column.scale.as_deref().and_then(|s| s.parse().ok()).unwrap_or(1.0);
    let mut values: Vec<f32> = Vec::with_capacity(packed.len() * dim as usize);
    for row in 0..packed.len() {
        let bytes = packed.value(row);
        match column.scalar {
            Scalar::Int8 => values.extend(bytes.iter().map(|b| f32::from(b.cast_signed()) * scale)),
            Scalar::Float16 => values.extend(bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32())),
            _ => values.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
        }
    }
    let dim = i32::try_from(dim).unwrap_or(i32::MAX);
    Ok(Arc::new(FixedSizeListArray::try_new(element(), dim, Arc::new(Float32Array::from(values)), packed.nulls().cloned())?))
}
