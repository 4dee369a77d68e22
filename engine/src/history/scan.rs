//! Reading rows back: only the files, row groups, pages and columns that can hold what is asked for.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelector};
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::reader::{self, ObjectReader};
use super::{History, HistoryFile, schema};
use crate::entity::Entity;
use crate::error::{Error, ErrorKind, Result};
use crate::layout;
use crate::rows::{Rows, col};

/// Rows of one batch of a scan, at most.
const BATCH_ROWS: usize = 8 * 1024;

/// Files whose footers are read ahead; their rows are not.
const FOOTERS: usize = 8;

/// What to read of some files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Hashes of entities, both ends included.
    pub hashes: RangeInclusive<i64>,
    /// Indexes into the signal's columns, rising; `None` = all. System columns are always read.
    pub columns: Option<Vec<usize>>,
}

/// A data file whose footer was read: it can be scanned several times without being opened again.
#[derive(Debug, Clone)]
pub struct OpenFile {
    file: HistoryFile,
    metadata: ArrowReaderMetadata,
}

impl Default for Scan {
    fn default() -> Self {
        Self { hashes: i64::MIN..=i64::MAX, columns: None }
    }
}

impl Scan {
    fn overlaps(&self, file: &HistoryFile) -> bool {
        file.stats.min_hash <= *self.hashes.end() && *self.hashes.start() <= file.stats.max_hash
    }
}

impl History {
    /// The schema of what a scan gives.
    ///
    /// # Errors
    /// `Invalid` when a column is none of the signal's, or they do not rise.
    pub fn scan_schema(&self, scan: &Scan) -> Result<SchemaRef> {
        let Some(columns) = &scan.columns else { return Ok(Arc::clone(&self.schema)) };
        let known = self.schema.fields().len() - col::SIGNAL;
        if columns.iter().any(|c| *c >= known) || columns.windows(2).any(|w| w[0] >= w[1]) {
            return Err(Error::invalid(format!("scan history: columns must rise and be less than {known}")));
        }
        let all: Vec<usize> = (0..col::SIGNAL).chain(columns.iter().map(|c| col::SIGNAL + c)).collect();
        Ok(Arc::new(self.schema.project(&all)?))
    }

    /// The rows of `files` that `scan` asks for: file after file as given, each in [`crate::run::sort`] order. Holds one batch at a
    /// time, and what the reader needs for it: the compressed pages of one row group, of the columns that are read.
    ///
    /// # Errors
    /// The stream ends with an error when a file is missing, damaged, or of other columns.
    pub fn scan(&self, files: Vec<HistoryFile>, scan: Scan) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
        let history = self.clone();
        stream::iter(files)
            .map(move |file| {
                let (history, scan) = (history.clone(), scan.clone());
                async move {
                    if !scan.overlaps(&file) {
                        return Ok(stream::empty().boxed());
                    }
                    history.scan_file(&history.open_file(file).await?, &scan)
                }
            })
            .buffered(FOOTERS)
            .try_flatten()
    }

    /// Reads the footers of `files`.
    ///
    /// # Errors
    /// `Corrupt` when one is missing, damaged, or of other columns; when the lake does not answer.
    pub async fn open(&self, files: Vec<HistoryFile>) -> Result<Vec<OpenFile>> {
        stream::iter(files).map(|file| self.open_file(file)).buffered(FOOTERS).try_collect().await
    }

    /// As [`History::scan`], of files that are open.
    ///
    /// # Errors
    /// As [`History::scan`].
    pub fn scan_open(&self, files: &[OpenFile], scan: Scan) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
        let history = self.clone();
        let files: Vec<OpenFile> = files.iter().filter(|open| scan.overlaps(&open.file)).cloned().collect();
        stream::iter(files).map(move |open| history.scan_file(&open, &scan)).try_flatten()
    }

    /// Every row of one entity in one bucket's `files`, sorted.
    ///
    /// # Errors
    /// As [`History::scan`].
    pub async fn entity_rows(&self, files: Vec<HistoryFile>, entity: &Entity, columns: Option<Vec<usize>>) -> Result<RecordBatch> {
        let hash = entity.hash();
        let scan = Scan { hashes: hash..=hash, columns };
        let schema = self.scan_schema(&scan)?;
        let mut batches: Vec<RecordBatch> = self.scan(files, scan).try_collect().await?;
        for batch in &mut batches {
            let keep =
                arrow::array::BooleanArray::from_iter((0..batch.num_rows()).map(|row| Some(entity.is_at(batch.column(col::ENTITY), row))));
            *batch = arrow::compute::filter_record_batch(batch, &keep)?;
        }
        crate::run::sort(concat_batches(&schema, &batches)?)
    }

    fn reader(&self, file: &HistoryFile) -> Result<ObjectReader> {
        let store = self.lake.table_store(&layout::history(&self.uid));
        let path = Path::parse(&file.path).map_err(|e| Error::corrupt("its path is none").with_source(e))?;
        Ok(ObjectReader { store, path, size: file.stats.size })
    }

    async fn open_file(&self, file: HistoryFile) -> Result<OpenFile> {
        let open = async {
            let mut reader = self.reader(&file)?;
            let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
            let metadata = ArrowReaderMetadata::load_async(&mut reader, options).await.map_err(reader::error)?;
            if metadata.schema().fields().len() != self.schema.fields().len() {
                return Err(Error::corrupt("it has other columns than the signal"));
            }
            Ok(metadata)
        };
        match open.await {
            Ok(metadata) => Ok(OpenFile { file, metadata }),
            Err(error) => Err(damaged(error, &file.path)),
        }
    }

    fn scan_file(&self, open: &OpenFile, scan: &Scan) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let schema = self.scan_schema(scan)?;
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(self.reader(&open.file)?, open.metadata.clone());
        let columns: Vec<usize> = match &scan.columns {
            None => (0..self.schema.fields().len()).collect(),
            Some(own) => (0..col::SIGNAL).chain(own.iter().map(|c| col::SIGNAL + c)).collect(),
        };
        let (groups, selection) = prune(builder.metadata(), &scan.hashes);
        if groups.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
        let batches = builder
            .with_projection(mask)
            .with_row_groups(groups)
            .with_row_selection(selection)
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|e| damaged(reader::error(e), &open.file.path))?;
        let hashes = scan.hashes.clone();
        let path = open.file.path.clone();
        Ok(batches
            .map(move |batch| {
                let rows = batch.map_err(reader::error).and_then(|b| schema::to_rows(&b, &schema)).and_then(|b| within(b, &hashes));
                rows.map_err(|e| damaged(e, &path))
            })
            .try_filter(|batch| std::future::ready(batch.num_rows() > 0))
            .boxed())
    }
}

/// A file that the table names and that cannot be read: the raw log has what was in it.
fn damaged(error: Error, path: &str) -> Error {
    let doing = format!("read history file {path}");
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::Corrupt => {
            Error::corrupt(format!("{doing}: it is damaged or gone; restate its bucket, or restore it from a copy")).with_source(error)
        }
        _ => error.while_doing(doing),
    }
}

/// The rows whose hashes lie in range; rows are sorted by hash.
fn within(batch: RecordBatch, hashes: &RangeInclusive<i64>) -> Result<RecordBatch> {
    let rows = Rows::new(batch)?;
    let start = rows.entity_hash().partition_point(|h| h < hashes.start());
    let end = rows.entity_hash().partition_point(|h| h <= hashes.end());
    Ok(rows.batch().slice(start, end.saturating_sub(start)))
}

/// The row groups that can hold the hashes, and of those the pages. What has no statistics is read.
fn prune(metadata: &ParquetMetaData, hashes: &RangeInclusive<i64>) -> (Vec<usize>, RowSelection) {
    let overlaps = |low: i64, high: i64| low <= *hashes.end() && *hashes.start() <= high;
    let mut groups = Vec::new();
    let mut selectors: Vec<RowSelector> = Vec::new();
    for (index, group) in metadata.row_groups().iter().enumerate() {
        // Every column before the hash is a scalar, so that the leaf has the column's own index.
        let bounds = match group.columns().get(col::ENTITY_HASH).and_then(|c| c.statistics()) {
            Some(Statistics::Int64(s)) => s.min_opt().zip(s.max_opt()).map(|(low, high)| (*low, *high)),
            _ => None,
        };
        if bounds.is_some_and(|(low, high)| !overlaps(low, high)) {
            continue;
        }
        groups.push(index);
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let pages = pages(metadata, index, rows);
        if pages.is_empty() {
            selectors.push(RowSelector::select(rows));
        }
        for (count, low, high) in pages {
            selectors.push(if overlaps(low, high) { RowSelector::select(count) } else { RowSelector::skip(count) });
        }
    }
    (groups, RowSelection::from(selectors))
}

/// Of each page of the hash's column in a row group: rows, least and greatest hash. Empty where the file has no such index.
fn pages(metadata: &ParquetMetaData, group: usize, rows: usize) -> Vec<(usize, i64, i64)> {
    let column = metadata.column_index().and_then(|i| i.get(group)).and_then(|g| g.get(col::ENTITY_HASH));
    let offsets = metadata.offset_index().and_then(|i| i.get(group)).and_then(|g| g.get(col::ENTITY_HASH));
    let (Some(ColumnIndexMetaData::INT64(column)), Some(offsets)) = (column, offsets) else { return Vec::new() };
    let starts: Vec<usize> = offsets.page_locations().iter().map(|p| usize::try_from(p.first_row_index).unwrap_or(0)).collect();
    let (low, high) = (column.min_values(), column.max_values());
    if low.len() != starts.len() || high.len() != starts.len() {
        return Vec::new();
    }
    (0..starts.len())
        .map(|page| {
            let end = starts.get(page + 1).copied().unwrap_or(rows);
            (end.saturating_sub(starts[page]), low[page], high[page])
        })
        .collect()
}
