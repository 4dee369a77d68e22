//! Keeping base in step with its history and with what features demand.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use super::demand::Demands;
use super::floor::{Horizon, Needs};
use super::load;
use super::manifest::{FORMAT, Generation, Kind, Manifest};
use super::shard::Maker;
use crate::backfill::{Mode, WorkPlan, in_effect};
use crate::error::{Error, ErrorKind, Result};
use crate::history::agreement::Put;
use crate::history::{History, Snapshot};
use crate::run::Run;

/// How often an update starts over when others put manifests.
const ATTEMPTS: usize = 16;
/// Shards that are made at a time: memory grows with it.
const SHARDS_AT_ONCE: usize = 2;

/// Brings base up to the newest history and the demands, and returns the newest manifest; `None` when there is no history yet.
///
/// # Guarantees
/// May be killed at any point, repeated, and run beside others. A manifest's history and cut never go back.
///
/// # Errors
/// `Invalid` when a demand does not fit the signal; `Conflict` when others keep winning; when the lake does not answer.
pub async fn update(history: &History, demands: &Demands) -> Result<Option<Manifest>> {
    for _ in 0..ATTEMPTS {
        let before = Manifest::newest(history).await?;
        let Some(snapshot) = history.snapshot().await? else { return Ok(before) };
        let demands = match &before {
            Some(before) if before.demands.epoch > demands.epoch => &before.demands,
            _ => demands,
        };
        if let Some(before) = &before {
            if before.history > snapshot.version {
                continue;
            }
            if before.history == snapshot.version && before.demands == *demands {
                return Ok(Some(before.clone()));
            }
        }
        let manifest = next(history, &snapshot, demands, before.as_ref()).await?;
        if manifest.put(history).await? == Put::Stored {
            return Ok(Some(manifest));
        }
    }
    Err(Error::new(ErrorKind::Conflict, format!("update base of {}: others keep putting manifests; try again", history.uid())))
}

async fn next(history: &History, snapshot: &Snapshot, demands: &Demands, before: Option<&Manifest>) -> Result<Manifest> {
    let needs = Arc::new(Needs::new(demands, history.plan())?);
    let retention = history.plan().retention_ms.map(|ms| ms.saturating_mul(1000));
    let plan = in_effect(history, snapshot).await?;
    // An event that claims to be of the future must not push everything else out of the windows.
    let newest = snapshot.newest().map(|newest| plan.as_ref().map_or(newest, |p| newest.min(p.planned_at)));
    let number = before.map_or(0, |b| b.number) + 1;
    let maker = Maker { history, snapshot, needs, horizon: Horizon { newest: newest.unwrap_or(i64::MIN), retention }, number };
    let extend = match before {
        Some(before) if before.demands.cover(demands) && !restated(history, before, snapshot).await? => Some(before),
        _ => None,
    };
    let shards = futures::stream::iter(0..history.plan().shards)
        .map(|shard| {
            let maker = &maker;
            async move {
                match extend.and_then(|before| before.shards.get(shard as usize).map(|below| (before, below))) {
                    Some((before, below)) => grow(maker, shard, before, below).await,
                    None => maker.whole(shard).await,
                }
            }
        })
        .buffered(SHARDS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(Manifest {
        format: FORMAT,
        number,
        uid: history.uid().to_owned(),
        history: snapshot.version,
        backfill: snapshot.backfill,
        cut: plan.as_ref().map(|p| p.cut.clone()),
        planned_at: plan.map(|p| p.planned_at),
        newest,
        demands: demands.clone(),
        shards,
    })
}

/// A shard with one more generation; whole again when the newer ones exceed a quarter of it.
async fn grow(maker: &Maker<'_>, shard: u32, before: &Manifest, below: &[Generation]) -> Result<Vec<Generation>> {
    let added = maker.added_rows(shard, before.backfill).await?;
    if added.is_empty() {
        return Ok(below.to_vec());
    }
    let rows = |kind: Kind| below.iter().filter(|g| g.kind == kind).map(|g| g.rows).sum::<u64>();
    if (rows(Kind::Added) + added.len() as u64) * 4 > rows(Kind::Whole) {
        return maker.whole(shard).await;
    }
    let mut runs: Vec<Arc<Run>> = Vec::with_capacity(below.len());
    for generation in below {
        runs.push(Arc::new(load::read(maker.history.lake(), generation).await?));
    }
    let mut generations = below.to_vec();
    generations.extend(maker.generation(shard, &added, &runs).await?);
    Ok(generations)
}

/// Whether rows were taken out of history since `before` (compaction and retention take none that count).
async fn restated(history: &History, before: &Manifest, snapshot: &Snapshot) -> Result<bool> {
    for number in before.backfill + 1..=snapshot.backfill {
        // A plan that is gone was abandoned or cleaned up: what it did is not known, so everything is made anew.
        match WorkPlan::read(history, number).await? {
            Some(plan) if plan.mode == Mode::Incremental => {}
            _ => return Ok(true),
        }
    }
    Ok(false)
}
