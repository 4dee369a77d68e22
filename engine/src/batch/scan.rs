//! All raw events of all signals through their pipelines, into partitions.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::TryStreamExt;
use tokio::task::JoinSet;

use super::fast::Fast;
use super::partitions::{Partitions, Spread};
use super::spill::Scratch;
use super::{Batch, Input, Progress, Way, bounds};
use crate::backfill::{Ask, ConsumedFile, Counts, Mode, RawLog, Slice, Survey};
use crate::error::{Context, Error, Result};
use crate::history::aside;
use crate::identity;
use crate::pipeline::Pipeline;
use crate::raw::RawBatch;
use crate::rows::{col, row_schema};

/// Rows that are spread over partitions at once: enough for slices that are worth their overhead, few enough for a core's cache.
const SPREAD_ROWS: usize = 64 * 1024;

/// What became of one signal's raw events.
#[derive(Debug)]
pub struct Scanned {
    pub work: Arc<Work>,
    pub counts: Counts,
    /// The files that were read; none of a topic's archive.
    pub files: Vec<ConsumedFile>,
    /// The version of a topic's archive.
    pub raw_version: Option<u64>,
}

/// What the tasks of one signal share.
#[derive(Debug)]
pub struct Work {
    raw: Arc<dyn RawLog>,
    raw_version: Option<u64>,
    pub pipeline: Pipeline,
    /// Rows are carried as they are before enrichment.
    pub fast: Option<Fast>,
    times: RangeInclusive<i64>,
    pub partitions: Arc<Partitions>,
}

/// A batch of raw events that became rows.
struct Made {
    rows: RecordBatch,
    counts: Counts,
}

/// Scans every signal; `None` when it has to be done again, the general way.
pub async fn all(batch: &Batch, way: Way, progress: &(dyn Fn(Progress) + Sync)) -> Result<Option<Vec<Scanned>>> {
    let mut scanned = Vec::with_capacity(batch.inputs.len());
    let mut tasks = Vec::new();
    let scratch = Arc::new(Scratch::new(&batch.settings.scratch)?);
    for (signal, input) in batch.inputs.iter().enumerate() {
        let (work, survey) = work(batch, (signal, input, way), &scratch).await?;
        tasks.extend(survey.tasks.into_iter().map(|slices| (signal, Arc::clone(&work), slices)));
        scanned.push(Scanned { work, counts: Counts::default(), files: survey.consumed, raw_version: survey.raw_version });
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
        let Some(counts) = counts else {
            running.shutdown().await;
            return Ok(None);
        };
        scanned[signal].counts.add(&counts);
        done += 1;
        progress(Progress::Scanned { done, of });
    }
    Ok(Some(scanned))
}

async fn work(batch: &Batch, (signal, input, way): (usize, &Input, Way), scratch: &Arc<Scratch>) -> Result<(Arc<Work>, Survey)> {
    let plan = &batch.feature.signals()[signal];
    let doing = || format!("scan the raw events of {}", plan.name);
    // Everything that is there: also partitions that are not complete yet.
    let ask = Ask { mode: &Mode::Incremental, before: None, now: i64::MAX };
    let survey = input.raw.survey(ask).await.context(doing)?;
    if survey.tasks.is_empty() {
        return Err(Error::not_found(format!("{}: there is no raw event; check where its batch source is", doing())));
    }
    let pipeline = Pipeline::new(Arc::clone(plan), input.lookups.clone()).context(doing)?;
    let fast = (way == Way::Fastest).then(|| Fast::of(&batch.feature, input, &pipeline)).flatten();
    let schema = fast.as_ref().map_or_else(|| row_schema(plan), |fast| Arc::clone(&fast.carried.schema));
    let partitions = Partitions::new(schema, batch.settings.memory / batch.inputs.len().max(1), Arc::clone(scratch));
    let work = Work {
        raw: Arc::clone(&input.raw),
        raw_version: survey.raw_version,
        pipeline,
        fast,
        times: bounds::of(&batch.feature, signal, batch.as_of),
        partitions: Arc::new(partitions),
    };
    Ok((Arc::new(work), survey))
}

impl Work {
    /// `None` when the general way has to judge.
    async fn slices(&self, slices: &[Slice]) -> Result<Option<Counts>> {
        let doing = || format!("scan the raw events of {}", self.pipeline.plan().name);
        let mut counts = Counts::default();
        let mut pending = Vec::new();
        let mut rows = 0;
        for slice in slices {
            let mut raw = self.raw.read(self.raw_version, slice).await.context(doing)?;
            while let Some(batch) = raw.try_next().await.context(doing)? {
                let Some(made) = self.make(&batch).await.context(doing)? else { return Ok(None) };
                counts.add(&made.counts);
                rows += made.rows.num_rows();
                pending.push(made.rows);
                if rows >= SPREAD_ROWS {
                    self.spread(std::mem::take(&mut pending)).await.context(doing)?;
                    rows = 0;
                }
            }
        }
        self.spread(pending).await.context(doing)?;
        Ok(Some(counts))
    }

    async fn make(&self, raw: &RawBatch) -> Result<Option<Made>> {
        let mut counts = Counts { read: raw.fields.num_rows() as u64, ..Counts::default() };
        let (rows, dead, before) = match &self.fast {
            Some(fast) => {
                let Some(scanned) = fast.scan(&self.pipeline, raw, &self.times)? else { return Ok(None) };
                counts.not_ours = scanned.of.not_ours as u64;
                counts.yielded_nothing = scanned.of.yielded_nothing as u64;
                (scanned.rows, scanned.of.dead, scanned.made)
            }
            None => {
                // Which backfill made a row decides only between rows of different ones.
                let done = self.pipeline.process(raw, 1).await?;
                counts.not_ours = done.not_ours as u64;
                counts.yielded_nothing = done.yielded_nothing as u64;
                let before = done.rows.num_rows();
                (bounds::keep(done.rows, &self.times)?, done.dead, before)
            }
        };
        for letter in &dead {
            *counts.dead.entry(letter.invalid.reason).or_default() += 1;
        }
        counts.left_out = (before - rows.num_rows()) as u64;
        counts.rows = rows.num_rows() as u64;
        Ok(Some(Made { rows, counts }))
    }

    async fn spread(&self, batches: Vec<RecordBatch>) -> Result<()> {
        let Some(schema) = batches.first().map(RecordBatch::schema) else { return Ok(()) };
        let partitions = Arc::clone(&self.partitions);
        let entity = if self.fast.is_some() { self.pipeline.entity_field() } else { col::ENTITY };
        aside(move || {
            let rows = match batches.as_slice() {
                [one] => one.clone(),
                many => concat_batches(&schema, many)?,
            };
            let hashes = identity::entity_hashes(rows.column(entity))?;
            partitions.add(&Spread::new(&rows, &hashes)?)
        })
        .await
    }
}
