//! All raw events of all signals through their pipelines, into partitions.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::TryStreamExt;
use tokio::task::JoinSet;

use super::partitions::{Partitions, Spread};
use super::spill::Scratch;
use super::{Batch, Input, Progress, bounds};
use crate::backfill::{Ask, ConsumedFile, Counts, Mode, RawLog, Slice, Survey};
use crate::error::{Context, Error, Result};
use crate::history::aside;
use crate::pipeline::Pipeline;
use crate::rows::{Rows, row_schema};

/// Rows that are spread over partitions at once: enough for slices that are worth their overhead, few enough for a core's cache.
const SPREAD_ROWS: usize = 64 * 1024;

/// What became of one signal's raw events.
#[derive(Debug)]
pub struct Scanned {
    pub partitions: Arc<Partitions>,
    pub counts: Counts,
    /// The files that were read; none of a topic's archive.
    pub files: Vec<ConsumedFile>,
    /// The version of a topic's archive.
    pub raw_version: Option<u64>,
}

/// What the tasks of one signal share.
struct Work {
    raw: Arc<dyn RawLog>,
    raw_version: Option<u64>,
    pipeline: Pipeline,
    times: RangeInclusive<i64>,
    partitions: Arc<Partitions>,
}

/// Scans every signal.
pub async fn all(batch: &Batch, progress: &(dyn Fn(Progress) + Sync)) -> Result<Vec<Scanned>> {
    let mut scanned = Vec::with_capacity(batch.inputs.len());
    let mut tasks = Vec::new();
    let scratch = Arc::new(Scratch::new(&batch.settings.scratch)?);
    for (signal, input) in batch.inputs.iter().enumerate() {
        let (work, survey) = work(batch, (signal, input), &scratch).await?;
        tasks.extend(survey.tasks.into_iter().map(|slices| (signal, Arc::clone(&work), slices)));
        scanned.push(Scanned {
            partitions: Arc::clone(&work.partitions),
            counts: Counts::default(),
            files: survey.consumed,
            raw_version: survey.raw_version,
        });
    }
    let (of, mut done) = (tasks.len(), 0);
    let mut tasks = tasks.into_iter();
    let mut running = JoinSet::new();
    while done < of {
        while running.len() < batch.settings.parallelism.max(1)
            && let Some((signal, work, slices)) = tasks.next()
        {
            running.spawn(async move { work.slices(&slices).await.map(|counts| (signal, counts)) });
        }
        let Some(joined) = running.join_next().await else { break };
        let (signal, counts) = joined.map_err(|e| Error::internal("batch: a task ended without an answer").with_source(e))??;
        scanned[signal].counts.add(&counts);
        done += 1;
        progress(Progress::Scanned { done, of });
    }
    Ok(scanned)
}

async fn work(batch: &Batch, (signal, input): (usize, &Input), scratch: &Arc<Scratch>) -> Result<(Arc<Work>, Survey)> {
    let plan = &batch.feature.signals()[signal];
    let doing = || format!("scan the raw events of {}", plan.name);
    // Everything that is there: also partitions that are not complete yet.
    let ask = Ask { mode: &Mode::Incremental, before: None, now: i64::MAX };
    let survey = input.raw.survey(ask).await.context(doing)?;
    if survey.tasks.is_empty() {
        return Err(Error::not_found(format!("{}: there is no raw event; check where its batch source is", doing())));
    }
    let partitions = Partitions::new(row_schema(plan), batch.settings.memory / batch.inputs.len().max(1), Arc::clone(scratch));
    let work = Work {
        raw: Arc::clone(&input.raw),
        raw_version: survey.raw_version,
        pipeline: Pipeline::new(Arc::clone(plan), input.lookups.clone()).context(doing)?,
        times: bounds::of(&batch.feature, signal, batch.as_of),
        partitions: Arc::new(partitions),
    };
    Ok((Arc::new(work), survey))
}

impl Work {
    async fn slices(&self, slices: &[Slice]) -> Result<Counts> {
        let doing = || format!("scan the raw events of {}", self.pipeline.plan().name);
        let mut counts = Counts::default();
        let mut pending = Vec::new();
        let mut rows = 0;
        for slice in slices {
            let mut raw = self.raw.read(self.raw_version, slice).await.context(doing)?;
            while let Some(batch) = raw.try_next().await.context(doing)? {
                counts.read += batch.fields.num_rows() as u64;
                // Which backfill made a row decides only between rows of different ones.
                let done = self.pipeline.process(&batch, 1).await.context(doing)?;
                counts.not_ours += done.not_ours as u64;
                counts.yielded_nothing += done.yielded_nothing as u64;
                for letter in &done.dead {
                    *counts.dead.entry(letter.invalid.reason).or_default() += 1;
                }
                let before = done.rows.num_rows();
                let kept = bounds::keep(done.rows, &self.times)?;
                counts.left_out += (before - kept.num_rows()) as u64;
                counts.rows += kept.num_rows() as u64;
                rows += kept.num_rows();
                pending.push(kept);
                if rows >= SPREAD_ROWS {
                    self.spread(std::mem::take(&mut pending)).await.context(doing)?;
                    rows = 0;
                }
            }
        }
        self.spread(pending).await.context(doing)?;
        Ok(counts)
    }

    async fn spread(&self, batches: Vec<RecordBatch>) -> Result<()> {
        let Some(schema) = batches.first().map(RecordBatch::schema) else { return Ok(()) };
        let partitions = Arc::clone(&self.partitions);
        aside(move || {
            let rows = Rows::new(concat_batches(&schema, &batches)?)?;
            partitions.add(&Spread::new(rows.batch(), rows.entity_hash())?)
        })
        .await
    }
}
