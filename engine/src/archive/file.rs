//! One file of a raw table: records of one partition, in order.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::table::RawFile;
use crate::error::Result;
use crate::layout;
use crate::log::{Position, Record};

const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Instead of a library's version, so that an upgrade alone changes no bytes.
const CREATED_BY: &str = "tress raw 1";
pub const COLUMNS: [&str; 5] = ["partition", "offset", "timestamp", "key", "payload"];

/// The columns of a raw table: partition, offset, timestamp (µs UTC), key (null = none), payload.
pub fn schema(binary: &DataType) -> SchemaRef {
    let [partition, offset, timestamp, key, payload] = COLUMNS;
    Arc::new(Schema::new(vec![
        Field::new(partition, DataType::Int32, false),
        Field::new(offset, DataType::Int64, false),
        Field::new(timestamp, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        Field::new(key, binary.clone(), true),
        Field::new(payload, binary.clone(), false),
    ]))
}

/// Makes a file in memory.
pub struct FileWriter {
    start: Position,
    writer: ArrowWriter<Vec<u8>>,
    rows: u64,
    payload_bytes: usize,
    first: Option<i64>,
    /// Earliest and latest, in microseconds.
    times: (i64, i64),
}

/// A file, made.
#[derive(Debug)]
pub struct Made {
    pub file: RawFile,
    pub bytes: Bytes,
}

impl FileWriter {
    /// A file of records from this position on.
    pub fn new(start: Position) -> Result<Self> {
        let column = |name: &str| ColumnPath::new(vec![name.to_owned()]);
        let [partition, offset, timestamp, key, payload] = COLUMNS;
        let properties = WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_dictionary_enabled(false)
            .set_column_dictionary_enabled(column(partition), true)
            .set_column_encoding(column(offset), Encoding::DELTA_BINARY_PACKED)
            .set_column_encoding(column(timestamp), Encoding::DELTA_BINARY_PACKED)
            .set_column_statistics_enabled(column(key), EnabledStatistics::None)
            .set_column_statistics_enabled(column(payload), EnabledStatistics::None)
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), schema(&DataType::Binary), options)?;
        Ok(Self { start, writer, rows: 0, payload_bytes: 0, first: None, times: (i64::MAX, i64::MIN) })
    }

    /// Payload taken so far.
    pub const fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// Takes the next records: one read of a log, so far less than 2 GiB.
    pub fn write(&mut self, records: &[Record]) -> Result<()> {
        let Some(first) = records.first() else { return Ok(()) };
        let micros = |r: &Record| r.timestamp.saturating_mul(1000);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from_value(self.start.partition, records.len())),
            Arc::new(Int64Array::from_iter_values(records.iter().map(|r| r.offset))),
            Arc::new(TimestampMicrosecondArray::from_iter_values(records.iter().map(micros)).with_timezone("UTC")),
            Arc::new(BinaryArray::from_iter(records.iter().map(|r| r.key.as_deref()))),
            Arc::new(BinaryArray::from_iter_values(records.iter().map(|r| r.payload.as_ref()))),
        ];
        self.writer.write(&RecordBatch::try_new(schema(&DataType::Binary), columns)?)?;
        self.first.get_or_insert(first.offset);
        self.rows += records.len() as u64;
        for record in records {
            self.payload_bytes += record.payload.len() + record.key.as_ref().map_or(0, Bytes::len) + 16;
            self.times = (self.times.0.min(micros(record)), self.times.1.max(micros(record)));
        }
        Ok(())
    }

    /// Whether it has no records.
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The file of everything before `end`.
    pub fn finish(self, end: i64) -> Result<Made> {
        let Position { partition, offset: start } = self.start;
        let first = self.first.unwrap_or(start);
        let bytes = Bytes::from(self.writer.into_inner()?);
        let path = layout::raw_file(partition, start, end);
        let file = RawFile { path, partition, offsets: first..end, times: self.times, rows: self.rows, size: bytes.len() as u64 };
        Ok(Made { file, bytes })
    }
}
