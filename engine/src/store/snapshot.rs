//! Snapshots of a tail in the lake: what a new process loads instead of replaying the changelog from its start.
//!
//! Any number of processes may follow one signal revision, and any of them may take snapshot n + 1. It names files of snapshot n and
//! files that begin with its own number, no others. Whoever puts its manifest first has taken it, and deletes what was there before
//! and is in it no more: all of that belongs to older snapshots, or to attempts at the same one that are bound to lose. Whoever is
//! late deletes nothing.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::SignalStore;
use crate::backfill::Cut;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::history::agreement::{self, Put};
use crate::log::Position;
use crate::tail::{Frozen, TailRun};
use crate::{faults, layout, run};

/// The format of the snapshot's manifest.
const VERSION: u32 = 1;

/// `<n>.json`: which runs, and how far of the changelog they hold. Put if absent, after its runs.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot {
    version: u32,
    number: u64,
    shards: Vec<OfShard>,
    /// What base had of the source: rows that it covers are in no run. Absent = there was none, or the program was older.
    #[serde(default)]
    covered: Option<Cut>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfShard {
    /// The changelog's position behind the rows.
    position: i64,
    /// Names of files beside the manifest.
    runs: Vec<String>,
}

/// What came of taking a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    Kept {
        number: u64,
        /// Of the changelog: nobody who loads this snapshot needs what is before.
        positions: Vec<Position>,
    },
    /// Another process was first, or is further: what it has kept stays.
    Lost,
}

/// Keeps the tail as it is. Runs that the snapshot before has are named again; what only older snapshots have is deleted once the new
/// one is there.
///
/// # Errors
/// `Full` when the lake has no room, `Unavailable` when it does not answer: the snapshot before stays.
pub async fn take(store: &SignalStore) -> Result<Taken> {
    let lake = store.history().lake().store().as_ref();
    let folder = layout::tail_snapshots(store.uid());
    let before = list(lake, &folder).await?;
    let last = match newest_of(&before) {
        Some(number) => Some(read(lake, &folder.clone().join(manifest_name(number))).await?),
        None => None,
    };
    let frozen = store.shards().iter().map(|shard| shard.frozen()).collect::<Result<Vec<Frozen>>>()?;
    if last.as_ref().is_some_and(|last| last.shards.iter().zip(&frozen).any(|(last, now)| last.position > now.position)) {
        return Ok(Taken::Lost);
    }
    let number = last.as_ref().map_or(0, |last| last.number) + 1;
    let kept: BTreeSet<&String> = last.iter().flat_map(|last| last.shards.iter().flat_map(|shard| &shard.runs)).collect();
    let mut snapshot = Snapshot { version: VERSION, number, shards: Vec::new(), covered: None };
    let mut written = Vec::new();
    for (shard, frozen) in frozen.into_iter().enumerate() {
        // While a base is shown shard by shard, the one that reaches furthest counts.
        if let Some(cut) = frozen.covered
            && snapshot.covered.as_ref().is_none_or(|known| cut.reaches(known))
        {
            snapshot.covered = Some(cut);
        }
        let mut runs = Vec::with_capacity(frozen.runs.len());
        for run in frozen.runs {
            // Runs never change: one that the last snapshot has is not written again.
            if let Some(name) = run.kept().filter(|name| kept.contains(name)) {
                runs.push(name);
                continue;
            }
            let bytes = run::encode(run.run())?;
            // Of two who attempt the same snapshot neither writes over what the other wrote: equal names are equal bytes.
            let name = format!("{number:010}-{shard:04}-{:032x}.arrow", xxh3_128(&bytes));
            lake.put(&folder.clone().join(name.as_str()), PutPayload::from(bytes))
                .await
                .context(|| format!("write tail snapshot {name}"))?;
            runs.push(name.clone());
            written.push((run, name));
        }
        snapshot.shards.push(OfShard { position: frozen.position, runs });
    }
    faults::point(faults::Point::TailSnapshot)?;
    let path = folder.clone().join(manifest_name(number));
    // One that was put by a call whose answer was lost is ours, too.
    if agreement::put_if_absent(lake, &path, &snapshot).await? == Put::Exists && read(lake, &path).await? != snapshot {
        return Ok(Taken::Lost);
    }
    for (run, name) in written {
        run.keep_as(name);
    }
    let still: BTreeSet<&String> = snapshot.shards.iter().flat_map(|shard| &shard.runs).collect();
    for name in before.iter().filter(|name| !still.contains(name)) {
        match lake.delete(&folder.clone().join(name.as_str())).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => tracing::warn!(uid = store.uid(), %error, "a file of an older tail snapshot could not be deleted"),
        }
    }
    let positions = (0..).zip(&snapshot.shards).map(|(partition, shard)| Position { partition, offset: shard.position }).collect();
    Ok(Taken::Kept { number, positions })
}

/// The number of the newest snapshot; `None` = there is none.
///
/// # Errors
/// When the lake does not answer.
pub async fn newest(store: &SignalStore) -> Result<Option<u64>> {
    let folder = layout::tail_snapshots(store.uid());
    Ok(newest_of(&list(store.history().lake().store().as_ref(), &folder).await?))
}

/// Loads the newest snapshot into an empty store; without one, the store starts where it is.
///
/// # Errors
/// `Conflict` when another process took a newer one meanwhile: begin again, with another empty store; `Corrupt` when the snapshot or a
/// run of it is damaged, naming the file; `Full` when the tail has to spill and there is no room.
pub async fn restore(store: &SignalStore) -> Result<()> {
    let lake = store.history().lake().store().as_ref();
    let folder = layout::tail_snapshots(store.uid());
    let Some(number) = newest_of(&list(lake, &folder).await?) else { return Ok(()) };
    match load(store, &folder, number).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if newest_of(&list(lake, &folder).await?).is_some_and(|now| now > number) {
                let replaced = format!("read tail snapshot {number}: a newer one has taken its place");
                return Err(Error::new(ErrorKind::Conflict, replaced).with_source(error));
            }
            Err(error.of_a_needed_file())
        }
        loaded => loaded.map_err(Error::of_a_needed_file),
    }
}

async fn load(store: &SignalStore, folder: &Path, number: u64) -> Result<()> {
    let lake = store.history().lake().store();
    let path = folder.clone().join(manifest_name(number));
    let snapshot = read(lake.as_ref(), &path).await?;
    if snapshot.shards.len() != store.shards().len() {
        return Err(Error::invalid(format!("read {path}: of another plan; use the program that wrote it")));
    }
    for (target, of_shard) in store.shards().iter().zip(snapshot.shards) {
        for name in of_shard.runs {
            let path = folder.clone().join(name.as_str());
            let open = async {
                // A file of this machine is mapped where it is; others are read one by one, and spilled beyond the budget.
                Ok(match store.history().lake().file(&path) {
                    Some(file) => TailRun::mapped(run::open(&file)?),
                    None => TailRun::in_memory(run::read(lake.get(&path).await?.bytes().await?)?),
                })
            };
            let run = open.await.map_err(|e: Error| e.while_doing(format!("read {path}")))?;
            run.keep_as(name);
            target.restore(run)?;
        }
        target.advance(of_shard.position);
    }
    store.needs_base(snapshot.covered);
    Ok(())
}

async fn read(lake: &dyn ObjectStore, path: &Path) -> Result<Snapshot> {
    let bytes = lake.get(path).await.context(|| format!("read {path}"))?.bytes().await.context(|| format!("read {path}"))?;
    let snapshot: Snapshot = serde_json::from_slice(&bytes)
        .map_err(|e| Error::corrupt(format!("read {path}: not a tail snapshot; restore it from a copy")).with_source(e))?;
    if snapshot.version > VERSION {
        return Err(Error::invalid(format!("read {path}: format {} is not known here; use a newer program", snapshot.version)));
    }
    Ok(snapshot)
}

/// Names of the files of a folder.
async fn list(lake: &dyn ObjectStore, folder: &Path) -> Result<BTreeSet<String>> {
    let files: Vec<_> = lake.list(Some(folder)).try_collect().await.context(|| format!("list {folder}"))?;
    Ok(files.iter().filter_map(|file| file.location.filename().map(str::to_owned)).collect())
}

fn newest_of(names: &BTreeSet<String>) -> Option<u64> {
    names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).max()
}

fn manifest_name(number: u64) -> String {
    format!("{number:010}.json")
}

#[cfg(test)]
mod tests;
