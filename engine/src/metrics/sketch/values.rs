//! From Arrow columns into sketches.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type};
use xxhash_rust::xxh3::xxh3_64;

use super::Sketch;

/// What a sketch of a column of some type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measures {
    /// Numbers that may be names of things: quantiles, distinct values, the most frequent one.
    Number,
    /// Strings: distinct values, the most frequent one.
    Text,
    /// Lists: quantiles of their lengths.
    List,
    /// Booleans: the most frequent one.
    Bool,
    /// Nothing but nulls.
    Nothing,
}

impl Measures {
    pub const fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Int32 | DataType::Int64 | DataType::Float32 | DataType::Float64 => Self::Number,
            DataType::Utf8 => Self::Text,
            DataType::List(_) => Self::List,
            DataType::Boolean => Self::Bool,
            _ => Self::Nothing,
        }
    }
}

/// Shows a sketch the values of a column at these rows. Nulls are left out.
pub fn observe(sketch: &mut Sketch, column: &ArrayRef, rows: impl Iterator<Item = usize>) {
    let rows = rows.filter(|row| column.is_valid(*row));
    match column.data_type() {
        DataType::Int32 => numbers(sketch, column.as_primitive::<Int32Type>(), rows, f64::from),
        // Beyond 2⁵³ neighbours become one: a bucket is far wider.
        DataType::Int64 => numbers(sketch, column.as_primitive::<Int64Type>(), rows, |value| value as f64),
        DataType::Float32 => numbers(sketch, column.as_primitive::<Float32Type>(), rows, f64::from),
        DataType::Float64 => numbers(sketch, column.as_primitive::<Float64Type>(), rows, |value| value),
        DataType::Utf8 => {
            let strings = column.as_string::<i32>();
            rows.for_each(|row| sketch.hash(xxh3_64(strings.value(row).as_bytes())));
        }
        DataType::List(_) => {
            let lists = column.as_list::<i32>();
            rows.for_each(|row| sketch.number(f64::from(lists.value_length(row))));
        }
        DataType::Boolean => {
            let bools = column.as_boolean();
            rows.for_each(|row| sketch.hash(xxh3_64(&[u8::from(bools.value(row))])));
        }
        _ => {}
    }
}

fn numbers<T: ArrowPrimitiveType>(
    sketch: &mut Sketch,
    array: &PrimitiveArray<T>,
    rows: impl Iterator<Item = usize>,
    number: impl Fn(T::Native) -> f64,
) {
    for row in rows {
        let value = number(array.value(row));
        sketch.number(value);
        sketch.hash(xxh3_64(&value.to_bits().to_le_bytes()));
    }
}
