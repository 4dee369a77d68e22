//! Keeping base in step with its history and with what features demand.

use std::ops::Range;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use super::demand::Demands;
use super::floor::{Horizon, Needs};
use super::load;
use super::manifest::{FORMAT, Generation, Kind, Manifest, Mark};
use super::shard::{Files, Maker};
use crate::backfill::{Cut, Mode, WorkPlan, in_effect};
use crate::error::{Error, ErrorKind, Result};
use crate::history::agreement::Put;
use crate::history::{History, Snapshot};
use crate::rows::Rows;
use crate::run::Run;

/// How often an update starts over when others put manifests.
const ATTEMPTS: usize = 16;
/// Groups of shards that are made at a time: memory grows with it.
const GROUPS_AT_ONCE: usize = 2;

/// Brings base up to the newest history and the demands, and returns the newest manifest; `None` when there is no history yet.
///
/// # Guarantees
/// May be killed at any point, repeated, and run beside others. A manifest's history and cut never go back.
///
/// # Errors
/// `Invalid` when a demand does not fit the signal; `Conflict` when others keep winning; when the lake does not answer.
pub async fn update(history: &History, demands: &Demands) -> Result<Option<Manifest>> {
    update_marked(history, demands, None).await
}

/// As [`update`]. `mark`: a moment before now, of which a later base will know whether it has it.
///
/// # Errors
/// As [`update`].
pub async fn update_marked(history: &History, demands: &Demands, mark: Option<&Mark>) -> Result<Option<Manifest>> {
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
        let mut manifest = next(history, &snapshot, demands, before.as_ref()).await?;
        let known = before.as_ref().map_or((&[][..], None), |before| (before.changelog.as_slice(), before.mark.as_ref()));
        (manifest.changelog, manifest.mark) = covered(manifest.cut.as_ref(), known, mark);
        if manifest.put(history).await? == Put::Stored {
            return Ok(Some(manifest));
        }
    }
    Err(Error::new(ErrorKind::Conflict, format!("update base of {}: others keep putting manifests; try again", history.uid())))
}

/// How far of the changelog a base with this cut has, and what is to be known next. What was known stays: cuts only go forward.
fn covered(cut: Option<&Cut>, (known, waiting): (&[i64], Option<&Mark>), now: Option<&Mark>) -> (Vec<i64>, Option<Mark>) {
    // What is here now may lie in history already, where nothing new came since.
    let reached = |mark: &&Mark| cut.is_some_and(|cut| cut.reaches(&mark.raw));
    match [now, waiting].into_iter().flatten().find(reached) {
        Some(reached) => (reached.changelog.clone(), now.filter(|now| *now != reached).cloned()),
        None => (known.to_vec(), waiting.or(now).cloned()),
    }
}

async fn next(history: &History, snapshot: &Snapshot, demands: &Demands, before: Option<&Manifest>) -> Result<Manifest> {
    let needs = Arc::new(Needs::new(demands, history.plan())?);
    let retention = history.plan().retention_ms.map(|ms| ms.saturating_mul(1000));
    let plan = in_effect(history, snapshot).await?;
    // An event that claims to be of the future must not push everything else out of the windows.
    let newest = snapshot.newest().map(|newest| plan.as_ref().map_or(newest, |p| newest.min(p.planned_at)));
    let number = before.map_or(0, |b| b.number) + 1;
    let maker = Maker {
        history,
        snapshot,
        needs,
        horizon: Horizon { newest: newest.unwrap_or(i64::MIN), retention },
        number,
        files: Files::default(),
    };
    let extend = match before {
        Some(before) if before.demands.cover(demands) && !restated(history, before, snapshot).await? => Some(before),
        _ => None,
    };
    let shards = history.plan().shards;
    let extend = extend.filter(|before| before.shards.len() == shards as usize);
    let rows = match extend {
        Some(before) => snapshot.since(before.backfill).map(|file| file.stats.rows).sum(),
        None => snapshot.rows(),
    };
    let step = maker.shards_at_once(rows);
    let groups: Vec<Vec<Vec<Generation>>> = futures::stream::iter((0..shards).step_by(step as usize))
        .map(|first| {
            let (maker, group) = (&maker, first..(first + step).min(shards));
            async move {
                match extend {
                    Some(before) => grow(maker, group, before).await,
                    None => maker.whole(group).await,
                }
            }
        })
        .buffered(GROUPS_AT_ONCE)
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
        shards: groups.into_iter().flatten().collect(),
        changelog: Vec::new(),
        mark: None,
    })
}

/// Shards with one more generation each.
async fn grow(maker: &Maker<'_>, shards: Range<u32>, before: &Manifest) -> Result<Vec<Vec<Generation>>> {
    let mut grown = Vec::with_capacity(shards.len());
    let added = maker.added_rows(shards.clone(), before.backfill).await?;
    for (shard, added) in shards.zip(added) {
        grown.push(grow_shard(maker, shard, &before.shards[shard as usize], &added).await?);
    }
    Ok(grown)
}

/// A shard with one more generation; whole again when the newer ones exceed a quarter of it.
async fn grow_shard(maker: &Maker<'_>, shard: u32, below: &[Generation], added: &Rows) -> Result<Vec<Generation>> {
    if added.is_empty() {
        return Ok(below.to_vec());
    }
    let rows = |kind: Kind| below.iter().filter(|g| g.kind == kind).map(|g| g.rows).sum::<u64>();
    if (rows(Kind::Added) + added.len() as u64) * 4 > rows(Kind::Whole) {
        return Ok(maker.whole(shard..shard + 1).await?.into_iter().flatten().collect());
    }
    let mut runs: Vec<Arc<Run>> = Vec::with_capacity(below.len());
    for generation in below {
        runs.push(Arc::new(load::read(maker.history.lake(), generation).await?));
    }
    let mut generations = below.to_vec();
    generations.extend(maker.generation(shard, added, &runs).await?);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_has_of_the_changelog_what_was_there_when_its_source_was_no_longer_than_its_cut() {
        let cut = |end: i64| Cut::Offsets { cluster: "c".into(), topic: "t".into(), ends: [(0, end)].into() };
        let mark = |changelog: i64, raw: i64| Mark { changelog: vec![changelog], raw: cut(raw) };
        let (first, second) = (mark(10, 50), mark(20, 90));
        assert_eq!(covered(Some(&cut(40)), (&[], None), Some(&first)), (vec![], Some(first.clone())), "the source is ahead of history");
        assert_eq!(covered(Some(&cut(49)), (&[], Some(&first)), Some(&second)), (vec![], Some(first.clone())), "and still is");
        assert_eq!(covered(Some(&cut(50)), (&[], Some(&first)), Some(&second)), (vec![10], Some(second.clone())));
        assert_eq!(covered(Some(&cut(80)), (&[10], Some(&second)), None), (vec![10], Some(second.clone())), "what is known stays");
        assert_eq!(covered(Some(&cut(90)), (&[10], Some(&first)), Some(&second)), (vec![20], None), "what is there now is in it already");
        let other = Cut::Offsets { cluster: "c".into(), topic: "made anew".into(), ends: [(0, 99)].into() };
        assert_eq!(covered(Some(&other), (&[10], Some(&second)), None).0, [10], "of another topic nothing is known");
        assert_eq!(covered(None, (&[], None), Some(&first)), (vec![], Some(first)));
    }
}
