//! Arrays of any source into the arrays of declared types, value by value where they differ.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Float32Array, Float64Array, OffsetSizeTrait, PrimitiveArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use tress_configs::column::{ColumnType, Scalar};

use super::cell::{Cell, NAN32, NAN64};
use super::field::{FieldBuilder, Fit};
use crate::error::{Error, Result};

/// An array of a declared type, and the rows whose values did not fit it: those are null.
#[derive(Debug, Clone)]
pub struct Cast {
    pub array: ArrayRef,
    /// Ascending.
    pub misfits: Vec<usize>,
}

/// Casts strictly; [`super::cell`] has the rules.
///
/// # Errors
/// `Invalid` when no value of this array's type can be of the declared one, or the array has more than 2 GiB.
pub fn cast(array: &ArrayRef, column_type: &ColumnType) -> Result<Cast> {
    if !readable(array.data_type(), column_type) {
        return Err(Error::invalid(format!("it is {}, which is not a {column_type}", array.data_type())));
    }
    if let Some(array) = unchanged(array, column_type) {
        return Ok(Cast { array, misfits: Vec::new() });
    }
    let plain = without_dictionary(array)?;
    // Arrow counts the letters of a column in 31 bits.
    if plain.get_buffer_memory_size() > i32::MAX as usize {
        return Err(Error::invalid("it has more than 2 GiB in one batch; read fewer rows at once"));
    }
    let source = Source::new(plain.as_ref())?;
    let mut builder = FieldBuilder::new(column_type, plain.len())?;
    let mut misfits = Vec::new();
    for row in 0..plain.len() {
        if source.push(row, &mut builder) == Fit::Misfit {
            misfits.push(row);
        }
    }
    Ok(Cast { array: builder.finish()?, misfits })
}

/// Whether values of an Arrow type can be of a declared one.
#[must_use]
pub(super) fn readable(source: &DataType, column_type: &ColumnType) -> bool {
    if let DataType::Dictionary(_, values) = source {
        return readable(values, column_type);
    }
    if *source == DataType::Null {
        return true;
    }
    let elements = match source {
        DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) => Some(f.data_type()),
        _ => None,
    };
    match (elements, column_type.is_scalar()) {
        (Some(elements), false) => is_a(elements, column_type.scalar),
        (None, true) => is_a(source, column_type.scalar),
        (None, false) => column_type.dim.is_some() && is_a(source, Scalar::Binary) && !is_a(source, Scalar::String),
        (Some(_), true) => false,
    }
}

fn is_a(source: &DataType, scalar: Scalar) -> bool {
    let text = matches!(source, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    match scalar {
        Scalar::Bool => *source == DataType::Boolean,
        Scalar::Int8 | Scalar::Int32 | Scalar::Int64 | Scalar::Float16 | Scalar::Float32 | Scalar::Float64 => {
            source.is_integer() || source.is_floating()
        }
        Scalar::String => text,
        Scalar::Binary => {
            text || matches!(source, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_))
        }
        Scalar::Timestamp => text || matches!(source, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64),
    }
}

/// The array itself, where its type is the declared one and no value of it could need a change.
fn unchanged(array: &ArrayRef, column_type: &ColumnType) -> Option<ArrayRef> {
    if *array.data_type() != column_type.arrow() || !column_type.is_scalar() {
        return None;
    }
    match column_type.scalar {
        Scalar::Float16 => None,
        Scalar::Float32 => {
            let array: Float32Array = array.as_primitive::<Float32Type>().unary(|v| if v.is_nan() { NAN32 } else { v + 0.0 });
            Some(Arc::new(array))
        }
        Scalar::Float64 => {
            let array: Float64Array = array.as_primitive::<Float64Type>().unary(|v| if v.is_nan() { NAN64 } else { v + 0.0 });
            Some(Arc::new(array))
        }
        _ => Some(array.clone()),
    }
}

fn without_dictionary(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Dictionary(_, values) => Ok(arrow::compute::cast(array, values)?),
        _ => Ok(array.clone()),
    }
}

/// An array whose values come out as cells.
enum Source<'a> {
    Null,
    Bool(&'a BooleanArray),
    /// Integers, floats, times: the closure reads a row that is not null.
    Value(&'a dyn Array, Box<dyn Fn(usize) -> Cell<'a> + 'a>),
    /// The closure gives the elements of a row that is not null.
    List(&'a dyn Array, Box<dyn Fn(usize) -> std::ops::Range<usize> + 'a>, Box<Self>),
}

impl<'a> Source<'a> {
    fn new(array: &'a dyn Array) -> Result<Self> {
        fn primitive<'a, T: ArrowPrimitiveType>(array: &'a dyn Array, cell: impl Fn(T::Native) -> Cell<'a> + 'a) -> Source<'a> {
            let values: &'a PrimitiveArray<T> = array.as_primitive::<T>();
            Source::Value(array, Box::new(move |row| cell(values.value(row))))
        }
        fn list<'a, O: OffsetSizeTrait>(array: &'a dyn Array) -> Result<Source<'a>> {
            let lists = array.as_list::<O>();
            let offsets = lists.value_offsets();
            let range = move |row: usize| offsets[row].as_usize()..offsets[row + 1].as_usize();
            Ok(Source::List(array, Box::new(range), Box::new(Source::new(lists.values().as_ref())?)))
        }
        let micros = |value: Option<i64>| value.map_or(Cell::Other, Cell::Micros);
        Ok(match array.data_type() {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bool(array.as_boolean()),
            DataType::Int8 => primitive::<Int8Type>(array, |v| Cell::Int(i64::from(v))),
            DataType::Int16 => primitive::<Int16Type>(array, |v| Cell::Int(i64::from(v))),
            DataType::Int32 => primitive::<Int32Type>(array, |v| Cell::Int(i64::from(v))),
            DataType::Int64 => primitive::<Int64Type>(array, Cell::Int),
            DataType::UInt8 => primitive::<UInt8Type>(array, |v| Cell::Int(i64::from(v))),
            DataType::UInt16 => primitive::<UInt16Type>(array, |v| Cell::Int(i64::from(v))),
            DataType::UInt32 => primitive::<UInt32Type>(array, |v| Cell::Int(i64::from(v))),
            DataType::UInt64 => primitive::<UInt64Type>(array, |v| i64::try_from(v).map_or(Cell::Float(v as f64), Cell::Int)),
            DataType::Float16 => primitive::<Float16Type>(array, |v| Cell::Float(f64::from(v))),
            DataType::Float32 => primitive::<Float32Type>(array, |v| Cell::Float(f64::from(v))),
            DataType::Float64 => primitive::<Float64Type>(array, Cell::Float),
            DataType::Date32 => primitive::<Date32Type>(array, move |v| micros(i64::from(v).checked_mul(86_400_000_000))),
            DataType::Date64 => primitive::<Date64Type>(array, move |v| micros(v.checked_mul(1000))),
            DataType::Timestamp(TimeUnit::Second, _) => primitive::<TimestampSecondType>(array, move |v| micros(v.checked_mul(1_000_000))),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                primitive::<TimestampMillisecondType>(array, move |v| micros(v.checked_mul(1000)))
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => primitive::<TimestampMicrosecondType>(array, Cell::Micros),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                primitive::<TimestampNanosecondType>(array, |v| Cell::Micros(v.div_euclid(1000)))
            }
            DataType::Utf8 => Self::Value(array, Box::new(move |row| Cell::Text(array.as_string::<i32>().value(row)))),
            DataType::LargeUtf8 => Self::Value(array, Box::new(move |row| Cell::Text(array.as_string::<i64>().value(row)))),
            DataType::Utf8View => Self::Value(array, Box::new(move |row| Cell::Text(array.as_string_view().value(row)))),
            DataType::Binary => Self::Value(array, Box::new(move |row| Cell::Bytes(array.as_binary::<i32>().value(row)))),
            DataType::LargeBinary => Self::Value(array, Box::new(move |row| Cell::Bytes(array.as_binary::<i64>().value(row)))),
            DataType::BinaryView => Self::Value(array, Box::new(move |row| Cell::Bytes(array.as_binary_view().value(row)))),
            DataType::FixedSizeBinary(_) => Self::Value(array, Box::new(move |row| Cell::Bytes(array.as_fixed_size_binary().value(row)))),
            DataType::List(_) => list::<i32>(array)?,
            DataType::LargeList(_) => list::<i64>(array)?,
            DataType::FixedSizeList(..) => {
                let lists = array.as_fixed_size_list();
                let length = usize::try_from(lists.value_length()).unwrap_or_default();
                Self::List(array, Box::new(move |row| row * length..(row + 1) * length), Box::new(Self::new(lists.values().as_ref())?))
            }
            other => return Err(Error::invalid(format!("it is {other}, which no column can be read from"))),
        })
    }

    fn at(&self, row: usize) -> Cell<'a> {
        match self {
            Self::Null => Cell::Null,
            Self::Bool(values) if values.is_null(row) => Cell::Null,
            Self::Bool(values) => Cell::Bool(values.value(row)),
            Self::Value(array, _) | Self::List(array, ..) if array.is_null(row) => Cell::Null,
            Self::Value(_, read) => read(row),
            Self::List(..) => Cell::Other,
        }
    }

    fn push(&self, row: usize, builder: &mut FieldBuilder) -> Fit {
        match self {
            Self::List(array, range, elements) if array.is_valid(row) => builder.push_list(range(row).map(|element| elements.at(element))),
            _ => builder.push(self.at(row)),
        }
    }
}
