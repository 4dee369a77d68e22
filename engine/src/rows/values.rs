//! A signal's own column, as it is held: plain, or smaller where few values or a narrow range make it up.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray, UInt32Array, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{interleave, take};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType};

use super::packed::Packed;
use crate::error::{Error, Result};

/// The values of one column.
#[derive(Debug, Clone)]
pub enum Values {
    Plain(ArrayRef),
    /// Of type int32, int64 or timestamp.
    Integers {
        data_type: DataType,
        packed: Packed,
        nulls: Option<NullBuffer>,
    },
    /// `distinct[codes[row]]`.
    Coded {
        codes: Packed,
        distinct: ArrayRef,
    },
}

/// A column with more different texts than this is held plain.
const MOST_TEXTS: usize = 256;

impl Values {
    /// The smallest form of a column.
    pub fn dense(array: ArrayRef) -> Self {
        let rows = array.len();
        if rows > 0 && array.null_count() == rows {
            return Self::Coded { codes: Packed::constant(0, rows), distinct: new_null_array(array.data_type(), 1) };
        }
        match array.data_type() {
            DataType::Utf8 => coded(array.as_string()).unwrap_or_else(|| shrunk(array)),
            DataType::Int32 => narrow(&array, array.as_primitive::<Int32Type>().values(), 32).unwrap_or_else(|| shrunk(array)),
            DataType::Int64 => narrow(&array, array.as_primitive::<Int64Type>().values(), 64).unwrap_or_else(|| shrunk(array)),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                narrow(&array, array.as_primitive::<TimestampMicrosecondType>().values(), 64).unwrap_or_else(|| shrunk(array))
            }
            _ => shrunk(array),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Plain(array) => array.len(),
            Self::Integers { packed, .. } => packed.len(),
            Self::Coded { codes, .. } => codes.len(),
        }
    }

    pub fn data_type(&self) -> &DataType {
        match self {
            Self::Plain(array) => array.data_type(),
            Self::Integers { data_type, .. } => data_type,
            Self::Coded { distinct, .. } => distinct.data_type(),
        }
    }

    /// Some rows: a slice where the column is plain.
    ///
    /// # Errors
    /// `Internal` when a column holds what its form cannot.
    pub fn slice(&self, rows: Range<usize>) -> Result<ArrayRef> {
        Ok(match self {
            Self::Plain(array) => array.slice(rows.start, rows.len()),
            Self::Integers { data_type, packed, nulls } => {
                let nulls = nulls.as_ref().map(|nulls| nulls.slice(rows.start, rows.len()));
                match data_type {
                    DataType::Int32 => Arc::new(Int32Array::new(packed.range(rows).map(|v| v as i32).collect(), nulls)),
                    DataType::Int64 => Arc::new(Int64Array::new(packed.range(rows).collect(), nulls)),
                    DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                        Arc::new(TimestampMicrosecondArray::new(packed.range(rows).collect(), nulls).with_timezone_opt(zone.clone()))
                    }
                    other => return Err(Error::internal(format!("read integers: {other} is held otherwise"))),
                }
            }
            Self::Coded { codes, distinct } => {
                let codes = UInt32Array::from_iter_values(codes.range(rows).map(|code| code as u32));
                take(distinct, &codes, None)?
            }
        })
    }

    /// The array and the row of it that hold the value of `row`; `None` for packed integers.
    pub fn place(&self, row: usize) -> Option<(&ArrayRef, usize)> {
        match self {
            Self::Plain(array) => Some((array, row)),
            Self::Coded { codes, distinct } => Some((distinct, codes.get(row) as usize)),
            Self::Integers { .. } => None,
        }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Plain(array) => array.get_buffer_memory_size(),
            Self::Integers { packed, nulls, .. } => packed.bytes() + nulls.as_ref().map_or(0, |n| n.buffer().capacity()),
            Self::Coded { codes, distinct } => codes.bytes() + distinct.get_buffer_memory_size(),
        }
    }

    /// Whether every row can be read.
    pub fn fits(&self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Integers { packed, nulls, .. } => nulls.as_ref().is_none_or(|nulls| nulls.len() == packed.len()),
            Self::Coded { codes, distinct } => {
                codes.range(0..codes.len()).all(|code| usize::try_from(code).is_ok_and(|c| c < distinct.len()))
            }
        }
    }
}

/// The rows named by (part, row), of columns of one type.
///
/// # Errors
/// As [`Values::slice`].
pub fn gather(parts: &[&Values], rows: &[(usize, usize)]) -> Result<ArrayRef> {
    if let ([Values::Plain(array)], Some(first)) = (parts, rows.first())
        && rows.len() == array.len()
        && rows.iter().enumerate().all(|(at, row)| row.1 == first.1 + at)
    {
        return Ok(Arc::clone(array));
    }
    let plain = parts.iter().map(|part| if let Values::Plain(array) = part { Some(array.as_ref()) } else { None });
    if let Some(arrays) = plain.collect::<Option<Vec<&dyn Array>>>() {
        return Ok(interleave(&arrays, rows)?);
    }
    // Of a part that is not plain, only what lies between its first and its last row is unpacked.
    let mut spans: Vec<Range<usize>> = vec![usize::MAX..0; parts.len()];
    for (part, row) in rows {
        let span = &mut spans[*part];
        *span = span.start.min(*row)..span.end.max(row + 1);
    }
    let arrays: Vec<(usize, ArrayRef)> = parts
        .iter()
        .zip(&spans)
        .map(|(part, span)| match part {
            Values::Plain(array) => Ok((0, Arc::clone(array))),
            _ if span.start == usize::MAX => Ok((0, part.slice(0..0)?)),
            _ => Ok((span.start, part.slice(span.clone())?)),
        })
        .collect::<Result<_>>()?;
    let shifted: Vec<(usize, usize)> = rows.iter().map(|(part, row)| (*part, row - arrays[*part].0)).collect();
    let arrays: Vec<&dyn Array> = arrays.iter().map(|(_, array)| array.as_ref()).collect();
    Ok(interleave(&arrays, &shifted)?)
}

fn shrunk(mut array: ArrayRef) -> Values {
    array.shrink_to_fit();
    Values::Plain(array)
}

/// `None` when the column would hardly be smaller.
fn narrow<T: Copy + Into<i64>>(array: &ArrayRef, values: &[T], plain_bits: usize) -> Option<Values> {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
    let packed = match &nulls {
        None => Packed::new(values.iter().map(|v| (*v).into())),
        Some(nulls) => {
            // Where there is no value, any will do that needs no bits of its own.
            let filler = nulls.valid_indices().next().and_then(|first| values.get(first)).map_or(0, |v| (*v).into());
            Packed::new(values.iter().enumerate().map(|(row, v)| if nulls.is_valid(row) { (*v).into() } else { filler }))
        }
    };
    (packed.bytes() * 8 < values.len() * plain_bits * 7 / 8).then(|| Values::Integers {
        data_type: array.data_type().clone(),
        packed,
        nulls: nulls.map(own),
    })
}

/// Bits of one's own, without those of the array they were cut from.
fn own(nulls: NullBuffer) -> NullBuffer {
    NullBuffer::new(nulls.iter().collect())
}

/// `None` when there are too many different texts.
fn coded(texts: &StringArray) -> Option<Values> {
    let mut known: HashMap<Option<&str>, i64> = HashMap::new();
    let mut distinct: Vec<Option<&str>> = Vec::new();
    let mut codes = Vec::with_capacity(texts.len());
    for text in texts {
        let code = *known.entry(text).or_insert_with(|| {
            distinct.push(text);
            distinct.len() as i64 - 1
        });
        if distinct.len() > MOST_TEXTS || distinct.len() > texts.len() / 2 + 1 {
            return None;
        }
        codes.push(code);
    }
    let mut distinct: ArrayRef = Arc::new(StringArray::from(distinct));
    distinct.shrink_to_fit();
    Some(Values::Coded { codes: Packed::new(codes.into_iter()), distinct })
}

#[cfg(test)]
mod tests {
    use arrow::array::Float32Array;

    use super::*;

    fn columns() -> Vec<ArrayRef> {
        let zone: Arc<str> = "UTC".into();
        vec![
            Arc::new(Int64Array::from_iter((0..100).map(|i| (i % 7 != 0).then_some(1_000_000_000_000 + i)))),
            Arc::new(Int32Array::from_iter_values((0..100).map(|i| i % 5))),
            Arc::new(Int64Array::from_iter_values((0..100).map(|i: i64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64)))),
            Arc::new(TimestampMicrosecondArray::from_iter_values((0..100).map(|i| i * 1000)).with_timezone(zone)),
            Arc::new(StringArray::from_iter((0..100).map(|i| ["view", "cart", "buy"].get(i % 4)))),
            Arc::new(StringArray::from_iter_values((0..100).map(|i| i.to_string()))),
            Arc::new(Float32Array::from_iter((0..100).map(|i| (i % 3 == 0).then_some(i as f32)))),
            new_null_array(&DataType::Float32, 100),
        ]
    }

    #[test]
    fn whatever_form_a_column_has_its_rows_are_the_same() {
        for array in columns() {
            let values = Values::dense(Arc::clone(&array));
            assert!(values.fits() && values.len() == 100);
            assert_eq!(&values.slice(0..100).unwrap(), &array);
            assert_eq!(&values.slice(31..77).unwrap(), &array.slice(31, 46));
            // A slice of a column is packed as if it stood alone.
            assert_eq!(&Values::dense(array.slice(13, 50)).slice(3..9).unwrap(), &array.slice(16, 6));
            let plain = Values::Plain(Arc::clone(&array));
            let rows = [(0, 90), (1, 3), (0, 14), (0, 14), (1, 99)];
            let expected = interleave(&[array.as_ref(), array.as_ref()], &rows).unwrap();
            assert_eq!(&gather(&[&values, &plain], &rows).unwrap(), &expected);
            assert_eq!(&gather(&[&values, &values], &rows).unwrap(), &expected);
        }
    }

    #[test]
    fn few_texts_narrow_integers_and_nothing_but_nulls_take_less() {
        let forms: Vec<&str> = columns()
            .into_iter()
            .map(|array| match Values::dense(array) {
                Values::Plain(_) => "plain",
                Values::Integers { .. } => "integers",
                Values::Coded { .. } => "coded",
            })
            .collect();
        assert_eq!(forms, ["integers", "integers", "plain", "integers", "coded", "plain", "plain", "coded"]);
    }
}
