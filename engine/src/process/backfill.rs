//! `backfill`: the steps of one, each a process of its own, or all in one.

use std::path::Path;
use std::sync::Arc;

use tress_configs::Plan as AnyPlan;
use tress_configs::job::{BaseMade, Demanded, Facts, Outcome, PlanIs};

use super::arguments::{Abandon, Base, Demands as DemandsFile, Plan, Run, Seal, Tasks};
use super::revision::Prepared;
use super::{Ended, World, scheduled};
use crate::backfill::{self, Buckets, Mode, Report, TaskManifest, WorkPlan};
use crate::base::{Demand, Demands, Manifest};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::history::History;
use crate::roles::fold::{self, Fresh};
use crate::vacuum::Spared;
use crate::{layout, prepare};

/// Fixes the inputs of the next backfill, unless one is unfinished: that one is to be done first.
pub async fn plan(world: &World, Plan { uid, restate }: Plan) -> Result<Ended> {
    let prepared = Prepared::find(&world.platform, &uid).await?;
    let mode = mode(&prepared, &restate)?;
    let history = prepared.history(&world.platform);
    let snapshot = history.create().await?;
    let (plan, is) = match WorkPlan::read(&history, snapshot.backfill + 1).await? {
        Some(unfinished) => (unfinished, PlanIs::Unfinished),
        None => {
            let backfill = backfill(world, history.clone(), 1).await?;
            let Some(asked) = backfill.plan(&mode, &snapshot).await? else {
                return Ok(Ended { outcome: Outcome::UpToDate, facts: None });
            };
            let agreed = asked.clone().agree(&history).await?;
            let is = if agreed == asked { PlanIs::Asked } else { PlanIs::Unfinished };
            (agreed, is)
        }
    };
    let path = layout::work_plan(&uid, plan.backfill).to_string();
    Ok(Ended::with(Facts::Planned { uid, backfill: plan.backfill, tasks: plan.tasks.len() as u64, plan: is, path }))
}

/// Does the tasks of one index.
pub async fn tasks(world: &World, Tasks { uid, backfill: number, index, of }: Tasks) -> Result<Ended> {
    let history = Prepared::find(&world.platform, &uid).await?.history(&world.platform);
    let plan = work_plan(&history, number).await?;
    let mut done = Facts::TasksDone { uid, backfill: number, tasks: 0, rows: 0 };
    if history.create().await?.backfill >= number {
        return Ok(Ended { outcome: Outcome::UpToDate, facts: Some(done) });
    }
    let work = backfill(world, history.clone(), 1).await?.work(&plan).await?;
    for task in 0..plan.tasks.len() {
        if task as u64 % of != index % of || index >= of {
            continue;
        }
        let manifest = match TaskManifest::read(&history, number, task).await? {
            // A pod before this one did it.
            Some(manifest) => manifest,
            None => match world.shutdown.run_until_cancelled(work.task(task)).await {
                Some(manifest) => manifest?,
                None => return Ok(Ended { outcome: Outcome::Stopped, facts: Some(done) }),
            },
        };
        if let Facts::TasksDone { tasks, rows, .. } = &mut done {
            *tasks += 1;
            *rows += manifest.counts.rows;
        }
        tracing::info!(backfill = number, task, rows = manifest.counts.rows, "a task is done");
    }
    Ok(Ended::with(done))
}

/// Seals, makes base, announces it, and deletes what nothing refers to any more.
pub async fn seal(world: &World, Seal { uid, backfill: number, demands }: Seal) -> Result<Ended> {
    let prepared = Prepared::find(&world.platform, &uid).await?;
    let history = prepared.history(&world.platform);
    let plan = work_plan(&history, number).await?;
    let sealed = backfill::seal(&history, &plan).await?;
    let report = Report::new(&plan, sealed);
    report.keep(&history).await?;
    sealed_and_based(world, &prepared, (number, &report), &demands).await
}

/// Makes base of history as it is.
pub async fn base(world: &World, Base { uid, demands }: Base) -> Result<Ended> {
    let prepared = Prepared::find(&world.platform, &uid).await?;
    match make_base(world, &prepared, &demands).await? {
        Some(base) => Ok(Ended::with(Facts::Based { uid, base })),
        None => Ok(Ended { outcome: Outcome::UpToDate, facts: None }),
    }
}

/// All steps here: once, or at the times of a schedule.
pub async fn run(world: &World, arguments: Run) -> Result<Ended> {
    match &arguments.schedule {
        Some(cron) => scheduled::run(world, cron.clone(), arguments).await,
        None if arguments.monitor.http.is_some() => {
            Err(Error::invalid("--http: a fold that ends is not listened for; give it a --schedule, or leave it out"))
        }
        None => whole(world, arguments).await,
    }
}

/// All steps, once.
pub(super) async fn whole(world: &World, arguments: Run) -> Result<Ended> {
    let Run { plan: Plan { uid, restate }, demands, parallelism, .. } = arguments;
    let prepared = Prepared::find(&world.platform, &uid).await?;
    let mode = mode(&prepared, &restate)?;
    let parallelism = usize::try_from(parallelism).unwrap_or(1);
    let backfill = backfill(world, prepared.history(&world.platform), parallelism).await?;
    let told = |at| match at {
        backfill::Progress::Planned { backfill, tasks } => tracing::info!(backfill, tasks, "planned"),
        backfill::Progress::TaskDone { done, tasks, rows } => tracing::info!(done, tasks, rows, "a task is done"),
        backfill::Progress::Sealed { version } => tracing::info!(version, "sealed"),
    };
    match backfill.run(&mode, told).await? {
        backfill::Outcome::Sealed(report) => sealed_and_based(world, &prepared, (report.backfill, &report), &demands).await,
        backfill::Outcome::Stopped => Ok(Ended::as_asked()),
        backfill::Outcome::UpToDate => match make_base(world, &prepared, &demands).await? {
            Some(base) => Ok(Ended { outcome: Outcome::UpToDate, facts: Some(Facts::Based { uid, base }) }),
            None => Ok(Ended { outcome: Outcome::UpToDate, facts: None }),
        },
    }
}

/// Gives up the backfill that was planned and is not sealed.
pub async fn abandon(world: &World, Abandon { uid }: Abandon) -> Result<Ended> {
    let history = Prepared::find(&world.platform, &uid).await?.history(&world.platform);
    let Some(WorkPlan { backfill: number, .. }) = backfill::unfinished(&history).await? else {
        return Err(Error::not_found(format!(
            "abandon the backfill of {uid}: none is planned and unfinished, so there is nothing to give up"
        )));
    };
    backfill::abandon(&history, number, world.platform.clock().now_micros()).await?;
    Ok(Ended::with(Facts::Abandoned { uid, backfill: number }))
}

async fn backfill(world: &World, history: History, parallelism: usize) -> Result<backfill::Backfill> {
    fold::backfill(&world.platform, history, (Fresh::Leave, parallelism), world.shutdown.child_token()).await
}

fn mode(prepared: &Prepared, restate: &[String]) -> Result<Mode> {
    match restate {
        [] => Ok(Mode::Incremental),
        [all] if all == "all" => Ok(Mode::Restate(Buckets::All)),
        buckets => Buckets::of_names(buckets, prepared.plan.bucket).map(Mode::Restate).context(|| "--restate".to_owned()),
    }
}

async fn work_plan(history: &History, number: u64) -> Result<WorkPlan> {
    let none = || Error::not_found(format!("backfill {number} of {}: it was not planned, or is long over; plan one first", history.uid()));
    WorkPlan::read(history, number).await?.ok_or_else(none)
}

async fn sealed_and_based(world: &World, prepared: &Prepared, (number, report): (u64, &Report), file: &DemandsFile) -> Result<Ended> {
    let base = make_base(world, prepared, file).await?;
    let history = prepared.history(&world.platform);
    if let Err(error) = fold::clean(&world.platform, &history, &prepared.revision, Spared::default()).await {
        tracing::warn!(%error, "what nothing refers to could not be deleted; the next backfill tries again");
    }
    let counts = &report.sealed.counts;
    Ok(Ended::with(Facts::Sealed {
        uid: history.uid().to_owned(),
        backfill: number,
        raw_events: counts.read,
        rows: counts.rows,
        dead: counts.dead.values().sum(),
        history_version: report.sealed.version,
        base,
    }))
}

/// Base of the demands that are given; without any, of those that it has.
async fn make_base(world: &World, prepared: &Prepared, file: &DemandsFile) -> Result<Option<BaseMade>> {
    let history = prepared.history(&world.platform);
    let demands = match &file.demands {
        Some(path) => demands(world, prepared, path).await?,
        None => Manifest::newest(&history).await?.map(|newest| newest.demands).unwrap_or_default(),
    };
    let made = fold::make_base(&world.platform, &history, &demands).await?;
    Ok(made.map(|manifest| BaseMade { manifest: manifest.number, demands: manifest.demands.epoch }))
}

async fn demands(world: &World, prepared: &Prepared, path: &Path) -> Result<Demands> {
    let doing = || format!("read demands {}", path.display());
    let text = std::fs::read_to_string(path).map_err(Error::from).context(doing)?;
    let Demanded { number, features, .. } = Demanded::from_json(&text).map_err(|e| Error::invalid(e.to_string())).context(doing)?;
    let mut list: Vec<Demand> = Vec::with_capacity(features.len());
    for digest in &features {
        let AnyPlan::Feature(feature) = prepare::plan(&world.platform, digest).await.context(doing)? else {
            return Err(Error::invalid(format!("{}: plan {digest} is no feature's", doing())));
        };
        list.push(Demand::of(&Arc::new(feature), &prepared.plan.name).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("{}: the feature of plan {digest} does not read {}", doing(), prepared.plan.name))
        })?);
    }
    Ok(Demands { epoch: number, list: Demand::list(list) })
}
