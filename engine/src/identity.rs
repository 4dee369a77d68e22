//! The identity of an event and the hash of its raw fields: bytes of typed values, hashed. Frozen by `engine/vectors/identity.json`.
//!
//! A value is written as one tag byte and its bytes, integers and floats little-endian:
//!
//! | tag | type | bytes |
//! |---|---|---|
//! | 0 | null | none |
//! | 1 | bool | one, 0 or 1 |
//! | 2 | int32 | 4 |
//! | 3 | int64 | 8 |
//! | 4 | float16, float32 | 4, of the float32; −0 is 0 and every NaN is 0x7fc00000 |
//! | 5 | float64 | 8; −0 is 0 and every NaN is 0x7ff8000000000000 |
//! | 6 | string | u32 length, UTF-8 |
//! | 7 | binary | u32 length, bytes |
//! | 8 | timestamp | 8, microseconds |
//! | 9 | list | u32 number of elements, then each as a value |
//! | 10 | vector | u32 length in bytes, the packed elements |

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int32Array, Int64Array,
    ListArray, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use xxhash_rust::xxh3::xxh3_64;

use crate::decode::{NAN32, NAN64};
use crate::entity::{flip, hash_bytes};
use crate::error::{Error, Result};

/// Per row: the identity of the event that has these values, in this order: entity, event_time, the fields of the identity.
/// Where one of them is null there is no identity, and the hash means nothing.
///
/// # Errors
/// `Internal` when an array is of no type that a column has.
pub fn event_ids(parts: &[ArrayRef]) -> Result<Vec<i64>> {
    hash_rows(parts, flip)
}

/// Per row: the hash of the entity, as in [`crate::entity::Entity::hash`].
///
/// # Errors
/// `Internal` when entities are neither strings nor int64.
pub fn entity_hashes(entities: &ArrayRef) -> Result<Vec<i64>> {
    match entities.data_type() {
        DataType::Utf8 => Ok(entities.as_string::<i32>().iter().map(|e| hash_bytes(e.unwrap_or_default().as_bytes())).collect()),
        DataType::Int64 => Ok(entities.as_primitive::<Int64Type>().values().iter().map(|e| hash_bytes(&e.to_le_bytes())).collect()),
        other => Err(Error::internal(format!("hash entities of type {other}: they are string or int64"))),
    }
}

/// Per row: 32 bits of the hash of the declared raw fields, in declared order; the top bit flipped, as in other hashes.
///
/// # Errors
/// As [`event_ids`].
pub fn raw_hashes(fields: &[ArrayRef]) -> Result<Vec<i32>> {
    hash_rows(fields, |hash| ((hash as u32) ^ (1 << 31)) as i32)
}

/// Per row: the hash of all these values, nulls included.
///
/// # Errors
/// As [`event_ids`].
pub(crate) fn row_hashes(columns: &[ArrayRef]) -> Result<Vec<u64>> {
    hash_rows(columns, |hash| hash)
}

fn hash_rows<T>(columns: &[ArrayRef], finish: impl Fn(u64) -> T) -> Result<Vec<T>> {
    let rows = columns.first().map_or(0, Array::len);
    let writers = columns.iter().map(Writer::new).collect::<Result<Vec<_>>>()?;
    let mut bytes = Vec::with_capacity(256);
    Ok((0..rows)
        .map(|row| {
            bytes.clear();
            writers.iter().for_each(|writer| writer.write(row, &mut bytes));
            finish(xxh3_64(&bytes))
        })
        .collect())
}

/// Writes the values of one column.
enum Writer<'a> {
    Bool(&'a BooleanArray),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    Text(&'a StringArray),
    Binary(&'a BinaryArray),
    Micros(&'a TimestampMicrosecondArray),
    List(&'a ListArray, Box<Self>),
    Vector(&'a FixedSizeBinaryArray),
}

impl<'a> Writer<'a> {
    fn new(array: &'a ArrayRef) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Boolean => Self::Bool(array.as_boolean()),
            DataType::Int32 => Self::Int32(array.as_primitive::<Int32Type>()),
            DataType::Int64 => Self::Int64(array.as_primitive::<Int64Type>()),
            DataType::Float32 => Self::Float32(array.as_primitive::<Float32Type>()),
            DataType::Float64 => Self::Float64(array.as_primitive::<Float64Type>()),
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Binary => Self::Binary(array.as_binary()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Self::Micros(array.as_primitive::<TimestampMicrosecondType>()),
            DataType::List(_) => {
                let lists = array.as_list::<i32>();
                Self::List(lists, Box::new(Self::new(lists.values())?))
            }
            DataType::FixedSizeBinary(_) => Self::Vector(array.as_fixed_size_binary()),
            other => return Err(Error::internal(format!("hash a column of type {other}: no column has this type"))),
        })
    }

    fn write(&self, row: usize, bytes: &mut Vec<u8>) {
        if self.array().is_null(row) {
            bytes.push(0);
            return;
        }
        match self {
            Self::Bool(array) => bytes.extend([1, u8::from(array.value(row))]),
            Self::Int32(array) => {
                bytes.push(2);
                bytes.extend(array.value(row).to_le_bytes());
            }
            Self::Int64(array) => {
                bytes.push(3);
                bytes.extend(array.value(row).to_le_bytes());
            }
            Self::Float32(array) => {
                let value = array.value(row);
                bytes.push(4);
                bytes.extend((if value.is_nan() { NAN32 } else { value + 0.0 }).to_le_bytes());
            }
            Self::Float64(array) => {
                let value = array.value(row);
                bytes.push(5);
                bytes.extend((if value.is_nan() { NAN64 } else { value + 0.0 }).to_le_bytes());
            }
            Self::Text(array) => counted(6, array.value(row).as_bytes(), bytes),
            Self::Binary(array) => counted(7, array.value(row), bytes),
            Self::Micros(array) => {
                bytes.push(8);
                bytes.extend(array.value(row).to_le_bytes());
            }
            Self::List(array, elements) => {
                let offsets = array.value_offsets();
                let (start, end) = (offsets[row], offsets[row + 1]);
                bytes.push(9);
                bytes.extend((end - start).to_le_bytes());
                for element in start..end {
                    elements.write(element as usize, bytes);
                }
            }
            Self::Vector(array) => counted(10, array.value(row), bytes),
        }
    }

    fn array(&self) -> &dyn Array {
        match self {
            Self::Bool(array) => array,
            Self::Int32(array) => array,
            Self::Int64(array) => array,
            Self::Float32(array) => array,
            Self::Float64(array) => array,
            Self::Text(array) => array,
            Self::Binary(array) => array,
            Self::Micros(array) => array,
            Self::List(array, _) => array,
            Self::Vector(array) => array,
        }
    }
}

/// A tag, the length as a u32, the bytes. Arrow's offsets keep every value below 2^31.
fn counted(tag: u8, value: &[u8], bytes: &mut Vec<u8>) {
    bytes.push(tag);
    bytes.extend((value.len() as u32).to_le_bytes());
    bytes.extend_from_slice(value);
}

#[cfg(test)]
mod tests;
