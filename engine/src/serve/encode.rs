//! Columns as they travel: Arrow's buffers without a schema, normalised so that equal rows are equal bytes.

use arrow::array::{Array, ArrayRef, AsArray, BooleanBufferBuilder, GenericByteArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{BinaryType, ByteArrayType, DataType, Schema, SchemaRef, Utf8Type};
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;

use super::proto;
use super::schema::plain_type;
use crate::error::{Error, ErrorKind, Result};

/// Gathers batches of one schema, slices of any length and offset, into one set of columns.
#[derive(Debug)]
pub struct Encoder {
    columns: Vec<Column>,
    rows: usize,
}

/// One array that grows.
#[derive(Debug)]
struct Column {
    data_type: DataType,
    rows: usize,
    values: Vec<u8>,
    /// Of a bool, instead of `values`.
    bits: BooleanBufferBuilder,
    /// One more than rows; of string, binary and list.
    offsets: Vec<i32>,
    /// Empty until the first null.
    validity: BooleanBufferBuilder,
    children: Vec<Column>,
}

impl Encoder {
    /// # Errors
    /// `Internal` for a type that has no place in replies.
    pub fn new(schema: &Schema) -> Result<Self> {
        let columns = schema.fields().iter().map(|f| Column::new(&plain_type(f.data_type()))).collect::<Result<_>>()?;
        Ok(Self { columns, rows: 0 })
    }

    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Adds the rows of a batch of the encoder's schema; dictionaries are decoded.
    ///
    /// # Errors
    /// `Internal` when the batch is of another schema; `Full` when a column would exceed what 32-bit offsets can reach.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_columns() != self.columns.len() {
            return Err(Error::internal("encode columns: a batch has another number of columns"));
        }
        for (column, array) in self.columns.iter_mut().zip(batch.columns()) {
            column.append(array)?;
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    /// `schema_digest`: of the feature's whole schema.
    #[must_use]
    pub fn finish(self, schema_digest: &str) -> proto::Columns {
        proto::Columns {
            schema_digest: schema_digest.to_owned(),
            row_count: self.rows as u64,
            columns: self.columns.into_iter().map(Column::finish).collect(),
        }
    }
}

/// An Arrow IPC stream of one batch.
///
/// # Errors
/// `Internal` when the rows are not of the schema.
pub fn encode_ipc(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Bytes> {
    let plain: Vec<RecordBatch> = batches.iter().map(|batch| decode_dictionaries(schema, batch)).collect::<Result<_>>()?;
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    if !plain.is_empty() {
        writer.write(&arrow::compute::concat_batches(schema, &plain)?)?;
    }
    Ok(Bytes::from(writer.into_inner()?))
}

/// The schema alone, as an Arrow IPC stream.
///
/// # Errors
/// `Internal` when the schema cannot be written.
pub fn encode_schema(schema: &SchemaRef) -> Result<Bytes> {
    encode_ipc(schema, &[])
}

/// The batch in its plain schema.
///
/// # Errors
/// `Internal` when it is not of that schema.
pub fn decode_dictionaries(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(
            |(field, array)| {
                if array.data_type() == field.data_type() { Ok(array.clone()) } else { undictionary(array, field.data_type()) }
            },
        )
        .collect::<Result<Vec<_>>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

fn undictionary(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if plain_type(array.data_type()) != *to {
        return Err(Error::internal(format!("encode columns: a column is {}, not {to}", array.data_type())));
    }
    Ok(arrow::compute::cast(array, to)?)
}

impl Column {
    fn new(data_type: &DataType) -> Result<Self> {
        let (offsets, children) = match data_type {
            DataType::Utf8 | DataType::Binary => (vec![0], Vec::new()),
            DataType::List(item) => (vec![0], vec![Self::new(item.data_type())?]),
            DataType::Struct(fields) => (Vec::new(), fields.iter().map(|f| Self::new(f.data_type())).collect::<Result<_>>()?),
            DataType::Boolean => (Vec::new(), Vec::new()),
            other if fixed_width(other).is_some() => (Vec::new(), Vec::new()),
            other => return Err(Error::internal(format!("encode columns: the type {other} has no place in a reply"))),
        };
        Ok(Self {
            data_type: data_type.clone(),
            rows: 0,
            values: Vec::new(),
            bits: BooleanBufferBuilder::new(0),
            offsets,
            validity: BooleanBufferBuilder::new(0),
            children,
        })
    }

    fn append(&mut self, array: &ArrayRef) -> Result<()> {
        if array.data_type() != &self.data_type {
            // Item fields of lists may differ in names or metadata: only the types decide.
            let same = same_layout(array.data_type(), &self.data_type);
            if !same {
                return self.append(&undictionary(array, &self.data_type)?);
            }
        }
        let nulls = array.nulls().filter(|n| n.null_count() > 0).cloned();
        match &self.data_type {
            DataType::Boolean => {
                let array = array.as_boolean();
                match &nulls {
                    None => self.bits.append_buffer(array.values()),
                    Some(nulls) => self.bits.append_buffer(&(array.values() & nulls.inner())),
                }
            }
            DataType::Utf8 => append_bytes(&mut self.values, &mut self.offsets, array.as_bytes::<Utf8Type>(), nulls.as_ref())?,
            DataType::Binary => append_bytes(&mut self.values, &mut self.offsets, array.as_bytes::<BinaryType>(), nulls.as_ref())?,
            DataType::List(_) => self.append_list(array, nulls.as_ref())?,
            DataType::Struct(_) => self.append_struct(array, nulls.as_ref())?,
            other => {
                let width = fixed_width(other).ok_or_else(|| Error::internal("encode columns: a type without a width"))?;
                self.append_fixed(array, width, nulls.as_ref())?;
            }
        }
        self.append_validity(nulls.as_ref(), array.len());
        self.rows += array.len();
        Ok(())
    }

    fn append_validity(&mut self, nulls: Option<&NullBuffer>, length: usize) {
        match nulls {
            Some(nulls) => {
                if self.validity.is_empty() {
                    self.validity.append_n(self.rows, true);
                }
                self.validity.append_buffer(nulls.inner());
            }
            None if self.validity.is_empty() => {}
            None => self.validity.append_n(length, true),
        }
    }

    fn append_fixed(&mut self, array: &ArrayRef, width: usize, nulls: Option<&NullBuffer>) -> Result<()> {
        let data = array.to_data();
        let from = data.offset() * width;
        let bytes = data.buffers().first().and_then(|b| b.as_slice().get(from..from + array.len() * width));
        let start = self.values.len();
        self.values.extend_from_slice(bytes.ok_or_else(|| Error::internal("encode columns: a column is shorter than it says"))?);
        for row in nulls.iter().flat_map(|n| (0..n.len()).filter(|row| n.is_null(*row))) {
            self.values[start + row * width..start + (row + 1) * width].fill(0);
        }
        Ok(())
    }

    fn append_list(&mut self, array: &ArrayRef, nulls: Option<&NullBuffer>) -> Result<()> {
        let list = array.as_list::<i32>();
        let Some(child) = self.children.first_mut() else {
            return Err(Error::internal("encode columns: a list without items"));
        };
        let reach = list.value_offsets();
        let Some(nulls) = nulls else {
            let (first, last) = (reach[0], reach[list.len()]);
            let base = self.offsets.last().copied().unwrap_or(0);
            child.append(&list.values().slice(usize_of(first), usize_of(last - first)))?;
            for end in &reach[1..] {
                self.offsets.push(base.checked_add(end - first).ok_or_else(too_large)?);
            }
            return Ok(());
        };
        for row in 0..list.len() {
            let length = if nulls.is_null(row) { 0 } else { reach[row + 1] - reach[row] };
            child.append(&list.values().slice(usize_of(reach[row]), usize_of(length)))?;
            let base = self.offsets.last().copied().unwrap_or(0);
            self.offsets.push(base.checked_add(length).ok_or_else(too_large)?);
        }
        Ok(())
    }

    fn append_struct(&mut self, array: &ArrayRef, nulls: Option<&NullBuffer>) -> Result<()> {
        let fields = array.as_struct();
        for (child, array) in self.children.iter_mut().zip(fields.columns()) {
            match nulls {
                None => child.append(array)?,
                // A null struct has null fields: what its fields hold beneath is nobody's business.
                Some(nulls) => {
                    let both = NullBuffer::union(Some(nulls), array.nulls());
                    child.append(&arrow::array::make_array(array.to_data().into_builder().nulls(both).build()?))?;
                }
            }
        }
        Ok(())
    }

    fn finish(mut self) -> proto::Column {
        let values = if self.data_type == DataType::Boolean { bits(&mut self.bits) } else { Bytes::from(self.values) };
        let mut offsets = Vec::with_capacity(self.offsets.len() * 4);
        for offset in &self.offsets {
            offsets.extend_from_slice(&offset.to_le_bytes());
        }
        proto::Column {
            values,
            offsets: Bytes::from(offsets),
            validity: bits(&mut self.validity),
            children: self.children.into_iter().map(Self::finish).collect(),
        }
    }
}

fn append_bytes<T: ByteArrayType<Offset = i32>>(
    values: &mut Vec<u8>,
    offsets: &mut Vec<i32>,
    array: &GenericByteArray<T>,
    nulls: Option<&NullBuffer>,
) -> Result<()> {
    let reach = array.value_offsets();
    let all = array.value_data();
    let base = i32::try_from(values.len()).map_err(|_| too_large())?;
    let Some(nulls) = nulls else {
        let (first, last) = (reach[0], reach[array.len()]);
        values.extend_from_slice(&all[usize_of(first)..usize_of(last)]);
        for end in &reach[1..] {
            offsets.push(base.checked_add(end - first).ok_or_else(too_large)?);
        }
        return Ok(());
    };
    for row in 0..array.len() {
        if nulls.is_valid(row) {
            values.extend_from_slice(&all[usize_of(reach[row])..usize_of(reach[row + 1])]);
        }
        offsets.push(i32::try_from(values.len()).map_err(|_| too_large())?);
    }
    Ok(())
}

/// Bytes of one value of a type of fixed width that fills whole bytes.
pub(super) fn fixed_width(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::FixedSizeBinary(width) => usize::try_from(*width).ok(),
        other => other.primitive_width(),
    }
}

/// Whether arrays of both types have the same buffers.
fn same_layout(a: &DataType, b: &DataType) -> bool {
    match (a, b) {
        (DataType::List(a), DataType::List(b)) => same_layout(a.data_type(), b.data_type()),
        (DataType::Struct(a), DataType::Struct(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_layout(a.data_type(), b.data_type()))
        }
        _ => a == b,
    }
}

fn bits(builder: &mut BooleanBufferBuilder) -> Bytes {
    Bytes::copy_from_slice(&builder.as_slice()[..builder.len().div_ceil(8)])
}

/// Offsets of an Arrow array are never negative.
fn usize_of(offset: i32) -> usize {
    usize::try_from(offset).unwrap_or(0)
}

fn too_large() -> Error {
    Error::new(ErrorKind::Full, "encode columns: a column of the reply exceeds 2 GiB; ask for fewer rows, columns or entities")
}

#[cfg(test)]
mod tests;
