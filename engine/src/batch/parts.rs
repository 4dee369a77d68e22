//! Parquet files of sequences: a row an entity, a list per column of the sequence.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, TimestampMicrosecondArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use object_store::{ObjectStoreExt, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use tress_configs::column::{ColumnType, Scalar};

use super::manifest::PartFile;
use crate::dataset::{Target, sequence_fields, sequence_lists};
use crate::error::{Context, Result};
use crate::read::Feature;

/// Entities that are written at once: also what decides where pages end, so it is the same for all ways to the same sequences.
pub const CHUNK: usize = 4096;
/// A row group ends when about so many bytes of it are encoded.
const ROW_GROUP_BYTES: usize = 32 << 20;
/// A file ends when it has about so many bytes.
const FILE_BYTES: usize = 128 << 20;

/// Some entities and their sequences, oldest event first.
#[derive(Debug)]
pub struct Chunk {
    /// At most [`CHUNK`].
    pub entities: ArrayRef,
    /// Of each entity's sequence.
    pub lengths: Vec<usize>,
    /// The columns of the feature's schema: all sequences, one after the other.
    pub events: Vec<ArrayRef>,
}

/// A file that is written and not put yet.
#[derive(Debug)]
pub struct Part {
    pub file: PartFile,
    bytes: Bytes,
}

/// `entity`, `as_of`, then a list per column of the sequence; a name that is taken gets `sequence_` before it.
pub fn schema(feature: &Feature) -> SchemaRef {
    let mut fields = vec![
        Field::new("entity", ColumnType::scalar(feature.plan().entity).arrow(), false),
        Field::new("as_of", ColumnType::scalar(Scalar::Timestamp).arrow(), false),
    ];
    fields.extend(sequence_fields(feature, &Schema::new(fields.clone())));
    Arc::new(Schema::new(fields))
}

/// Writes the files of one shard.
pub struct Writer<'a> {
    feature: &'a Feature,
    as_of: i64,
    shard: u32,
    schema: SchemaRef,
    properties: WriterProperties,
    current: Option<Current>,
    done: Vec<Part>,
}

struct Current {
    writer: ArrowWriter<Vec<u8>>,
    entities: usize,
    events: usize,
}

impl<'a> Writer<'a> {
    /// # Errors
    /// When the compression is not known.
    pub fn new(feature: &'a Feature, (as_of, shard): (i64, u32)) -> Result<Self> {
        let schema = schema(feature);
        let properties = properties(&schema)?;
        Ok(Self { feature, as_of, shard, schema, properties, current: None, done: Vec::new() })
    }

    /// # Errors
    /// When the chunk does not fit the schema.
    pub fn write(&mut self, chunk: &Chunk) -> Result<()> {
        let entities = chunk.entities.len();
        let as_of = TimestampMicrosecondArray::from_value(self.as_of, entities).with_timezone("UTC");
        let mut columns: Vec<ArrayRef> = vec![Arc::clone(&chunk.entities), Arc::new(as_of)];
        let lists = self.schema.fields().iter().skip(columns.len()).cloned().collect::<Vec<_>>();
        columns.extend(sequence_lists(self.feature, &lists, &chunk.events, &OffsetBuffer::from_lengths(chunk.lengths.iter().copied()))?);
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        let current = match &mut self.current {
            Some(current) => current,
            none => {
                let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&self.schema), Some(self.properties.clone()))?;
                none.insert(Current { writer, entities: 0, events: 0 })
            }
        };
        current.writer.write(&batch)?;
        current.entities += entities;
        current.events += chunk.lengths.iter().sum::<usize>();
        if current.writer.in_progress_size() >= ROW_GROUP_BYTES {
            current.writer.flush()?;
        }
        if current.writer.bytes_written() >= FILE_BYTES {
            self.close()?;
        }
        Ok(())
    }

    /// # Errors
    /// When a file cannot be finished.
    pub fn finish(mut self) -> Result<Vec<Part>> {
        self.close()?;
        Ok(self.done)
    }

    fn close(&mut self) -> Result<()> {
        let Some(current) = self.current.take() else { return Ok(()) };
        let bytes = Bytes::from(current.writer.into_inner()?);
        let name = format!("part-{:04}-{:04}.parquet", self.shard, self.done.len());
        let file = PartFile { name, entities: current.entities, events: current.events, bytes: bytes.len() };
        self.done.push(Part { file, bytes });
        Ok(())
    }
}

impl Part {
    /// # Errors
    /// When the store does not take it.
    pub async fn put(self, target: &Target) -> Result<PartFile> {
        let path = target.folder.clone().join(self.file.name.as_str());
        target.store.put(&path, PutPayload::from(self.bytes)).await.context(|| format!("write {path}"))?;
        Ok(self.file)
    }
}

/// Values of events hardly repeat within a page: no dictionaries, but for what is the same in nearly every row; whole numbers as
/// differences.
fn properties(schema: &Schema) -> Result<WriterProperties> {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_dictionary_enabled(false)
        .set_created_by("tress".to_owned());
    for field in schema.fields() {
        builder = encoded(builder, vec![field.name().clone()], field);
    }
    Ok(builder.build())
}

fn encoded(builder: WriterPropertiesBuilder, mut path: Vec<String>, field: &Field) -> WriterPropertiesBuilder {
    match field.data_type() {
        DataType::List(item) | DataType::FixedSizeList(item, _) => {
            path.extend(["list".to_owned(), item.name().clone()]);
            encoded(builder, path, item)
        }
        DataType::Int32 | DataType::Int64 | DataType::Timestamp(..) => {
            builder.set_column_encoding(ColumnPath::new(path), Encoding::DELTA_BINARY_PACKED)
        }
        DataType::Utf8 if path.first().is_some_and(|name| name == "signal" || name == "sequence_signal") => {
            builder.set_column_dictionary_enabled(ColumnPath::new(path), true)
        }
        _ => builder,
    }
}
