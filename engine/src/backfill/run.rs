//! A whole backfill in one process: what a cluster does in jobs, done here in order.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tress_configs::Plan;

use super::plan::{FORMAT, Mode, WorkPlan, in_effect};
use super::raw_log::{Ask, RawLog};
use super::report::Report;
use super::seal::seal;
use super::tables::Tables;
use super::task::Work;
use crate::clock::Clock;
use crate::error::{Context, Error, Result};
use crate::history::{History, Snapshot};

use crate::pipeline::Pipeline;

/// What a backfill works with.
#[derive(Debug, Clone)]
pub struct Backfill {
    pub history: History,
    pub raw: Arc<dyn RawLog>,
    pub tables: Tables,
    pub clock: Arc<dyn Clock>,
    /// Tasks at a time.
    pub parallelism: usize,
    pub shutdown: CancellationToken,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Sealed(Report),
    /// The source holds nothing that history has not; nothing was changed.
    UpToDate,
    /// The shutdown came first; whoever is next goes on.
    Stopped,
}

/// How far a backfill is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Planned { backfill: u64, tasks: usize },
    TaskDone { done: usize, tasks: usize, rows: u64 },
    Sealed { version: u64 },
}

impl Backfill {
    /// Plans (or finds an unsealed plan and finishes that first), does the tasks, and seals.
    ///
    /// # Guarantees
    /// May be killed at any point and repeated, and may run beside others: one of them seals, all see the same history.
    ///
    /// # Errors
    /// `Invalid` when the source cannot be read without losing or doubling events (the message says what to do), or when the work plan
    /// was made for another plan of the signal; when source, tables or lake do not answer.
    pub async fn run(&self, mode: &Mode, progress: impl Fn(Progress)) -> Result<Outcome> {
        let mut finished = None;
        loop {
            let snapshot = self.history.create().await?;
            let number = snapshot.backfill + 1;
            let (plan, ours) = match WorkPlan::read(&self.history, number).await? {
                Some(found) => (found, false),
                None => {
                    let Some(asked) = self.plan(mode, &snapshot).await? else {
                        return Ok(finished.map_or(Outcome::UpToDate, Outcome::Sealed));
                    };
                    let agreed = asked.clone().agree(&self.history).await?;
                    let ours = agreed == asked;
                    (agreed, ours)
                }
            };
            progress(Progress::Planned { backfill: plan.backfill, tasks: plan.tasks.len() });
            let Some(report) = self.finish(&plan, &progress).await? else { return Ok(Outcome::Stopped) };
            if ours {
                return Ok(Outcome::Sealed(report));
            }
            // An earlier plan is finished, with the inputs of its time; what was asked for comes next.
            finished = Some(report);
        }
    }

    /// Fixes the inputs of the next backfill; `None` when there is nothing to do.
    ///
    /// # Errors
    /// As [`Backfill::run`].
    pub async fn plan(&self, mode: &Mode, snapshot: &Snapshot) -> Result<Option<WorkPlan>> {
        let doing = || format!("plan backfill of {}", self.history.uid());
        let before = in_effect(&self.history, snapshot).await?;
        let now = self.clock.now_micros();
        let survey = self.raw.survey(Ask { mode, before: before.as_ref(), now }).await.context(doing)?;
        if let Some(before) = &before
            && !survey.cut.reaches(&before.cut)
        {
            return Err(Error::invalid(format!("{}: the source reaches less far than what is sealed; was it replaced?", doing())));
        }
        let drop_before = self.horizon(snapshot, now);
        let drops = drop_before.is_some_and(|before| snapshot.files.iter().any(|f| f.times.end <= before));
        let advances = before.as_ref().is_some_and(|b| b.cut != survey.cut);
        if *mode == Mode::Incremental && survey.tasks.is_empty() && !drops && !advances {
            return Ok(None);
        }
        Ok(Some(WorkPlan {
            format: FORMAT,
            backfill: snapshot.backfill + 1,
            uid: self.history.uid().to_owned(),
            plan: self.digest(),
            planned_at: now,
            mode: mode.clone(),
            raw_version: survey.raw_version,
            cut: survey.cut,
            tables: self.tables.versions().await.context(doing)?,
            drop_before,
            consumed: survey.consumed,
            tasks: survey.tasks,
        }))
    }

    /// What a task or a seal of `plan` needs.
    ///
    /// # Errors
    /// `Invalid` when `plan` was made for another plan of the signal; when a table cannot be loaded.
    pub async fn work(&self, plan: &WorkPlan) -> Result<Work> {
        let doing = || format!("backfill {} of {}", plan.backfill, self.history.uid());
        if plan.plan != self.digest() {
            return Err(Error::invalid(format!("{}: it was planned for another plan of this signal; finish it with that one", doing())));
        }
        let lookups = self.tables.load(&plan.tables).await.context(doing)?;
        let pipeline = Pipeline::new(Arc::clone(self.history.plan()), lookups).context(doing)?;
        Ok(Work { history: self.history.clone(), raw: Arc::clone(&self.raw), pipeline, plan: plan.clone() })
    }

    async fn finish(&self, plan: &WorkPlan, progress: &impl Fn(Progress)) -> Result<Option<Report>> {
        let work = Arc::new(self.work(plan).await?);
        let tasks = plan.tasks.len();
        let (mut next, mut done, mut rows) = (0, 0, 0);
        let mut running = JoinSet::new();
        while done < tasks {
            while next < tasks && running.len() < self.parallelism.max(1) {
                let (work, task) = (Arc::clone(&work), next);
                running.spawn(async move { work.task(task).await });
                next += 1;
            }
            let joined = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => {
                    running.shutdown().await;
                    return Ok(None);
                }
                joined = running.join_next() => joined,
            };
            let Some(joined) = joined else { break };
            match joined.map_err(|e| Error::internal("backfill: a task ended without an answer").with_source(e))? {
                Ok(manifest) => {
                    done += 1;
                    rows += manifest.counts.rows;
                    progress(Progress::TaskDone { done, tasks, rows });
                }
                Err(e) => {
                    running.shutdown().await;
                    return Err(e);
                }
            }
        }
        let sealed = seal(&self.history, plan).await?;
        progress(Progress::Sealed { version: sealed.version });
        let report = Report::new(plan, sealed);
        report.keep(&self.history).await?;
        Ok(Some(report))
    }

    /// Where retention ends: counted from the newest sealed event, but never from a time that has not come.
    fn horizon(&self, snapshot: &Snapshot, now: i64) -> Option<i64> {
        let retention = self.history.plan().retention_ms?.saturating_mul(1000);
        Some(snapshot.newest()?.min(now).saturating_sub(retention))
    }

    fn digest(&self) -> String {
        Plan::Signal(self.history.plan().as_ref().clone()).digest()
    }
}
