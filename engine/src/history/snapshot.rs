//! One version of a history: which files it is made of, and how far it has consumed its source.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;

use super::commit::{BACKFILL, CUT};
use super::schema::BUCKET;
use super::{FileStats, History, bucket};
use crate::error::{Context, Error, Result};
use crate::layout;

/// A version of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Of the Delta table.
    pub version: u64,
    /// The backfill that was sealed last; 0 = none.
    pub backfill: u64,
    /// The backfill whose work plan says the cut; 0 = none.
    pub cut: u64,
    /// By bucket, oldest first; within one by path.
    pub files: Vec<HistoryFile>,
}

/// A data file of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryFile {
    /// Relative to the table.
    pub path: String,
    /// The bucket's name.
    pub bucket: String,
    /// The bucket's event times.
    pub times: Range<i64>,
    /// The backfill that wrote the file; it may hold rows of earlier ones if it was compacted.
    pub backfill: u64,
    pub stats: FileStats,
}

impl Snapshot {
    /// The newest event_time of any row; `None` without rows. Microseconds, UTC.
    #[must_use]
    pub fn newest(&self) -> Option<i64> {
        self.files.iter().map(|f| f.stats.newest).max()
    }

    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|f| f.stats.rows).sum()
    }

    /// The files of each bucket, oldest bucket first.
    #[must_use]
    pub fn buckets(&self) -> BTreeMap<i64, Vec<&HistoryFile>> {
        let mut buckets: BTreeMap<i64, Vec<&HistoryFile>> = BTreeMap::new();
        for file in &self.files {
            buckets.entry(file.times.start).or_default().push(file);
        }
        buckets
    }

    /// The files that hold rows of backfills after `number`.
    pub fn since(&self, number: u64) -> impl Iterator<Item = &HistoryFile> {
        self.files.iter().filter(move |f| f.backfill > number)
    }
}

impl History {
    /// The newest version of the table; `None` when there is none yet.
    ///
    /// # Errors
    /// When the lake does not answer, or the table is damaged or not a history.
    pub async fn snapshot(&self) -> Result<Option<Snapshot>> {
        self.snapshot_at(None).await
    }

    /// A version of the table (`None` = the newest); `None` when there is no table yet.
    ///
    /// # Errors
    /// As [`History::snapshot`]; `NotFound` when the table has no such version.
    pub async fn snapshot_at(&self, version: Option<u64>) -> Result<Option<Snapshot>> {
        let doing = || format!("read history of {}", self.uid);
        let Some(table) = self.lake.delta_at(&layout::history(&self.uid), version).await.context(doing)? else { return Ok(None) };
        self.snapshot_of(&table).await.context(doing).map(Some)
    }

    pub(super) async fn snapshot_of(&self, table: &deltalake::DeltaTable) -> Result<Snapshot> {
        let state = table.snapshot()?;
        let log = table.log_store();
        let mut files = Vec::new();
        for view in state.log_data().iter() {
            let path = view.path().into_owned();
            let name = view
                .partition_values_map()
                .remove(BUCKET)
                .flatten()
                .ok_or_else(|| Error::corrupt(format!("file {path} has no bucket; it was not written by a backfill")))?;
            let backfill = layout::history_file_backfill(&path)
                .ok_or_else(|| Error::corrupt(format!("file {path} was not written by a backfill; remove it from the table")))?;
            let stats = view.stats().ok_or_else(|| Error::corrupt(format!("file {path} has no statistics")))?;
            let mut stats = parse_stats(&stats).context(|| format!("file {path}"))?;
            stats.size = u64::try_from(view.size()).map_err(|_| Error::corrupt(format!("file {path} has a negative size")))?;
            let times = bucket::range_of(&name, self.plan.bucket)?;
            files.push(HistoryFile { path, bucket: name, times, backfill, stats });
        }
        files.sort_by(|a, b| (a.times.start, &a.path).cmp(&(b.times.start, &b.path)));
        let transaction = |found: Option<i64>| u64::try_from(found.unwrap_or(0)).map_err(|_| Error::corrupt("a transaction is negative"));
        Ok(Snapshot {
            version: state.version(),
            backfill: transaction(state.transaction_version(log.as_ref(), BACKFILL).await?)?,
            cut: transaction(state.transaction_version(log.as_ref(), CUT).await?)?,
            files,
        })
    }
}

/// The statistics of an `add` action, as [`FileStats::delta`] writes them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeltaStats {
    num_records: u64,
    min_values: Bounds,
    max_values: Bounds,
}

#[derive(Debug, Deserialize)]
struct Bounds {
    entity_hash: i64,
    event_time: String,
    available_at: String,
}

impl FileStats {
    /// Statistics as Delta's protocol has them, for readers of every kind.
    pub(super) fn delta(&self) -> String {
        let low = serde_json::json!({"entity_hash": self.min_hash, "event_time": timestamp(self.oldest), "available_at": timestamp(self.available.0)});
        let high = serde_json::json!({"entity_hash": self.max_hash, "event_time": timestamp(self.newest), "available_at": timestamp(self.available.1)});
        let nulls = serde_json::json!({"entity_hash": 0, "event_time": 0, "available_at": 0});
        serde_json::json!({"numRecords": self.rows, "minValues": low, "maxValues": high, "nullCount": nulls}).to_string()
    }
}

fn parse_stats(json: &str) -> Result<FileStats> {
    let stats: DeltaStats =
        serde_json::from_str(json).map_err(|e| Error::corrupt("its statistics are not those of a history's file").with_source(e))?;
    Ok(FileStats {
        rows: stats.num_records,
        size: 0,
        min_hash: stats.min_values.entity_hash,
        max_hash: stats.max_values.entity_hash,
        oldest: micros(&stats.min_values.event_time)?,
        newest: micros(&stats.max_values.event_time)?,
        available: (micros(&stats.min_values.available_at)?, micros(&stats.max_values.available_at)?),
    })
}

/// To the microsecond: `2024-01-01T00:00:00.000001Z`.
fn timestamp(micros: i64) -> String {
    chrono::DateTime::from_timestamp_micros(micros).map_or_else(String::new, |t| t.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
}

fn micros(text: &str) -> Result<i64> {
    chrono::DateTime::parse_from_rfc3339(text)
        .map(|t| t.timestamp_micros())
        .map_err(|_| Error::corrupt("its statistics hold a time that cannot be read"))
}
