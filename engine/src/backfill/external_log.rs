//! A log of Parquet files that others write, in partitions of a day or an hour.
//!
//! At the end of a partition and `completeAfter`, every row with available_at before that end is in some file. So each survey takes
//! all rows of complete partitions, and of the others the rows that are final; what was taken of each file is remembered in the work
//! plan. A file that changed after it was taken whole cannot be taken back row by row: that is refused until its buckets are restated.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use tress_configs::SignalPlan;
use tress_configs::definition::PartitionedBy;
use tress_configs::plan::{AvailableAtPlan, BatchPlan, ExternalLog};

use super::cut::Cut;
use super::plan::{Buckets, ConsumedFile, Mode, Slice};
use super::raw_log::{Ask, RawLog, Survey, TASK_RECORDS};
use super::template::Template;
use crate::decode::ColumnsDecoder;
use crate::error::{Context, Error, Result};
use crate::history::reader::{self, ObjectReader};
use crate::lake::Lake;
use crate::raw::RawBatch;

/// Rows of a batch of raw events.
const BATCH_ROWS: usize = 4096;
/// Footers that are read at a time.
const FOOTERS: usize = 8;

/// An external log of a signal.
#[derive(Debug)]
pub struct ExternalFiles {
    lake: Lake,
    log: ExternalLog,
    place: Place,
    max_future_skew: i64,
    decoder: Arc<ColumnsDecoder>,
}

/// Which files of the lake are the log's.
#[derive(Debug)]
enum Place {
    Partitions(Template),
    /// All below the lake's folder, or the one file of it: as partitions that were complete long ago.
    Given {
        only: Option<String>,
    },
}

/// A file as it is now.
#[derive(Debug, Clone)]
struct LogFile {
    path: String,
    size: u64,
    tag: String,
    partition: Range<i64>,
}

/// What is to be read of a file.
struct Take {
    file: LogFile,
    available: Range<i64>,
}

impl ExternalFiles {
    /// # Errors
    /// `Invalid` when the path has no `{date}`.
    pub fn new(lake: Lake, plan: &SignalPlan, log: &ExternalLog) -> Result<Self> {
        Ok(Self {
            lake,
            place: Place::Partitions(Template::new(&log.path)?),
            max_future_skew: plan.max_future_skew_ms.saturating_mul(1000),
            decoder: Arc::new(ColumnsDecoder::new(plan, &log.rename, log.record_timestamp.as_deref())),
            log: log.clone(),
        })
    }

    /// Files that somebody names, instead of the log that the definition names: all of a lake's folder, or `only` one of them.
    /// Columns are found as in the definition's batch source, if it has one.
    ///
    /// # Errors
    /// `Invalid` when the definition needs the record's timestamp and names no column that holds it.
    pub fn given(lake: Lake, plan: &SignalPlan, only: Option<String>) -> Result<Self> {
        let log = match &plan.source.batch {
            BatchPlan::External(log) => log.clone(),
            BatchPlan::Archive if plan.event.available_at == AvailableAtPlan::RecordTimestamp => {
                return Err(Error::invalid(format!(
                    "signal {}: availableAt is the record's timestamp, and Parquet files have one only in a column that \
                     source.batch.recordTimestamp names; read the topic's archive instead, or let availableAt be a field or a delay",
                    plan.name
                )));
            }
            BatchPlan::Archive => ExternalLog {
                connection: plan.source.stream.connection.clone(),
                path: String::new(),
                partitioned_by: PartitionedBy::ArrivalTime,
                rename: BTreeMap::new(),
                record_timestamp: None,
                complete_after_ms: 0,
            },
        };
        Ok(Self {
            lake,
            place: Place::Given { only },
            max_future_skew: plan.max_future_skew_ms.saturating_mul(1000),
            decoder: Arc::new(ColumnsDecoder::new(plan, &log.rename, log.record_timestamp.as_deref())),
            log,
        })
    }

    fn partition_of(&self, path: &str) -> Option<Range<i64>> {
        match &self.place {
            Place::Partitions(template) => template.partition_of(path),
            Place::Given { only } => only.as_deref().is_none_or(|only| only == path).then_some(0..0),
        }
    }

    async fn list(&self) -> Result<Vec<LogFile>> {
        let folder = match &self.place {
            Place::Partitions(template) => Path::from(template.folder()),
            Place::Given { .. } => Path::default(),
        };
        let mut files: Vec<LogFile> = self
            .lake
            .store()
            .list(Some(&folder))
            .map_err(|e| Error::from(e).while_doing(format!("list {folder}")))
            .try_filter_map(|meta| {
                let path = meta.location.to_string();
                // Writers keep markers and unfinished files under such names.
                let hidden = path.split('/').any(|segment| segment.starts_with(['_', '.']));
                let partition = self.partition_of(&path).filter(|_| !hidden && path.ends_with(".parquet"));
                let tag = meta.e_tag.clone().unwrap_or_else(|| meta.last_modified.timestamp_micros().to_string());
                std::future::ready(Ok(partition.map(|partition| LogFile { path, size: meta.size, tag, partition })))
            })
            .try_collect()
            .await?;
        files.sort_by(|a, b| (a.partition.start, &a.path).cmp(&(b.partition.start, &b.path)));
        Ok(files)
    }

    fn complete(&self, partition: &Range<i64>, now: i64) -> bool {
        partition.end.saturating_add(self.log.complete_after_ms.saturating_mul(1000)) <= now
    }

    /// Whether rows of these buckets can lie in the partition.
    fn may_hold(&self, partition: &Range<i64>, buckets: &Range<i64>) -> bool {
        match self.log.partitioned_by {
            PartitionedBy::EventTime => partition.start < buckets.end && buckets.start < partition.end,
            // An event arrives after it happened, but for the skew that is allowed.
            PartitionedBy::ArrivalTime => partition.end > buckets.start.saturating_sub(self.max_future_skew),
        }
    }

    /// Row groups of what is to be read, packed into tasks.
    async fn tasks(&self, takes: Vec<Take>) -> Result<Vec<Vec<Slice>>> {
        let store = Arc::clone(self.lake.store());
        let groups: Vec<(Take, Vec<u64>)> = futures::stream::iter(takes)
            .map(|take| {
                let store = Arc::clone(&store);
                async move {
                    let doing = || format!("read {}", take.file.path);
                    let path = Path::parse(&take.file.path).map_err(|e| Error::corrupt(doing()).with_source(e))?;
                    let mut reader = ObjectReader { store, path, size: take.file.size };
                    let metadata = reader.get_metadata(None).await.map_err(reader::error).context(doing)?;
                    let rows = metadata.row_groups().iter().map(|g| u64::try_from(g.num_rows()).unwrap_or(0)).collect();
                    Ok::<_, Error>((take, rows))
                }
            })
            .buffered(FOOTERS)
            .try_collect()
            .await?;
        let mut tasks: Vec<Vec<Slice>> = Vec::new();
        let mut room = 0;
        for (take, groups) in groups {
            let mut start = 0;
            while start < groups.len() {
                if room == 0 || groups[start] > room {
                    tasks.push(Vec::new());
                    room = TASK_RECORDS;
                }
                // At least one row group, however large.
                let (mut end, mut rows) = (start + 1, groups[start]);
                while end < groups.len() && rows + groups[end] <= room {
                    rows += groups[end];
                    end += 1;
                }
                room = room.saturating_sub(rows);
                if let Some(task) = tasks.last_mut() {
                    task.push(Slice::File {
                        path: take.file.path.clone(),
                        size: take.file.size,
                        groups: start..end,
                        available: take.available.clone(),
                    });
                }
                start = end;
            }
        }
        Ok(tasks)
    }

    async fn incremental(&self, ask: &Ask<'_>, files: Vec<LogFile>) -> Result<Survey> {
        // Restating all begins anew: what was consumed before does not matter, and the cut stays at least where it was.
        let before = ask.before.filter(|_| *ask.mode == Mode::Incremental);
        let consumed: BTreeMap<&str, &ConsumedFile> = before.iter().flat_map(|b| &b.consumed).map(|f| (f.path.as_str(), f)).collect();
        let through = files.iter().map(|f| &f.partition).filter(|p| self.complete(p, ask.now)).map(|p| p.end).max();
        let through = through.unwrap_or(i64::MIN).max(ask.before.map_or(i64::MIN, |b| sealed_through(&b.cut)));
        let here: BTreeMap<&str, &LogFile> = files.iter().map(|f| (f.path.as_str(), f)).collect();
        for old in consumed.values().filter(|old| old.through.is_none()) {
            let now = here.get(old.path.as_str());
            if now.is_none_or(|now| !same(now, old)) {
                let what = if now.is_some() { "was replaced" } else { "is gone" };
                return Err(Error::invalid(format!(
                    "{}: this file {what} after its rows were taken into history; restate the buckets of its rows",
                    old.path
                )));
            }
        }
        let (mut takes, mut remembered) = (Vec::new(), Vec::new());
        for file in files {
            let old = consumed.get(file.path.as_str());
            if let Some(old) = old.filter(|old| old.through.is_none()) {
                remembered.push((*old).clone());
                continue;
            }
            let from = old.and_then(|old| old.through).unwrap_or(i64::MIN);
            let complete = self.complete(&file.partition, ask.now);
            let to = if complete { i64::MAX } else { through };
            if to > i64::MIN {
                let through = (!complete).then_some(through);
                remembered.push(ConsumedFile { path: file.path.clone(), size: file.size, tag: file.tag.clone(), through });
            }
            if from < to {
                takes.push(Take { file, available: from..to });
            }
        }
        Ok(Survey { raw_version: None, cut: Cut::Time { through }, consumed: remembered, tasks: self.tasks(takes).await? })
    }

    async fn restate(&self, ask: &Ask<'_>, files: Vec<LogFile>, spans: &[Range<i64>]) -> Result<Survey> {
        let Some(before) = ask.before else {
            return Err(Error::invalid("restate: nothing is sealed yet; restate all buckets, or run an incremental backfill"));
        };
        let through = sealed_through(&before.cut);
        let mut consumed: BTreeMap<String, ConsumedFile> = before.consumed.iter().map(|f| (f.path.clone(), f.clone())).collect();
        // A file whose rows all lie in the range is as it is now once this is sealed; others stay as they were known.
        let inside = |p: &Range<i64>| {
            self.log.partitioned_by == PartitionedBy::EventTime && spans.iter().any(|span| span.start <= p.start && p.end <= span.end)
        };
        let here: BTreeMap<&str, &LogFile> = files.iter().map(|f| (f.path.as_str(), f)).collect();
        consumed.retain(|path, _| {
            let gone = !here.contains_key(path.as_str());
            !(gone && self.partition_of(path).is_some_and(|p| inside(&p)))
        });
        let mut takes = Vec::new();
        for file in files.into_iter().filter(|f| spans.iter().any(|span| self.may_hold(&f.partition, span))) {
            let to = match consumed.get_mut(&file.path) {
                Some(old) => {
                    if inside(&file.partition) {
                        old.size = file.size;
                        old.tag.clone_from(&file.tag);
                    }
                    old.through.unwrap_or(i64::MAX)
                }
                // Not consumed yet: what is sealed is taken, and the next incremental backfill takes the whole file.
                None => through,
            };
            takes.push(Take { file, available: i64::MIN..to });
        }
        Ok(Survey {
            raw_version: None,
            cut: before.cut.clone(),
            consumed: consumed.into_values().collect(),
            tasks: self.tasks(takes).await?,
        })
    }
}

const fn sealed_through(cut: &Cut) -> i64 {
    match cut {
        Cut::Time { through } => *through,
        Cut::Offsets { .. } => i64::MIN,
    }
}

fn same(now: &LogFile, old: &ConsumedFile) -> bool {
    now.size == old.size && now.tag == old.tag
}

#[async_trait]
impl RawLog for ExternalFiles {
    async fn survey(&self, ask: Ask<'_>) -> Result<Survey> {
        let files = self.list().await?;
        match ask.mode {
            Mode::Incremental | Mode::Restate(Buckets::All) => self.incremental(&ask, files).await,
            Mode::Restate(Buckets::Spans(spans)) => self.restate(&ask, files, spans).await,
        }
    }

    async fn read(&self, _raw_version: Option<u64>, slice: &Slice) -> Result<BoxStream<'static, Result<RawBatch>>> {
        let Slice::File { path, size, groups, .. } = slice else {
            return Err(Error::invalid("read external log: the work plan was made for a topic's archive"));
        };
        let doing = format!("read {path}");
        let location = Path::parse(path).map_err(|e| Error::corrupt(doing.clone()).with_source(e))?;
        let reader = ObjectReader { store: Arc::clone(self.lake.store()), path: location, size: *size };
        let builder = ParquetRecordBatchStreamBuilder::new_with_options(reader, ArrowReaderOptions::new())
            .await
            .map_err(reader::error)
            .context(|| doing.clone())?;
        self.decoder.check(builder.schema()).context(|| doing.clone())?;
        let wanted = self.decoder.columns();
        let roots = builder.schema().fields().iter().enumerate().filter(|(_, f)| wanted.contains(f.name().as_str())).map(|(i, _)| i);
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots.collect::<Vec<_>>());
        let batches = builder
            .with_projection(mask)
            .with_row_groups(groups.clone().collect())
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(reader::error)
            .context(|| doing.clone())?;
        let decoder = Arc::clone(&self.decoder);
        Ok(batches.map(move |batch| batch.map_err(reader::error).and_then(|b| decoder.decode(&b)).context(|| doing.clone())).boxed())
    }
}
