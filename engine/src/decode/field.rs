//! Builders of declared fields: a cell goes in, and what does not fit becomes null and is reported.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, FixedSizeBinaryArray, Float32Builder, Float64Builder, Int32Builder, Int64Builder, ListArray,
    NullBufferBuilder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::datatypes::{DataType, FieldRef};
use tress_configs::column::{ColumnType, Scalar};

use super::base64;
use super::cell::{Cell, NAN16, NAN32};
use crate::error::{Error, Result};

/// Builds the array of one field. Every push adds one row; a push that returns `Misfit` has added a null.
pub(super) enum FieldBuilder {
    Bool(BooleanBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float16(Float32Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Micros(TimestampMicrosecondBuilder),
    List { scalar: Scalar, item: FieldRef, items: Box<Self>, offsets: Vec<i32>, valid: NullBufferBuilder },
    Vector { scalar: Scalar, dim: usize, bytes: Vec<u8>, valid: NullBufferBuilder },
}

/// Whether a value was of the field's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Fit {
    Fits,
    Misfit,
}

impl FieldBuilder {
    /// # Errors
    /// `Invalid` for a type that no column has.
    pub(super) fn new(column_type: &ColumnType, rows: usize) -> Result<Self> {
        let scalar = column_type.scalar;
        if let Some(dim) = column_type.dim {
            let width = column_type.packed_bytes().ok_or_else(|| unsupported(column_type))? as usize;
            return Ok(Self::Vector {
                scalar,
                dim: dim as usize,
                bytes: Vec::with_capacity(rows.saturating_mul(width)),
                valid: NullBufferBuilder::new(rows),
            });
        }
        if column_type.list {
            let DataType::List(item) = column_type.arrow() else { return Err(unsupported(column_type)) };
            let items = Box::new(Self::new(&ColumnType::scalar(scalar), rows)?);
            let mut offsets = Vec::with_capacity(rows + 1);
            offsets.push(0);
            return Ok(Self::List { scalar, item, items, offsets, valid: NullBufferBuilder::new(rows) });
        }
        Ok(match scalar {
            Scalar::Bool => Self::Bool(BooleanBuilder::with_capacity(rows)),
            Scalar::Int8 => return Err(unsupported(column_type)),
            Scalar::Int32 => Self::Int32(Int32Builder::with_capacity(rows)),
            Scalar::Int64 => Self::Int64(Int64Builder::with_capacity(rows)),
            Scalar::Float16 => Self::Float16(Float32Builder::with_capacity(rows)),
            Scalar::Float32 => Self::Float32(Float32Builder::with_capacity(rows)),
            Scalar::Float64 => Self::Float64(Float64Builder::with_capacity(rows)),
            Scalar::String => Self::Text(StringBuilder::with_capacity(rows, rows * 16)),
            Scalar::Binary => Self::Binary(BinaryBuilder::with_capacity(rows, rows * 16)),
            Scalar::Timestamp => Self::Micros(TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(scalar.arrow())),
        })
    }

    pub(super) fn push(&mut self, cell: Cell<'_>) -> Fit {
        if cell == Cell::Null {
            self.push_null();
            return Fit::Fits;
        }
        macro_rules! append {
            ($builder:expr, $value:expr) => {{
                let value = $value;
                $builder.append_option(value);
                Fit::when(value.is_some())
            }};
        }
        match self {
            Self::Bool(builder) => append!(builder, cell.bool()),
            Self::Int32(builder) => append!(builder, cell.int32()),
            Self::Int64(builder) => append!(builder, cell.int64()),
            Self::Float16(builder) => append!(builder, cell.float16().map(half::f16::to_f32)),
            Self::Float32(builder) => append!(builder, cell.float32()),
            Self::Float64(builder) => append!(builder, cell.float64()),
            Self::Micros(builder) => append!(builder, cell.micros()),
            Self::Text(builder) => match cell {
                Cell::Text(text) => {
                    builder.append_value(text);
                    Fit::Fits
                }
                _ => {
                    builder.append_null();
                    Fit::Misfit
                }
            },
            Self::Binary(builder) => match cell {
                Cell::Bytes(bytes) => {
                    builder.append_value(bytes);
                    Fit::Fits
                }
                Cell::Text(text) => {
                    let bytes = base64::decode(text);
                    let fit = Fit::when(bytes.is_some());
                    builder.append_option(bytes);
                    fit
                }
                _ => {
                    builder.append_null();
                    Fit::Misfit
                }
            },
            // Bytes of the right length are a vector that is packed already.
            Self::Vector { scalar, dim, bytes, valid } => match cell {
                Cell::Bytes(packed) if packed.len() == *dim * width(*scalar) => {
                    extend_canonical(bytes, packed, *scalar);
                    valid.append_non_null();
                    Fit::Fits
                }
                _ => {
                    self.push_null();
                    Fit::Misfit
                }
            },
            Self::List { .. } => {
                self.push_null();
                Fit::Misfit
            }
        }
    }

    /// A row that is a list or a vector of these elements.
    pub(super) fn push_list<'a>(&mut self, cells: impl ExactSizeIterator<Item = Cell<'a>> + Clone) -> Fit {
        match self {
            Self::List { scalar, items, offsets, valid, .. } => {
                let fits = cells.clone().all(|cell| cell.is_a(*scalar));
                let end = offsets.last().copied().unwrap_or_default();
                let Some(end) = i32::try_from(cells.len()).ok().and_then(|len| end.checked_add(len)).filter(|_| fits) else {
                    self.push_null();
                    return Fit::Misfit;
                };
                for cell in cells {
                    let _: Fit = items.push(cell);
                }
                offsets.push(end);
                valid.append_non_null();
                Fit::Fits
            }
            Self::Vector { scalar, dim, bytes, valid } => {
                let start = bytes.len();
                let packed = cells.len() == *dim && cells.into_iter().all(|cell| pack(cell, *scalar, bytes));
                if packed {
                    valid.append_non_null();
                    return Fit::Fits;
                }
                bytes.truncate(start);
                self.push_null();
                Fit::Misfit
            }
            _ => {
                self.push_null();
                Fit::Misfit
            }
        }
    }

    pub(super) fn push_null(&mut self) {
        match self {
            Self::Bool(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::Float16(builder) | Self::Float32(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Binary(builder) => builder.append_null(),
            Self::Micros(builder) => builder.append_null(),
            Self::List { offsets, valid, .. } => {
                offsets.push(offsets.last().copied().unwrap_or_default());
                valid.append_null();
            }
            Self::Vector { scalar, dim, bytes, valid } => {
                bytes.resize(bytes.len() + *dim * width(*scalar), 0);
                valid.append_null();
            }
        }
    }

    /// The array of all rows pushed.
    ///
    /// # Errors
    /// `Internal` when Arrow refuses what was built.
    pub(super) fn finish(self) -> Result<ArrayRef> {
        Ok(match self {
            Self::Bool(mut builder) => Arc::new(builder.finish()),
            Self::Int32(mut builder) => Arc::new(builder.finish()),
            Self::Int64(mut builder) => Arc::new(builder.finish()),
            Self::Float16(mut builder) | Self::Float32(mut builder) => Arc::new(builder.finish()),
            Self::Float64(mut builder) => Arc::new(builder.finish()),
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Binary(mut builder) => Arc::new(builder.finish()),
            Self::Micros(mut builder) => Arc::new(builder.finish()),
            Self::List { item, items, offsets, mut valid, .. } => {
                Arc::new(ListArray::try_new(item, OffsetBuffer::new(offsets.into()), items.finish()?, valid.finish())?)
            }
            Self::Vector { scalar, dim, bytes, mut valid } => {
                let rows = valid.len();
                let width = i32::try_from(dim * width(scalar)).map_err(|_| Error::invalid("a vector is longer than 2^31 bytes"))?;
                Arc::new(FixedSizeBinaryArray::try_new_with_len(width, Buffer::from_vec(bytes), valid.finish(), rows)?)
            }
        })
    }
}

impl Fit {
    const fn when(fits: bool) -> Self {
        if fits { Self::Fits } else { Self::Misfit }
    }
}

fn width(scalar: Scalar) -> usize {
    scalar.packed_width().map_or(0, |width| width as usize)
}

/// Appends one element of a vector; false when it is null or does not fit.
fn pack(cell: Cell<'_>, scalar: Scalar, bytes: &mut Vec<u8>) -> bool {
    let before = bytes.len();
    match scalar {
        Scalar::Int8 => bytes.extend(cell.int8().map(i8::to_le_bytes).iter().flatten()),
        Scalar::Float16 => bytes.extend(cell.float16().map(half::f16::to_le_bytes).iter().flatten()),
        _ => bytes.extend(cell.float32().map(f32::to_le_bytes).iter().flatten()),
    }
    bytes.len() > before
}

/// Appends a packed vector as packing its elements would: with the one NaN, and 0 for −0.
fn extend_canonical(bytes: &mut Vec<u8>, packed: &[u8], scalar: Scalar) {
    match scalar {
        Scalar::Float16 => bytes.extend(packed.as_chunks::<2>().0.iter().flat_map(|element| {
            let value = half::f16::from_le_bytes(*element);
            let canonical = if value.is_nan() {
                NAN16
            } else if value == half::f16::ZERO {
                half::f16::ZERO
            } else {
                value
            };
            canonical.to_le_bytes()
        })),
        Scalar::Float32 => bytes.extend(packed.as_chunks::<4>().0.iter().flat_map(|element| {
            let value = f32::from_le_bytes(*element);
            (if value.is_nan() { NAN32 } else { value + 0.0 }).to_le_bytes()
        })),
        _ => bytes.extend_from_slice(packed),
    }
}

fn unsupported(column_type: &ColumnType) -> Error {
    Error::invalid(format!("no column can be of type {column_type}; int8 is for the elements of vectors only"))
}
