//! A table in memory, joined as of the time each row became known.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_empty_array};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tress_configs::column::{ColumnType, Scalar};
use tress_configs::plan::EnrichmentPlan;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::files::{self, Snapshot, TableFile, TableFiles};
use super::index::VersionIndex;
use super::{Found, Lookup};
use crate::decode::cast;
use crate::error::{Context, Error, Result};

/// Files that are fetched at the same time.
const FETCHES: usize = 4;

/// The columns of a table that an enrichment needs, by key and time.
///
/// The newest row of a key with `validFrom ≤ as_of` answers; of rows with equal key and `validFrom`, the one whose hash over the
/// enrichment's columns is greater. Without `validFrom` a row is valid always. A row whose key or `validFrom` is null is never found,
/// and neither is a key that is null.
#[derive(Debug)]
pub struct TableLookup {
    index: VersionIndex,
    /// In the order of the index.
    columns: Vec<ArrayRef>,
    identity: String,
    snapshot: Snapshot,
}

impl TableLookup {
    /// Reads the columns that the plan needs, and checks them. `version`: of a Delta table; `None` = the newest.
    ///
    /// # Errors
    /// `NotFound` when there is no such table or version; `Invalid`, naming table and column, when a column is missing or does not
    /// hold what the plan declares; `Unavailable` when the store does not answer or the table was replaced meanwhile.
    pub async fn load(store: Arc<dyn ObjectStore>, plan: &EnrichmentPlan, version: Option<u64>) -> Result<Self> {
        let found = files::find(&store, &plan.lookup.table, version).await?;
        Self::read(store, plan, found).await
    }

    pub(super) async fn read(store: Arc<dyn ObjectStore>, plan: &EnrichmentPlan, found: TableFiles) -> Result<Self> {
        let doing = || format!("read table {} of enrichment {}", plan.lookup.table, plan.name);
        let wanted = Arc::new(Wanted::new(plan));
        let TableFiles { files, snapshot } = found;
        let parts: Vec<Part> = futures::stream::iter(files)
            .map(|file| part(Arc::clone(&store), file, Arc::clone(&wanted)))
            .buffered(FETCHES)
            .try_collect()
            .await
            .context(doing)?;
        let identity = match &snapshot {
            Snapshot::Delta { table, version } => format!("delta:{table}@{version}"),
            Snapshot::Listing(_) => contents(&parts),
        };
        let table = tokio::task::spawn_blocking(move || wanted.index(&parts));
        let (index, columns) = table.await.map_err(|e| Error::internal("index a table: the task failed").with_source(e))?.context(doing)?;
        Ok(Self { index, columns, identity, snapshot })
    }

    pub(super) const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}

#[async_trait]
impl Lookup for TableLookup {
    async fn lookup(&self, keys: &RecordBatch, as_of: &TimestampMicrosecondArray) -> Result<Found> {
        let at = self.index.find(keys.columns(), as_of.values())?;
        let columns = self.columns.iter().map(|column| Ok(take(column, &at, None)?)).collect::<Result<_>>()?;
        Ok(Found { columns, found: arrow::compute::is_not_null(&at)? })
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn widest_row(&self) -> Option<usize> {
        Some(crate::pipeline::widest_row(&self.columns))
    }
}

/// The columns of the table that are read: of the key, then `validFrom`, then the enrichment's.
#[derive(Debug)]
struct Wanted {
    columns: Vec<(String, ColumnType)>,
    keys: usize,
    has_valid_from: bool,
}

/// One file.
#[derive(Debug)]
struct Part {
    path: String,
    /// Of its bytes.
    hash: u128,
    /// Per wanted column: its batches.
    columns: Vec<Vec<ArrayRef>>,
}

impl Wanted {
    fn new(plan: &EnrichmentPlan) -> Self {
        let keys = plan.lookup.key.iter().map(|key| (key.theirs.clone(), key.column_type.clone()));
        let valid_from = plan.lookup.valid_from.iter().map(|name| (name.clone(), ColumnType::scalar(Scalar::Timestamp)));
        let columns = plan.columns.iter().map(|column| (column.name.clone(), column.column_type.clone()));
        Self {
            columns: keys.chain(valid_from).chain(columns).collect(),
            keys: plan.lookup.key.len(),
            has_valid_from: plan.lookup.valid_from.is_some(),
        }
    }

    /// The columns of one file.
    fn read(&self, bytes: Bytes, file: &TableFile) -> Result<Vec<Vec<ArrayRef>>> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
        let roots = self.columns.iter().filter_map(|(name, _)| reader.schema().index_of(name).ok());
        let mask = ProjectionMask::roots(reader.parquet_schema(), roots);
        // A file without rows still has to have the columns.
        let none = RecordBatch::new_empty(reader.schema().clone());
        let mut columns = vec![Vec::new(); self.columns.len()];
        for (name, column_type) in &self.columns {
            column(&none, file, name, column_type).context(|| format!("column {name}"))?;
        }
        for batch in reader.with_projection(mask).build()? {
            let batch = batch.map_err(|e| Error::corrupt(e.to_string()))?;
            for ((name, column_type), parts) in self.columns.iter().zip(&mut columns) {
                parts.push(column(&batch, file, name, column_type).context(|| format!("column {name}"))?);
            }
        }
        Ok(columns)
    }

    fn index(&self, parts: &[Part]) -> Result<(VersionIndex, Vec<ArrayRef>)> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for (at, (name, column_type)) in self.columns.iter().enumerate() {
            let arrays: Vec<_> = parts.iter().flat_map(|part| part.columns.get(at)).flatten().map(AsRef::as_ref).collect();
            columns.push(match arrays.as_slice() {
                [] => new_empty_array(&column_type.arrow()),
                arrays => concat(arrays).map_err(Error::from).context(|| format!("column {name}: it is too large to be held"))?,
            });
        }
        let mut rest = columns.split_off(self.keys);
        let rows = columns.first().map_or(0, |keys| keys.len());
        let valid_from = if self.has_valid_from {
            let times = rest.remove(0);
            let times: Int64Array = times.as_primitive::<TimestampMicrosecondType>().reinterpret_cast::<Int64Type>();
            times.iter().collect()
        } else {
            vec![Some(i64::MIN); rows]
        };
        let (index, order) = VersionIndex::new(&columns, &valid_from, &rest)?;
        let columns = rest.iter().map(|column| Ok(take(column, &order, None)?)).collect::<Result<_>>()?;
        Ok((index, columns))
    }
}

async fn part(store: Arc<dyn ObjectStore>, file: TableFile, wanted: Arc<Wanted>) -> Result<Part> {
    let doing = |path: &object_store::path::Path| format!("file {path}");
    let bytes = match store.get(&file.path).await {
        Ok(file) => file.bytes().await,
        Err(e) => Err(e),
    };
    let bytes = bytes.map_err(Error::from).map_err(files::gone).context(|| doing(&file.path))?;
    let decoded = tokio::task::spawn_blocking(move || {
        let columns = wanted.read(bytes.clone(), &file).context(|| doing(&file.path))?;
        Ok(Part { path: file.path.to_string(), hash: xxh3_128(&bytes), columns })
    });
    decoded.await.map_err(|e| Error::internal("read a table: the task failed").with_source(e))?
}

/// One column of a batch: out of the file, or the one value that the whole file has.
fn column(batch: &RecordBatch, file: &TableFile, name: &str, column_type: &ColumnType) -> Result<ArrayRef> {
    let found = match (batch.column_by_name(name), file.partition.get(name)) {
        (Some(column), _) => column.clone(),
        (None, Some(value)) => partition_value(value.as_deref(), column_type, batch.num_rows())?,
        (None, None) => {
            return Err(Error::invalid("the table has no such column; add it, or name another in the enrichment"));
        }
    };
    let cast = cast(&found, column_type)?;
    if !cast.misfits.is_empty() {
        return Err(Error::invalid(format!(
            "{} of {} values are not {column_type}; repair the table, or declare what it holds",
            cast.misfits.len(),
            batch.num_rows()
        )));
    }
    Ok(cast.array)
}

/// A column of one value that is written as text, in the name of a folder or in Delta's log.
fn partition_value(text: Option<&str>, column_type: &ColumnType, rows: usize) -> Result<ArrayRef> {
    let texts: ArrayRef = Arc::new(StringArray::from_iter(std::iter::repeat_n(text, rows)));
    let wanted = if column_type.is_scalar() { column_type.arrow() } else { DataType::Utf8 };
    // Text to typed values as Delta and Hive write them; what cannot be read stays text, and does not fit.
    let parsed = arrow::compute::cast_with_options(&texts, &wanted, &arrow::compute::CastOptions { safe: false, ..Default::default() });
    Ok(parsed.unwrap_or(texts))
}

/// The identity of files that have no version of their own: of their names and bytes.
fn contents(parts: &[Part]) -> String {
    let mut hash = Xxh3::new();
    for part in parts {
        hash.update(&(part.path.len() as u64).to_le_bytes());
        hash.update(part.path.as_bytes());
        hash.update(&part.hash.to_le_bytes());
    }
    format!("files:{:032x}", hash.digest128())
}
