//! Rows as a Parquet file: sorted, small, the same bytes for the same rows, and quick to find an entity in.

use std::collections::HashSet;
use std::hash::Hash;
use std::ops::RangeInclusive;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type, SchemaRef, ToByteSlice};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::schema::types::ColumnPath;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::error::{Error, Result};
use crate::rows::{Rows, col};

/// Rows of a row group: what one read of a column decompresses at most is a page of it.
const ROW_GROUP_ROWS: usize = 64 * 1024;
/// Rows of a page: what a read of one entity decompresses of each column.
const PAGE_ROWS: usize = 4 * 1024;
/// Written into every file instead of a library's version, so that an upgrade alone changes no bytes.
const CREATED_BY: &str = "tress history 1";

/// What is known of a data file without reading it. Times are microseconds, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileStats {
    pub rows: u64,
    /// Bytes of the file.
    pub size: u64,
    pub min_hash: i64,
    pub max_hash: i64,
    pub oldest: i64,
    pub newest: i64,
    /// The earliest and the latest available_at.
    pub available: (i64, i64),
}

impl FileStats {
    #[must_use]
    pub const fn hashes(&self) -> RangeInclusive<i64> {
        self.min_hash..=self.max_hash
    }
}

/// Writes one file. Rows come in [`crate::run::sort`] order, batch after batch.
pub struct Encoder {
    stored: SchemaRef,
    /// Made at the first batch, whose values decide which columns get a dictionary.
    writer: Option<ArrowWriter<Vec<u8>>>,
    stats: Option<FileStats>,
    drained: u64,
}

impl Encoder {
    /// `rows`: the schema of rows.
    #[must_use]
    pub fn new(rows: &SchemaRef) -> Self {
        Self { stored: schema::stored(rows), writer: None, stats: None, drained: 0 }
    }

    /// # Errors
    /// `Internal` when the batch is not of the schema or not in order.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.observe(&Rows::new(batch.clone())?)?;
        let batch = schema::to_stored(batch, &self.stored)?;
        if self.writer.is_none() {
            // The Arrow schema is left out: its metadata has no fixed order, and readers need only what Parquet says.
            let options = ArrowWriterOptions::new().with_properties(properties(&batch)?).with_skip_arrow_metadata(true);
            self.writer = Some(ArrowWriter::try_new_with_options(Vec::new(), std::sync::Arc::clone(&self.stored), options)?);
        }
        if let Some(writer) = &mut self.writer {
            writer.write(&batch)?;
        }
        Ok(())
    }

    /// The bytes that are complete so far and were not taken yet: whole row groups.
    ///
    /// # Errors
    /// `Internal` when flushing fails, which memory does not.
    pub fn drain(&mut self) -> Result<Bytes> {
        let Some(writer) = &mut self.writer else { return Ok(Bytes::new()) };
        writer.sync()?;
        let bytes = Bytes::from(std::mem::take(writer.inner_mut()));
        self.drained += bytes.len() as u64;
        Ok(bytes)
    }

    /// The rest of the bytes and what the file holds; `None` when no row was written.
    ///
    /// # Errors
    /// `Internal` when a column cannot be written as Parquet.
    pub fn finish(self) -> Result<Option<(Bytes, FileStats)>> {
        let (Some(writer), Some(mut stats)) = (self.writer, self.stats) else { return Ok(None) };
        let rest = Bytes::from(writer.into_inner()?);
        stats.size = self.drained + rest.len() as u64;
        Ok(Some((rest, stats)))
    }

    fn observe(&mut self, rows: &Rows) -> Result<()> {
        let (first, last) = match rows.entity_hash() {
            [] => return Ok(()),
            [one] => (*one, *one),
            [first, .., last] => (*first, *last),
        };
        let (mut oldest, mut newest) = (i64::MAX, i64::MIN);
        for time in rows.event_time() {
            oldest = oldest.min(*time);
            newest = newest.max(*time);
        }
        let mut available = (i64::MAX, i64::MIN);
        for time in rows.available_at() {
            available = (available.0.min(*time), available.1.max(*time));
        }
        let here = FileStats { rows: rows.len() as u64, size: 0, min_hash: first, max_hash: last, oldest, newest, available };
        self.stats = Some(match self.stats {
            None => here,
            Some(before) if before.max_hash > first => return Err(Error::internal("write history: rows are not in order")),
            Some(before) => FileStats {
                rows: before.rows + here.rows,
                size: 0,
                min_hash: before.min_hash,
                max_hash: last,
                oldest: before.oldest.min(oldest),
                newest: before.newest.max(newest),
                available: (before.available.0.min(available.0), before.available.1.max(available.1)),
            },
        });
        Ok(())
    }
}

/// One file of rows that are in order; `None` when there are none.
///
/// # Errors
/// As [`Encoder`].
pub fn encode(batch: &RecordBatch) -> Result<Option<(Bytes, FileStats)>> {
    let mut encoder = Encoder::new(&batch.schema());
    encoder.write(batch)?;
    encoder.finish()
}

/// How each column is written. `batch`: the first rows, as stored.
fn properties(batch: &RecordBatch) -> Result<WriterProperties> {
    let mut properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_coerce_types(true)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(1024)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Page);
    for (index, field) in batch.schema().fields().iter().enumerate() {
        properties = column(properties, index, field.name(), batch);
    }
    Ok(properties.build())
}

fn column(properties: WriterPropertiesBuilder, index: usize, name: &str, batch: &RecordBatch) -> WriterPropertiesBuilder {
    let values = batch.column(index);
    let path = match values.data_type() {
        // Where coerced types put a list's elements.
        DataType::List(_) => ColumnPath::new(vec![name.to_owned(), "list".to_owned(), "element".to_owned()]),
        _ => ColumnPath::new(vec![name.to_owned()]),
    };
    let elements = match values.data_type() {
        DataType::List(_) => values.as_list::<i32>().values(),
        _ => values,
    };
    let properties = match index {
        // Sorted, so that each entity is one run of one entry.
        col::ENTITY if entities_repeat(batch.column(col::ENTITY_HASH)) => return properties.set_column_dictionary_enabled(path, true),
        col::ENTITY
        | col::ENTITY_HASH
        | col::EVENT_TIME
        | col::EVENT_ID
        | col::VERSION
        | col::RAW_HASH
        | col::AVAILABLE_AT
        | col::OFFSET => properties,
        _ if dictionary_helps(elements) => return properties.set_column_dictionary_enabled(path, true),
        _ => properties,
    };
    match elements.data_type() {
        DataType::Int64 | DataType::Int32 | DataType::Timestamp(..) => properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
        // Bounds of packed vectors and blobs serve nobody.
        DataType::Binary => properties.set_column_statistics_enabled(path, EnabledStatistics::None),
        _ => properties,
    }
}

/// Whether the rows of an entity are several, on average: then one entry of a dictionary stands for them.
fn entities_repeat(hashes: &ArrayRef) -> bool {
    let hashes = hashes.as_primitive::<Int64Type>().values();
    let changes = hashes.windows(2).filter(|w| w[0] != w[1]).count();
    changes * 4 <= hashes.len()
}

/// Whether few different values make up a column: judged by 2,048 values, spread evenly.
fn dictionary_helps(values: &ArrayRef) -> bool {
    match values.data_type() {
        DataType::Utf8 => {
            let texts = values.as_string::<i32>();
            few(values, |row| texts.value(row))
        }
        DataType::Int32 => few_numbers(values.as_primitive::<Int32Type>()),
        DataType::Int64 => few_numbers(values.as_primitive::<Int64Type>()),
        DataType::Float32 => few_numbers(values.as_primitive::<Float32Type>()),
        DataType::Float64 => few_numbers(values.as_primitive::<Float64Type>()),
        // Booleans are bits already; vectors, blobs and times rarely repeat.
        _ => false,
    }
}

fn few_numbers<T: ArrowPrimitiveType>(values: &PrimitiveArray<T>) -> bool {
    few(values, |row| {
        let mut bits = [0; 8];
        let value = values.value(row);
        let bytes = value.to_byte_slice();
        bits[..bytes.len()].copy_from_slice(bytes);
        bits
    })
}

fn few<V: Eq + Hash>(values: &dyn Array, value: impl Fn(usize) -> V) -> bool {
    const SAMPLE: usize = 2048;
    let step = (values.len() / SAMPLE).max(1);
    let seen = || (0..values.len()).step_by(step).filter(|row| values.is_valid(*row));
    let most = seen().count() / 8;
    let mut distinct: HashSet<V> = HashSet::new();
    for row in seen() {
        distinct.insert(value(row));
        if distinct.len() > most {
            return false;
        }
    }
    true
}
