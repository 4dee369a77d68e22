//! A backfill in a running node: archive what is there, fold it, make base, tell the followers.

use std::sync::Arc;

use tress_configs::FeaturePlan;
use tress_configs::name::QualifiedName;

use super::signal::RunningSignal;
use super::{Fold, Folded, Progress};
use crate::backfill::{self, Buckets, Mode, Outcome, TaskManifest, WorkPlan};
use crate::base::{Demand, Demands, Manifest};
use crate::error::{Error, ErrorKind, Result};
use crate::platform::Platform;
use crate::roles::fold::{self, Fresh};

/// Tasks at a time on one machine.
const PARALLELISM: usize = 2;

/// A backfill that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abandoned {
    pub signal: QualifiedName,
    pub number: u64,
    /// µs, UTC.
    pub planned_at: i64,
    /// What it was to do.
    pub mode: Mode,
    pub tasks: usize,
    /// Of those, the ones that were done; their files are left for vacuum.
    pub tasks_done: usize,
}

/// Folds a signal into its history, one fold at a time; base follows by [`extend_base`].
///
/// # Errors
/// As [`Backfill::run`].
pub async fn fold(platform: &Platform, signal: &RunningSignal, fold: Fold, progress: &(dyn Fn(Progress) + Sync)) -> Result<Folded> {
    let _one_at_a_time = signal.folding.lock().await;
    let plan = &signal.plan;
    let history = signal.store.history().clone();
    let backfill = fold::backfill(platform, history, (Fresh::Archive, PARALLELISM), signal.shutdown.child_token()).await?;
    let mode = match fold {
        Fold::New => Mode::Incremental,
        Fold::Restate(buckets) if buckets.is_empty() => Mode::Restate(Buckets::All),
        Fold::Restate(buckets) => Mode::Restate(Buckets::of_names(&buckets, plan.bucket)?),
    };
    let outcome = backfill
        .run(&mode, |at| match at {
            backfill::Progress::Planned { tasks, .. } => progress(Progress { tasks_done: 0, tasks, rows: 0 }),
            backfill::Progress::TaskDone { done, tasks, rows } => progress(Progress { tasks_done: done, tasks, rows }),
            backfill::Progress::Sealed { .. } => {}
        })
        .await?;
    let snapshot = signal.store.history().snapshot().await?;
    let mut folded = Folded {
        signal: plan.name.clone(),
        number: snapshot.as_ref().map_or(0, |s| s.backfill),
        raw_events: 0,
        rows: 0,
        dead: 0,
        files: 0,
        history_version: snapshot.as_ref().map_or(0, |s| s.version),
    };
    match outcome {
        Outcome::Sealed(report) => {
            folded.raw_events = report.sealed.counts.read;
            folded.rows = report.sealed.counts.rows;
            folded.dead = report.sealed.counts.dead.values().sum();
            folded.files = report.sealed.added;
        }
        Outcome::UpToDate => {}
        Outcome::Stopped => return Err(Error::new(ErrorKind::Unavailable, "backfill: stopped; the next one finishes it")),
    }
    Ok(folded)
}

/// Gives up the backfill that was planned and is not sealed. The next one plans anew, from where history ends.
///
/// # Errors
/// `NotFound` when there is none; `Conflict` when a backfill of this signal runs here, or somebody sealed it meanwhile.
pub async fn abandon(platform: &Platform, signal: &RunningSignal) -> Result<Abandoned> {
    let name = &signal.plan.name;
    let Ok(_one_at_a_time) = signal.folding.try_lock() else {
        return Err(Error::new(ErrorKind::Conflict, format!("abandon the backfill of {name}: one runs now; wait for its end, or stop it")));
    };
    let Some(plan) = backfill::unfinished(signal.store.history()).await? else {
        return Err(Error::not_found(format!(
            "abandon the backfill of {name}: none is planned and unfinished, so there is nothing to give up"
        )));
    };
    let history = signal.store.history();
    let mut tasks_done = 0;
    for task in 0..plan.tasks.len() {
        tasks_done += usize::from(TaskManifest::read(history, plan.backfill, task).await?.is_some());
    }
    backfill::abandon(history, plan.backfill, platform.clock().now_micros()).await?;
    let WorkPlan { backfill: number, planned_at, mode, tasks, .. } = plan;
    Ok(Abandoned { signal: name.clone(), number, planned_at, mode, tasks: tasks.len(), tasks_done })
}

/// Brings base up to history and demands, announces it, and shows it to this node's readers.
///
/// # Errors
/// As [`fold::make_base`].
pub async fn extend_base(platform: &Platform, signal: &RunningSignal, list: Vec<Demand>) -> Result<()> {
    let _one_at_a_time = signal.folding.lock().await;
    let history = signal.store.history();
    let before = Manifest::newest(history).await?;
    let demands = match &before {
        Some(before) if before.demands.list == list => before.demands.clone(),
        Some(before) => Demands { epoch: before.demands.epoch + 1, list },
        None => Demands { epoch: 1, list },
    };
    fold::make_base(platform, history, &demands).await?;
    signal.bases.refresh().await
}

/// What `features` need of a signal.
pub fn demands<'a>(signal: &RunningSignal, features: impl Iterator<Item = &'a Arc<FeaturePlan>>) -> Vec<Demand> {
    Demand::list(features.filter_map(|feature| Demand::of(feature, &signal.plan.name)))
}
