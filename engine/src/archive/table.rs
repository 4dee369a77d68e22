//! The Delta table of a topic's raw records.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, DataType, PrimitiveType, StructField, Transaction};
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::{DeltaOperation, SaveMode};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Written;
use super::file::{COLUMNS, Made};
use crate::decode::time;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::faults::{self, Point};
use crate::lake::Lake;
use crate::layout;
use crate::log::Position;

/// The raw table of one topic. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RawTable {
    lake: Lake,
    path: Path,
    topic_id: String,
}

/// A version of a raw table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawSnapshot {
    /// Of the Delta table.
    pub version: u64,
    /// Up to which offset each partition is archived that has a file.
    pub cut: Vec<Position>,
    /// By partition, then offset.
    pub files: Vec<RawFile>,
}

/// A data file: records of one partition, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawFile {
    /// Relative to the table.
    pub path: String,
    pub partition: i32,
    /// From the first record's on; every record that the partition has up to the end is in the file.
    pub offsets: Range<i64>,
    /// Every record timestamp lies between these, both included, in microseconds. As wide as can be where the table does not say:
    /// what a producer stamped may lie beyond the years that statistics can name.
    pub times: (i64, i64),
    pub rows: u64,
    /// Bytes.
    pub size: u64,
}

impl RawSnapshot {
    /// The files that hold records at or after these positions; a partition that is not named is new as a whole.
    pub fn after(&self, positions: &[Position]) -> impl Iterator<Item = &RawFile> {
        let from: BTreeMap<i32, i64> = positions.iter().map(|p| (p.partition, p.offset)).collect();
        self.files.iter().filter(move |f| f.offsets.end > from.get(&f.partition).copied().unwrap_or(i64::MIN))
    }

    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|f| f.rows).sum()
    }
}

impl RawTable {
    /// The table of a topic, by the topic's id.
    #[must_use]
    pub fn new(lake: Lake, connection: &str, topic: &str, topic_id: &str) -> Self {
        Self { lake, path: layout::raw(connection, topic, topic_id), topic_id: topic_id.to_owned() }
    }

    #[must_use]
    pub fn topic_id(&self) -> &str {
        &self.topic_id
    }

    /// In the lake.
    #[must_use]
    pub const fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn lake(&self) -> &Lake {
        &self.lake
    }

    /// A version (`None` = the newest); `None` when nothing was archived yet.
    ///
    /// # Errors
    /// `NotFound` when the table has no such version; `Corrupt` when it is no raw table; when the lake does not answer.
    pub async fn snapshot(&self, version: Option<u64>) -> Result<Option<RawSnapshot>> {
        let doing = || format!("read raw table {}", self.path);
        let Some(table) = self.lake.delta_at(&self.path, version).await? else { return Ok(None) };
        let state = table.snapshot().map_err(Error::from).context(doing)?;
        let mut files = Vec::new();
        for view in state.log_data().iter() {
            let path = view.path().into_owned();
            let file = view.stats().and_then(|stats| raw_file(&path, view.size(), &stats));
            files.push(file.ok_or_else(|| Error::corrupt(format!("{}: file {path} was not written by an archive", doing())))?);
        }
        files.sort_by_key(|f| (f.partition, f.offsets.start));
        let mut cut = Vec::new();
        for partition in files.iter().map(|f| f.partition).collect::<BTreeSet<_>>() {
            let id = layout::raw_transaction(&self.topic_id, partition);
            let found = state.transaction_version(table.log_store().as_ref(), id).await.map_err(Error::from).context(doing)?;
            let offset = found.ok_or_else(|| Error::corrupt(format!("{}: partition {partition} has files but no transaction", doing())))?;
            cut.push(Position { partition, offset });
        }
        Ok(Some(RawSnapshot { version: state.version(), cut, files }))
    }

    /// Makes the table unless it is there, and returns its newest version.
    pub(super) async fn create(&self) -> Result<RawSnapshot> {
        if let Some(snapshot) = self.snapshot(None).await? {
            return Ok(snapshot);
        }
        let types = [PrimitiveType::Integer, PrimitiveType::Long, PrimitiveType::Timestamp, PrimitiveType::Binary, PrimitiveType::Binary];
        let columns = COLUMNS.iter().zip(types).map(|(name, kind)| StructField::new(*name, DataType::Primitive(kind), *name == "key"));
        let created = CreateBuilder::new()
            .with_log_store(self.lake.delta_log(&self.path)?)
            .with_save_mode(SaveMode::Ignore)
            .with_columns(columns)
            // Whoever is second must not commit again: it would replace the table's metadata.
            .with_commit_properties(CommitProperties::default().with_max_retries(0))
            // Versions that work plans name must stay readable.
            .with_configuration_property(deltalake::TableProperty::EnableExpiredLogCleanup, Some("false"))
            .await
            .map_err(Error::from);
        if let Err(e) = created
            && e.kind() != ErrorKind::Conflict
        {
            return Err(e.while_doing(format!("create raw table {}", self.path)));
        }
        let made = self.snapshot(None).await?;
        made.ok_or_else(|| Error::internal(format!("create raw table {}: it is not there", self.path)))
    }

    /// Puts a file, unless its records are there already: then that file is taken.
    pub(super) async fn put(&self, Made { mut file, bytes }: Made) -> Result<RawFile> {
        let doing = || format!("put raw file {}/{}", self.path, file.path);
        let store = self.lake.table_store(&self.path);
        let path = Path::parse(&file.path).map_err(|e| Error::internal(doing()).with_source(e))?;
        match store.put_opts(&path, bytes.into(), PutMode::Create.into()).await {
            Ok(_) => {}
            // Of an archive that was killed, or that is faster: the same records, perhaps by another version of the writer.
            Err(object_store::Error::AlreadyExists { .. }) => file.size = store.head(&path).await.context(doing)?.size,
            Err(e) => return Err(Error::from(e).while_doing(doing())),
        }
        Ok(file)
    }

    /// Adds files to the snapshot's version and sets how far partitions are archived, or nothing of it.
    pub(super) async fn commit(&self, base: &RawSnapshot, written: &Written, at: i64) -> Result<()> {
        let doing = || format!("commit to raw table {}", self.path);
        let table = self.lake.delta_at(&self.path, Some(base.version)).await?;
        let table = table.ok_or_else(|| Error::not_found(format!("{}: there is none", doing())))?;
        let Written { files, ends } = written;
        let transactions = ends.iter().map(|(partition, end)| Transaction::new(layout::raw_transaction(&self.topic_id, *partition), *end));
        let actions = files.iter().map(|file| Action::Add(add(file, at.div_euclid(1000)))).collect();
        let properties =
            CommitProperties::default().with_application_transactions(transactions.collect()).with_cleanup_expired_logs(Some(false));
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
        faults::point(Point::ArchiveCommit)?;
        let state = table.snapshot().map_err(Error::from).context(doing)?;
        let commit = CommitBuilder::from(properties).with_actions(actions).build(Some(state), table.log_store(), operation).await;
        commit.map_err(Error::from).context(doing)?;
        faults::point(Point::ArchiveCommitted)
    }
}

fn add(file: &RawFile, millis: i64) -> Add {
    let bounds = |offset: i64, time: Option<String>| {
        let mut bounds = json!({"partition": file.partition, "offset": offset});
        if let (Some(time), Some(bounds)) = (time, bounds.as_object_mut()) {
            bounds.insert("timestamp".to_owned(), time.into());
        }
        bounds
    };
    let stats = json!({
        "numRecords": file.rows,
        "minValues": bounds(file.offsets.start, timestamp(file.times.0)),
        "maxValues": bounds(file.offsets.end - 1, timestamp(file.times.1)),
        "nullCount": {"partition": 0, "offset": 0, "timestamp": 0, "payload": 0},
    });
    Add {
        path: file.path.clone(),
        size: i64::try_from(file.size).unwrap_or(i64::MAX),
        modification_time: millis,
        data_change: true,
        stats: Some(stats.to_string()),
        ..Add::default()
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    num_records: u64,
    min_values: Bounds,
    max_values: Bounds,
}

#[derive(Debug, Deserialize)]
struct Bounds {
    partition: i32,
    offset: i64,
    /// Absent = not known.
    timestamp: Option<String>,
}

fn raw_file(path: &str, size: i64, stats: &str) -> Option<RawFile> {
    let Stats { num_records: rows, min_values: min, max_values: max } = serde_json::from_str(stats).ok()?;
    let end = max.offset.checked_add(1).filter(|end| *end > min.offset && max.partition == min.partition)?;
    let times = (micros(min.timestamp.as_deref()).unwrap_or(i64::MIN), micros(max.timestamp.as_deref()).unwrap_or(i64::MAX));
    Some(RawFile {
        path: path.to_owned(),
        partition: min.partition,
        offsets: min.offset..end,
        times,
        rows,
        size: u64::try_from(size).ok()?,
    })
}

/// To the millisecond, which is what records have. `None` beyond the years 1 to 9999: a timestamp of more digits is none that readers
/// of a table's log can parse, and one that is not there bounds nothing.
fn timestamp(micros: i64) -> Option<String> {
    let time = chrono::DateTime::from_timestamp_micros(time::in_range(micros)?)?;
    Some(time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

/// `None` when it is not there or cannot be read: then it bounds nothing.
fn micros(text: Option<&str>) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(text?).ok().map(|t| t.timestamp_micros())
}
