//! Deleting what nothing refers to any more: of a signal revision's history, base and backfills, and of its topic's raw table.
//!
//! ```text
//! list files ─▶ what is in use: newest versions, pins of datasets, newest base manifests ─▶ sync that ─▶ delete the rest
//! ```
//!
//! # Guarantees
//! No clock decides. Files of a backfill, a base or an archive that is under way are told by their numbers, which lie beyond what is
//! sealed: they are never deleted, however long they take. A kill in the middle leaves files that the next run deletes.

mod in_use;
mod raw;

use std::collections::BTreeSet;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use self::in_use::InUse;
pub use self::raw::raw;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::faults::{self, Point};
use crate::history::History;
use crate::lake::Lake;
use crate::layout;

/// How many of the newest of each kind stay, beside what datasets have pinned: what readers may be at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spared {
    /// Versions of the history's table, and backfills, at least one.
    pub versions: u64,
    /// Base manifests, at least one; the versions that they were made from stay with them.
    pub manifests: u64,
}

impl Default for Spared {
    /// With a run an hour at most: a read that takes longer than eight backfills would have to start over.
    fn default() -> Self {
        Self { versions: 8, manifests: 8 }
    }
}

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vacuumed {
    pub files: usize,
    pub bytes: u64,
}

impl Vacuumed {
    pub(crate) fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

/// Deletes the files of one signal revision that nothing refers to: data files of history, base manifests and runs, work plans with
/// their tasks and reports.
///
/// # Errors
/// `NotFound` when a version that is to be spared is not there (nothing is deleted then); when the lake does not answer.
pub async fn signal(history: &History, spared: Spared) -> Result<Vacuumed> {
    let doing = || format!("vacuum {}", history.uid());
    // Listed first: what is written from here on is newer than all that is decided below.
    let mut files = Vec::new();
    for folder in [
        layout::history(history.uid()),
        layout::base_runs(history.uid()),
        layout::base_manifests(history.uid()),
        layout::backfills(history.uid()),
    ] {
        files.extend(list(history.lake(), &folder).await.context(doing)?);
    }
    let Some(used) = InUse::of(history, spared).await.context(doing)? else { return Ok(Vacuumed::default()) };
    let unused: Vec<ObjectMeta> = files.into_iter().filter(|file| used.is_left_behind(&file.location)).collect();
    delete(history.lake(), unused, used.files()).await.context(doing)
}

/// Every file below a folder.
pub(crate) async fn list(lake: &Lake, folder: &Path) -> Result<Vec<ObjectMeta>> {
    lake.store().list(Some(folder)).try_collect().await.map_err(Error::from)
}

/// Deletes, once what stays is safe from a loss of power: it may be the only place of its rows afterwards.
pub(crate) async fn delete(lake: &Lake, unused: Vec<ObjectMeta>, stays: &BTreeSet<Path>) -> Result<Vacuumed> {
    let mut done = Vacuumed::default();
    if unused.is_empty() {
        return Ok(done);
    }
    lake.persist(stays.iter().cloned().collect()).await?;
    for file in unused {
        faults::point(Point::Vacuum)?;
        match lake.store().delete(&file.location).await.map_err(Error::from) {
            Ok(()) => done.add(Vacuumed { files: 1, bytes: file.size }),
            // Somebody else vacuums as well.
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests;
