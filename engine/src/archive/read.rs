//! Reads raw records back, as the log would give them.

use arrow::array::{Array, AsArray, LargeBinaryArray, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use serde::{Deserialize, Serialize};

use super::file;
use super::table::{RawFile, RawTable};
use crate::error::{Context, Error, Result};
use crate::history::reader::{self, ObjectReader};
use crate::log::Record;

/// The most records of one batch …
const BATCH_ROWS: usize = 4096;
/// … and about the most bytes.
const BATCH_BYTES: usize = 32 << 20;

/// Records of a partition: from `from` up to, but not, `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Extent {
    pub partition: i32,
    pub from: i64,
    pub to: i64,
}

impl RawTable {
    /// The records of these files, in their order, each with its partition; of partitions that `within` names only what lies in
    /// their extents, of others all. Headers were not kept.
    ///
    /// # Errors
    /// The stream ends with an error when a file is missing or damaged, or the lake does not answer.
    pub fn read(&self, files: Vec<RawFile>, within: Vec<Extent>) -> impl Stream<Item = Result<(i32, Vec<Record>)>> + Send + 'static {
        let table = self.clone();
        stream::iter(files)
            .map(Ok::<_, Error>)
            .and_then(move |file| {
                let table = table.clone();
                let extents: Vec<_> = within.iter().filter(|e| e.partition == file.partition).copied().collect();
                async move {
                    table
                        .read_file(&file, extents)
                        .await
                        .map_err(Error::of_a_needed_file)
                        .context(|| format!("read raw file {}/{}", table.path(), file.path))
                }
            })
            .try_flatten()
    }

    async fn read_file(&self, file: &RawFile, extents: Vec<Extent>) -> Result<BoxStream<'static, Result<(i32, Vec<Record>)>>> {
        let wanted = move |offset: i64| extents.is_empty() || extents.iter().any(|e| (e.from..e.to).contains(&offset));
        let path = Path::parse(&file.path).map_err(|e| Error::corrupt("its path is none").with_source(e))?;
        let object = ObjectReader { store: self.lake().table_store(self.path()), path, size: file.size };
        // Large offsets: a batch may hold more than 2 GiB.
        let options = ArrowReaderOptions::new().with_schema(file::schema(&DataType::LargeBinary));
        let builder = ParquetRecordBatchStreamBuilder::new_with_options(object, options).await.map_err(reader::error)?;
        let bytes: i64 = builder.metadata().row_groups().iter().map(parquet::file::metadata::RowGroupMetaData::total_byte_size).sum();
        let row_bytes = usize::try_from(bytes).unwrap_or(0) / usize::try_from(file.rows.max(1)).unwrap_or(1);
        let rows = (BATCH_BYTES / row_bytes.max(1)).clamp(1, BATCH_ROWS);
        let batches = builder.with_batch_size(rows).build().map_err(reader::error)?;
        let partition = file.partition;
        let place = format!("read raw file {}/{}", self.path(), file.path);
        let records = batches.map(move |batch| {
            let mut records =
                batch.map_err(reader::error).and_then(|b| records(&b)).map_err(Error::of_a_needed_file).context(|| place.clone())?;
            records.retain(|r| wanted(r.offset));
            Ok((partition, records))
        });
        Ok(records.try_filter(|(_, records)| std::future::ready(!records.is_empty())).boxed())
    }
}

/// Records whose keys and payloads share the batch's memory.
fn records(batch: &RecordBatch) -> Result<Vec<Record>> {
    let damaged = || Error::corrupt("its columns are not those of a raw table");
    let column = |index: usize| batch.columns().get(index).ok_or_else(damaged);
    let offsets = column(1)?.as_primitive_opt::<Int64Type>().ok_or_else(damaged)?;
    let times = column(2)?.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(damaged)?;
    let keys = Shared::of(column(3)?.as_binary_opt::<i64>().ok_or_else(damaged)?);
    let payloads = Shared::of(column(4)?.as_binary_opt::<i64>().ok_or_else(damaged)?);
    let record = |row: usize| Record {
        offset: offsets.value(row),
        timestamp: times.value(row).div_euclid(1000),
        key: keys.get(row),
        payload: payloads.get(row).unwrap_or_default(),
        headers: Vec::new(),
    };
    Ok((0..batch.num_rows()).map(record).collect())
}

/// The values of a column as slices of one allocation.
struct Shared<'a> {
    array: &'a LargeBinaryArray,
    values: Bytes,
}

struct Owner(Buffer);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> Shared<'a> {
    fn of(array: &'a LargeBinaryArray) -> Self {
        Self { array, values: Bytes::from_owner(Owner(array.values().clone())) }
    }

    fn get(&self, row: usize) -> Option<Bytes> {
        let value = self.array.is_valid(row).then(|| self.array.value(row))?;
        // An empty value may lie anywhere.
        Some(if value.is_empty() { Bytes::new() } else { self.values.slice_ref(value) })
    }
}
