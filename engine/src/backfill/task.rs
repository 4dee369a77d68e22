//! A task: its slices of the raw events, executed, sorted, and written as one file per bucket.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use tress_configs::definition::{Bucket, OnInvalid};

use super::plan::{Mode, Slice, WorkPlan};
use super::raw_log::RawLog;
use crate::error::{Context, Error, Result};
use crate::faults;
use crate::history::agreement::{self, Put};
use crate::history::{History, NewFile, aside, bucket, encode};
use crate::lake::with_the_next_agreement;
use crate::layout;
use crate::pipeline::Pipeline;
use crate::raw::Reason;
use crate::rows::Rows;
use crate::run::order;

/// The format of task manifests.
pub(super) const FORMAT: u32 = 1;

/// What a task did. Its being there says that its files are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskManifest {
    pub format: u32,
    pub backfill: u64,
    pub task: usize,
    pub files: Vec<NewFile>,
    pub counts: Counts,
}

/// Raw events and rows, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Raw events that were read.
    pub read: u64,
    /// Raw events that the source's `where` did not let in.
    pub not_ours: u64,
    /// Raw events that were ours, valid, and yielded nothing.
    pub yielded_nothing: u64,
    /// Rows that were left out: of other buckets than are restated, outside retention, or not final yet in an external log.
    pub left_out: u64,
    /// Rows that were written.
    pub rows: u64,
    /// Raw events that cannot be used, by reason.
    pub dead: BTreeMap<Reason, u64>,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        let Self { read, not_ours, yielded_nothing, left_out, rows, dead } = other;
        self.read += read;
        self.not_ours += not_ours;
        self.yielded_nothing += yielded_nothing;
        self.left_out += left_out;
        self.rows += rows;
        for (reason, count) in dead {
            *self.dead.entry(*reason).or_default() += count;
        }
    }
}

/// What all tasks of a backfill share.
#[derive(Debug)]
pub struct Work {
    pub history: History,
    pub raw: Arc<dyn RawLog>,
    /// With the tables' versions that the plan names.
    pub pipeline: Pipeline,
    pub plan: WorkPlan,
}

impl TaskManifest {
    /// `None` when the task is not done.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged; when the lake does not answer.
    pub async fn read(history: &History, backfill: u64, task: usize) -> Result<Option<Self>> {
        agreement::read(history.lake().store().as_ref(), &layout::task_manifest(history.uid(), backfill, task), FORMAT).await
    }
}

impl Work {
    /// Does a task, unless it is done.
    ///
    /// # Guarantees
    /// The same plan and task give the same files, byte for byte, however often and wherever they run.
    ///
    /// # Errors
    /// `Invalid` when a raw event cannot be used and the definition says `onInvalid: Fail`; when source, tables or lake do not answer.
    pub async fn task(&self, index: usize) -> Result<TaskManifest> {
        let number = self.plan.backfill;
        if let Some(done) = TaskManifest::read(&self.history, number, index).await? {
            return Ok(done);
        }
        let doing = || format!("backfill {number} of {}, task {index}", self.history.uid());
        let slices = self.plan.tasks.get(index).ok_or_else(|| Error::invalid(format!("{}: there is no such task", doing())))?;
        let mut counts = Counts::default();
        let mut batches = Vec::new();
        for slice in slices {
            batches.extend(self.execute(slice, &mut counts).await.context(doing)?);
        }
        let files = self.write(index, batches).await.context(doing)?;
        let manifest = TaskManifest { format: FORMAT, backfill: number, task: index, files, counts };
        faults::point(faults::Point::TaskManifest)?;
        let path = layout::task_manifest(self.history.uid(), number, index);
        match agreement::put_if_absent(self.history.lake().store().as_ref(), &path, &manifest).await? {
            Put::Stored | Put::Exists => Ok(manifest),
        }
    }

    async fn execute(&self, slice: &Slice, counts: &mut Counts) -> Result<Vec<RecordBatch>> {
        let mut raw = self.raw.read(self.plan.raw_version, slice).await?;
        let mut kept = Vec::new();
        while let Some(batch) = raw.try_next().await? {
            counts.read += batch.fields.num_rows() as u64;
            let done = self.pipeline.process(&batch, self.plan.row_number()?).await?;
            counts.not_ours += done.not_ours as u64;
            counts.yielded_nothing += done.yielded_nothing as u64;
            for letter in &done.dead {
                if self.history.plan().on_invalid == OnInvalid::Fail {
                    return Err(Error::invalid(format!(
                        "a raw event cannot be used ({:?}, field `{}`, partition {:?}, offset {:?}) and the definition says onInvalid: Fail",
                        letter.invalid.reason, letter.invalid.field, letter.partition, letter.offset
                    )));
                }
                *counts.dead.entry(letter.invalid.reason).or_default() += 1;
            }
            let before = done.rows.num_rows();
            let rows = self.keep(done.rows, slice)?;
            counts.left_out += (before - rows.num_rows()) as u64;
            counts.rows += rows.num_rows() as u64;
            if rows.num_rows() > 0 {
                kept.push(rows);
            }
        }
        Ok(kept)
    }

    /// The rows that belong to this backfill.
    fn keep(&self, batch: RecordBatch, slice: &Slice) -> Result<RecordBatch> {
        let rows = Rows::new(batch)?;
        let size = self.history.plan().bucket;
        let wanted = |row: usize| {
            let time = rows.event_time()[row];
            let in_range = match &self.plan.mode {
                Mode::Incremental => true,
                Mode::Restate(buckets) => buckets.contain(time),
            };
            let retained =
                self.plan.drop_before.is_none_or(|before| bucket::start_of(time, size).saturating_add(bucket::width(size)) > before);
            let available = match slice {
                Slice::Offsets { .. } => true,
                Slice::File { available, .. } => available.contains(&rows.available_at()[row]),
            };
            in_range && retained && available
        };
        let mask: BooleanArray = (0..rows.len()).map(|row| Some(wanted(row))).collect();
        if mask.true_count() == rows.len() {
            return Ok(rows.batch().clone());
        }
        Ok(filter_record_batch(rows.batch(), &mask)?)
    }

    /// One file per bucket, in the order of buckets.
    async fn write(&self, index: usize, batches: Vec<RecordBatch>) -> Result<Vec<NewFile>> {
        let size = self.history.plan().bucket;
        let batches = Arc::new(batches);
        let of_task = Arc::clone(&batches);
        let buckets = aside(move || split(&of_task, size)).await?;
        let store = self.history.lake().table_store(&layout::history(self.history.uid()));
        let mut files = Vec::with_capacity(buckets.len());
        for (start, places) in buckets {
            let batches = Arc::clone(&batches);
            let encoded = aside(move || encode(&order::gather(&batches, &places)?));
            let Some((bytes, stats)) = encoded.await? else { continue };
            let name = bucket::name_of(start, size);
            let path = layout::history_file(&name, self.plan.backfill, index);
            faults::point(faults::Point::TaskFile)?;
            // There may be one for each of many buckets; the manifest that names them comes after all.
            store
                .put_opts(&Path::from(path.clone()), bytes.into(), with_the_next_agreement())
                .await
                .map_err(Error::from)
                .context(|| format!("write {path}"))?;
            files.push(NewFile { path, bucket: name, stats });
        }
        Ok(files)
    }
}

/// The places of each bucket's rows, sorted; by the bucket's start.
fn split(batches: &[RecordBatch], size: Bucket) -> Result<BTreeMap<i64, Vec<(u32, u32)>>> {
    let rows = batches.iter().map(|batch| Rows::new(batch.clone())).collect::<Result<Vec<_>>>()?;
    let mut buckets: BTreeMap<i64, Vec<(u32, u32)>> = BTreeMap::new();
    for (batch, row) in order::places(&rows) {
        let time = rows[batch as usize].event_time()[row as usize];
        buckets.entry(bucket::start_of(time, size)).or_default().push((batch, row));
    }
    Ok(buckets)
}

/// The manifests of all tasks, in order; the first that is missing is named.
///
/// # Errors
/// `Invalid` when a task is not done; when the lake does not answer.
pub async fn manifests(history: &History, plan: &WorkPlan) -> Result<Vec<TaskManifest>> {
    futures::stream::iter(0..plan.tasks.len())
        .map(|task| async move {
            TaskManifest::read(history, plan.backfill, task).await?.ok_or_else(|| {
                Error::invalid(format!("seal backfill {} of {}: task {task} is not done; run it first", plan.backfill, history.uid()))
            })
        })
        .buffered(16)
        .try_collect()
        .await
}
