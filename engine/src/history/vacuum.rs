//! Deleting what nothing refers to any more.

use std::collections::{BTreeSet, HashSet};

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::History;
use crate::base::Manifest;
use crate::error::{Context, Error, Result};
use crate::layout;

/// What is in use and must stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spared {
    /// Versions of the history's table that dataset manifests name. The newest is always spared, and those of `manifests`.
    pub versions: BTreeSet<u64>,
    /// How many of the newest base manifests are spared, at least one: what readers may have loaded or be loading.
    pub manifests: u64,
    /// Files written at or after this, µs, UTC, are spared: a backfill or base in progress may be about to name them.
    pub written_since: i64,
}

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vacuumed {
    pub files: usize,
    pub bytes: u64,
}

/// Deletes data files of history that no spared version names, and base manifests and runs that are not spared.
///
/// # Assumptions
/// `written_since` lies before the start of every backfill and base job that runs.
///
/// # Errors
/// `NotFound` when a version that is to be spared is not there (nothing is deleted then); when the lake does not answer.
pub async fn vacuum(history: &History, spared: &Spared) -> Result<Vacuumed> {
    let doing = || format!("vacuum {}", history.uid());
    let Some(newest) = history.snapshot().await.context(doing)? else { return Ok(Vacuumed::default()) };
    let manifests = manifests(history, spared.manifests.max(1)).await.context(doing)?;
    let mut versions = spared.versions.clone();
    versions.insert(newest.version);
    versions.extend(manifests.iter().map(|m| m.history));
    let table = layout::history(history.uid());
    let mut used: HashSet<Path> = HashSet::new();
    for version in versions {
        let snapshot = history.snapshot_at(Some(version)).await.context(doing)?;
        let snapshot = snapshot.ok_or_else(|| Error::not_found(format!("{}: the table is gone", doing())))?;
        for file in snapshot.files {
            used.insert(Path::from(format!("{table}/{}", file.path)));
        }
    }
    for manifest in &manifests {
        used.insert(layout::base_manifest(history.uid(), manifest.number));
        used.extend(manifest.shards.iter().flatten().map(|g| Path::from(g.path.as_str())));
    }
    let mut done = Vacuumed::default();
    for folder in [table.clone(), layout::base_runs(history.uid()), layout::base_manifests(history.uid())] {
        let is_log =
            |path: &Path| path.prefix_match(&table).is_some_and(|mut rest| rest.next().is_some_and(|p| p.as_ref() == "_delta_log"));
        let unused = |meta: &ObjectMeta| {
            !used.contains(&meta.location) && !is_log(&meta.location) && meta.last_modified.timestamp_micros() < spared.written_since
        };
        let files: Vec<ObjectMeta> = history
            .lake()
            .store()
            .list(Some(&folder))
            .try_filter(|meta| std::future::ready(unused(meta)))
            .try_collect()
            .await
            .map_err(Error::from)
            .context(doing)?;
        for file in files {
            history.lake().store().delete(&file.location).await.map_err(Error::from).context(doing)?;
            done.files += 1;
            done.bytes += file.size;
        }
    }
    Ok(done)
}

/// The newest manifests, at most `count`.
async fn manifests(history: &History, count: u64) -> Result<Vec<Manifest>> {
    let Some(newest) = Manifest::newest(history).await? else { return Ok(Vec::new()) };
    let first = newest.number.saturating_sub(count - 1).max(1);
    let mut found = Vec::new();
    for number in first..newest.number {
        found.extend(Manifest::read(history, number).await?);
    }
    found.push(newest);
    Ok(found)
}
