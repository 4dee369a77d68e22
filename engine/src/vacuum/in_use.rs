//! What of a signal revision is in use, and what was left behind.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use object_store::path::Path;

use super::Spared;
use crate::base::Manifest;
use crate::error::{Error, Result};
use crate::history::{History, Snapshot};
use crate::layout;

/// What stays.
#[derive(Debug)]
pub(super) struct InUse {
    uid: String,
    /// Data files of spared versions, spared manifests and their runs, and the log of the table.
    files: BTreeSet<Path>,
    /// Backfills whose work plan a spared version was sealed with.
    cuts: BTreeSet<u64>,
    /// The backfill that was sealed last.
    sealed: u64,
    /// Backfills from this one on stay whole.
    first_backfill: u64,
    /// The newest base manifest; 0 = none.
    newest_manifest: u64,
}

impl InUse {
    /// `None` when there is no history yet.
    pub(super) async fn of(history: &History, spared: Spared) -> Result<Option<Self>> {
        let uid = history.uid();
        let Some(newest) = history.snapshot().await? else { return Ok(None) };
        let manifests = manifests(history, spared.manifests.max(1)).await?;
        let mut versions = history.pinned().await?;
        versions.extend(newest.version.saturating_sub(spared.versions.max(1) - 1)..newest.version);
        versions.extend(manifests.iter().map(|m| m.history));
        versions.remove(&newest.version);
        let mut used = Self {
            uid: uid.to_owned(),
            files: BTreeSet::new(),
            cuts: BTreeSet::new(),
            sealed: newest.backfill,
            first_backfill: newest.backfill.saturating_sub(spared.versions.max(1) - 1),
            newest_manifest: manifests.last().map_or(0, |m| m.number),
        };
        used.add(&newest);
        for version in versions {
            let snapshot = history.snapshot_at(Some(version)).await?;
            used.add(&snapshot.ok_or_else(|| Error::not_found("the table is gone"))?);
        }
        for manifest in &manifests {
            used.files.insert(layout::base_manifest(uid, manifest.number));
            used.files.extend(manifest.shards.iter().flatten().map(|g| Path::from(g.path.as_str())));
        }
        let log: Vec<_> = history.lake().store().list(Some(&layout::delta_log(&layout::history(uid)))).try_collect().await?;
        used.files.extend(log.into_iter().map(|file| file.location));
        Ok(Some(used))
    }

    fn add(&mut self, snapshot: &Snapshot) {
        let table = layout::history(&self.uid);
        self.files.extend(snapshot.files.iter().map(|file| Path::from(format!("{table}/{}", file.path))));
        self.cuts.insert(snapshot.cut);
    }

    pub(super) const fn files(&self) -> &BTreeSet<Path> {
        &self.files
    }

    /// Whether a file belongs to something that is over and that nothing names. What is under way has a number beyond; what no backfill,
    /// base or seal has written is somebody else's.
    pub(super) fn is_left_behind(&self, file: &Path) -> bool {
        if self.files.contains(file) {
            return false;
        }
        let below = |folder: &Path| file.prefix_match(folder).map(|rest| rest.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>());
        if below(&layout::history(&self.uid)).is_some() {
            return layout::history_file_backfill(file.as_ref()).is_some_and(|number| number <= self.sealed);
        }
        if let Some(parts) = below(&layout::backfills(&self.uid)) {
            let number = parts.first().and_then(|folder| folder.parse::<u64>().ok());
            return number.is_some_and(|number| number < self.first_backfill && !self.cuts.contains(&number));
        }
        let number = file.filename().and_then(|name| name.get(..10)).and_then(|digits| digits.parse::<u64>().ok());
        number.is_some_and(|number| number <= self.newest_manifest)
    }
}

/// The newest manifests, at most `count`, the newest last.
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
