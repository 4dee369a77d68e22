//! What a message claims about its body, checked before it is believed: the reader of the library panics on some of it.

use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::RecordBatch;

/// The most rows that a record can claim: a byte each.
const MAX_ROWS: i64 = super::MAX_RECORD_BYTES as i64;

/// Checks counts, lengths and places against the schema and the bytes that are there.
pub fn check(batch: &RecordBatch<'_>, body: usize, schema: &Schema) -> Result<(), &'static str> {
    if batch.compression().is_some() || batch.variadicBufferCounts().is_some_and(|v| !v.is_empty()) {
        return Err("compressed or variadic buffers");
    }
    let rows = batch.length();
    if !(0..=MAX_ROWS).contains(&rows) {
        return Err("the number of rows");
    }
    let (nodes, buffers) = (batch.nodes().ok_or("no nodes")?, batch.buffers().ok_or("no buffers")?);
    let mut lengths = Vec::with_capacity(buffers.len());
    for buffer in buffers {
        let place = usize::try_from(buffer.offset()).ok().zip(usize::try_from(buffer.length()).ok());
        let (offset, length) = place.ok_or("a buffer outside the body")?;
        if offset.checked_add(length).is_none_or(|end| end > body) {
            return Err("a buffer outside the body");
        }
        lengths.push(length);
    }
    let mut walk = Walk { nodes: nodes.iter().map(|n| (n.length(), n.null_count())), lengths: lengths.into_iter() };
    for field in schema.fields() {
        if walk.field(field)? != rows {
            return Err("a column's length");
        }
    }
    if walk.nodes.next().is_some() || walk.lengths.next().is_some() {
        return Err("the number of nodes or buffers");
    }
    Ok(())
}

struct Walk<N, L> {
    /// (length, nulls).
    nodes: N,
    /// Of the buffers, in bytes.
    lengths: L,
}

impl<N: Iterator<Item = (i64, i64)>, L: Iterator<Item = usize>> Walk<N, L> {
    /// Passes a field and its children, and returns its length.
    fn field(&mut self, field: &Field) -> Result<i64, &'static str> {
        let (length, nulls) = self.nodes.next().ok_or("the number of nodes")?;
        if !(0..=MAX_ROWS).contains(&length) || !(0..=length).contains(&nulls) {
            return Err("a column's length or nulls");
        }
        // At most MAX_ROWS, so nothing below overflows.
        let rows = usize::try_from(length).map_err(|_| "a column's length or nulls")?;
        self.buffer(if nulls > 0 { rows.div_ceil(8) } else { 0 }, 1)?;
        let offsets = if rows > 0 { rows + 1 } else { 0 };
        match field.data_type() {
            DataType::Boolean => self.buffer(rows.div_ceil(8), 1)?,
            DataType::Utf8 | DataType::Binary => {
                self.buffer(offsets, size_of::<i32>())?;
                self.buffer(0, 1)?;
            }
            DataType::FixedSizeBinary(width) => self.buffer(rows, usize::try_from(*width).map_err(|_| "a type that rows do not have")?)?,
            DataType::List(item) => {
                self.buffer(offsets, size_of::<i32>())?;
                self.field(item)?;
            }
            DataType::FixedSizeList(item, size) => {
                if self.field(item)? != length.saturating_mul(i64::from(*size)) {
                    return Err("a list's length");
                }
            }
            primitive => self.buffer(rows, primitive.primitive_width().ok_or("a type that rows do not have")?)?,
        }
        Ok(length)
    }

    /// Passes a buffer of at least `count` values of `width` bytes, and of whole ones.
    fn buffer(&mut self, count: usize, width: usize) -> Result<(), &'static str> {
        let length = self.lengths.next().ok_or("the number of buffers")?;
        if length < count.saturating_mul(width) || (width > 1 && length % width != 0) {
            return Err("a buffer's length");
        }
        Ok(())
    }
}
