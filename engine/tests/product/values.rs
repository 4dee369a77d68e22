//! Between Arrow columns and the oracle's plain values. Only Arrow is used here, nothing of the engine.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int32Array, Int64Array,
    ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};

use crate::oracle::Value;

/// A column of `values`; each must be of the type or null.
pub fn array(data_type: &DataType, values: &[Value]) -> ArrayRef {
    macro_rules! of {
        ($array:ident, $variant:ident, $convert:expr) => {
            $array::from_iter(values.iter().map(|value| match value {
                Value::Null => None,
                Value::$variant(inner) => Some($convert(inner)),
                other => panic!("{other:?} is no {data_type}"),
            }))
        };
    }
    match data_type {
        DataType::Boolean => Arc::new(of!(BooleanArray, Bool, |v: &bool| *v)),
        DataType::Int32 => Arc::new(of!(Int32Array, Int, |v: &i64| i32::try_from(*v).expect("an int32"))),
        DataType::Int64 => Arc::new(of!(Int64Array, Int, |v: &i64| *v)),
        DataType::Float32 => Arc::new(of!(Float32Array, Float32, |v: &u32| f32::from_bits(*v))),
        DataType::Float64 => Arc::new(of!(Float64Array, Float64, |v: &u64| f64::from_bits(*v))),
        DataType::Utf8 => Arc::new(of!(StringArray, Text, |v: &String| v.clone())),
        DataType::Binary => Arc::new(of!(BinaryArray, Bytes, |v: &Vec<u8>| v.clone())),
        DataType::Timestamp(..) => Arc::new(of!(TimestampMicrosecondArray, Int, |v: &i64| *v).with_timezone("UTC")),
        DataType::FixedSizeBinary(width) => {
            let bytes = values.iter().map(|value| match value {
                Value::Null => None,
                Value::Bytes(bytes) => Some(bytes.as_slice()),
                other => panic!("{other:?} is no vector"),
            });
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes, *width).expect("vectors of one width"))
        }
        DataType::List(item) => {
            let lists: Vec<&[Value]> = values.iter().map(|v| if let Value::List(items) = v { items.as_slice() } else { &[] }).collect();
            let items: Vec<Value> = lists.concat();
            let valid: NullBuffer = values.iter().map(|v| *v != Value::Null).collect();
            let offsets = OffsetBuffer::from_lengths(lists.iter().map(|list| list.len()));
            let inner = array(item.data_type(), &items);
            Arc::new(ListArray::try_new(Arc::clone(item), offsets, inner, Some(valid)).expect("a list column"))
        }
        other => panic!("no column is of type {other}"),
    }
}

/// What a column holds.
pub fn values(array: &dyn Array) -> Vec<Value> {
    let at = |row: usize| match array.data_type() {
        _ if array.is_null(row) => Value::Null,
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int32 => Value::Int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => Value::Float32(array.as_primitive::<Float32Type>().value(row).to_bits()),
        DataType::Float64 => Value::Float64(array.as_primitive::<Float64Type>().value(row).to_bits()),
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::Binary => Value::Bytes(array.as_binary::<i32>().value(row).to_vec()),
        DataType::Timestamp(..) => Value::Int(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        DataType::FixedSizeBinary(_) => Value::Bytes(array.as_fixed_size_binary().value(row).to_vec()),
        DataType::List(_) => Value::List(values(array.as_list::<i32>().value(row).as_ref())),
        other => panic!("no column is of type {other}"),
    };
    (0..array.len()).map(at).collect()
}

/// The rows of a batch.
pub fn rows(batch: &RecordBatch) -> Vec<Vec<Value>> {
    let columns: Vec<Vec<Value>> = batch.columns().iter().map(|column| values(column.as_ref())).collect();
    (0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect()
}
