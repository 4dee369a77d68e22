//! Snapshots of a tail in the lake: what a new process loads instead of replaying the changelog from its start.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};

use super::SignalStore;
use crate::backfill::Cut;
use crate::error::{Context, Error, Result};
use crate::log::Position;
use crate::tail::TailRun;
use crate::{faults, layout, run};

/// The format of the snapshot's manifest.
const VERSION: u32 = 1;

/// `<n>.json`: which runs, and how far of the changelog they hold. Put if absent, after its runs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot {
    version: u32,
    number: u64,
    shards: Vec<OfShard>,
    /// What base had of the source: rows that it covers are in no run. Absent = there was none, or the program was older.
    #[serde(default)]
    covered: Option<Cut>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfShard {
    /// The changelog's position behind the rows.
    position: i64,
    /// Names of files beside the manifest.
    runs: Vec<String>,
}

/// Keeps the tail as it is; returns the changelog positions before which nothing is needed any more. Runs that the snapshot before has
/// are named again; what only older snapshots have is deleted once the new one is there.
///
/// # Errors
/// `Full` when the lake has no room, `Unavailable` when it does not answer: the snapshot before stays.
pub async fn take(store: &SignalStore) -> Result<Vec<Position>> {
    let lake = store.history().lake().store();
    let folder = layout::tail_snapshots(store.uid());
    let before = list(lake.as_ref(), &folder).await?;
    // Beyond every file that is there, also the runs of a snapshot that was killed: its names must not be taken again, because
    // whatever was there before is deleted below.
    let number = before.iter().filter_map(|name| name.get(..10)?.parse::<u64>().ok()).max().unwrap_or(0) + 1;
    let mut snapshot = Snapshot { version: VERSION, number, shards: Vec::new(), covered: None };
    for (shard, target) in store.shards().iter().enumerate() {
        let frozen = target.frozen()?;
        // While a base is shown shard by shard, the one that reaches furthest counts.
        if let Some(cut) = frozen.covered
            && snapshot.covered.as_ref().is_none_or(|known| cut.reaches(known))
        {
            snapshot.covered = Some(cut);
        }
        let mut runs = Vec::with_capacity(frozen.runs.len());
        for (index, run) in frozen.runs.iter().enumerate() {
            // Runs never change: one that a snapshot has is not written again.
            if let Some(name) = run.kept().filter(|name| before.contains(*name)) {
                runs.push(name.to_owned());
                continue;
            }
            let name = format!("{number:010}-{shard:04}-{index:04}.arrow");
            let bytes = run::encode(run.run())?;
            lake.put(&folder.clone().join(name.as_str()), PutPayload::from(bytes))
                .await
                .context(|| format!("write tail snapshot {name}"))?;
            run.keep_as(name.clone());
            runs.push(name);
        }
        snapshot.shards.push(OfShard { position: frozen.position, runs });
    }
    faults::point(faults::Point::TailSnapshot)?;
    let json = serde_json::to_vec(&snapshot).map_err(|e| Error::internal("write tail snapshot").with_source(e))?;
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    lake.put_opts(&folder.clone().join(manifest_name(number)), PutPayload::from(json), options)
        .await
        .context(|| format!("write tail snapshot {number}"))?;
    let still: BTreeSet<&String> = snapshot.shards.iter().flat_map(|shard| &shard.runs).collect();
    for name in before.iter().filter(|name| !still.contains(name)) {
        if let Err(error) = lake.delete(&folder.clone().join(name.as_str())).await {
            tracing::warn!(uid = store.uid(), %error, "a file of an older tail snapshot could not be deleted");
        }
    }
    Ok((0..).zip(&snapshot.shards).map(|(partition, shard)| Position { partition, offset: shard.position }).collect())
}

/// Loads the newest snapshot into an empty store; without one, the store starts where it is.
///
/// # Errors
/// `Corrupt` when the snapshot or a run of it is damaged, naming the file; `Full` when the tail has to spill and there is no room.
pub async fn restore(store: &SignalStore) -> Result<()> {
    let lake = store.history().lake().store();
    let folder = layout::tail_snapshots(store.uid());
    let Some(number) = list(lake.as_ref(), &folder).await?.iter().filter_map(|name| number_of(name)).max() else { return Ok(()) };
    let path = folder.clone().join(manifest_name(number));
    let bytes = lake.get(&path).await.context(|| format!("read {path}"))?.bytes().await.context(|| format!("read {path}"))?;
    let snapshot: Snapshot = serde_json::from_slice(&bytes)
        .map_err(|e| Error::corrupt(format!("read {path}: not a tail snapshot; restore it from a copy")).with_source(e))?;
    if snapshot.version > VERSION || snapshot.shards.len() != store.shards().len() {
        return Err(Error::invalid(format!("read {path}: of another format or another plan; use the program that wrote it")));
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
            let run = open.await.map_err(|e: Error| e.of_a_needed_file().while_doing(format!("read {path}")))?;
            run.keep_as(name);
            target.restore(run)?;
        }
        target.advance(of_shard.position);
    }
    store.needs_base(snapshot.covered);
    Ok(())
}

/// Names of the files of a folder.
async fn list(lake: &dyn ObjectStore, folder: &Path) -> Result<BTreeSet<String>> {
    let files: Vec<_> = lake.list(Some(folder)).try_collect().await.context(|| format!("list {folder}"))?;
    Ok(files.iter().filter_map(|file| file.location.filename().map(str::to_owned)).collect())
}

fn manifest_name(number: u64) -> String {
    format!("{number:010}.json")
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_suffix(".json")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::fixture::{Event, event, history, rows};
    use crate::tail::Settings;

    fn store(folder: &std::path::Path, memory: usize) -> SignalStore {
        SignalStore::new(history(folder), &Settings { memory, spill_to: Some(folder.join("spill")) })
    }

    fn append(store: &SignalStore, shard: usize, offset: i64) {
        let event = Event { at: (0, offset), ..event("u", offset, offset) };
        store.shards()[shard].append(rows(&[event]), offset + 1).unwrap();
    }

    fn files(folder: &std::path::Path) -> BTreeSet<String> {
        let files = std::fs::read_dir(folder.join(layout::tail_snapshots("s1").as_ref())).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn state(store: &SignalStore) -> Vec<(usize, i64)> {
        store.shards().iter().map(|shard| (shard.read_set().tail_rows(), shard.position())).collect()
    }

    #[tokio::test]
    async fn a_snapshot_names_runs_that_are_kept_already_and_only_then_older_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let first = store(folder.path(), usize::MAX);
        append(&first, 0, 1);
        append(&first, 2, 2);
        take(&first).await.unwrap();
        let runs = ["0000000001-0000-0000.arrow", "0000000001-0002-0000.arrow"].map(str::to_owned);
        assert_eq!(files(folder.path()), BTreeSet::from([runs[0].clone(), runs[1].clone(), "0000000001.json".into()]));
        append(&first, 2, 3);
        take(&first).await.unwrap();
        let more = ["0000000002-0002-0001.arrow".to_owned(), "0000000002.json".to_owned()];
        assert_eq!(files(folder.path()), runs.iter().cloned().chain(more).collect(), "only the new run is written");

        // A new process names what it has loaded, and writes nothing.
        let second = store(folder.path(), usize::MAX);
        restore(&second).await.unwrap();
        assert_eq!(state(&second), state(&first));
        take(&second).await.unwrap();
        let kept = [runs[0].clone(), runs[1].clone(), "0000000002-0002-0001.arrow".into(), "0000000003.json".into()];
        assert_eq!(files(folder.path()), BTreeSet::from(kept));
        // What was merged is not named any more.
        for offset in 4..20 {
            append(&second, 2, offset);
            second.tidy().unwrap();
        }
        take(&second).await.unwrap();
        assert!(files(folder.path()).contains(&runs[0]) && !files(folder.path()).contains(&runs[1]), "{:?}", files(folder.path()));
        let third = store(folder.path(), usize::MAX);
        restore(&third).await.unwrap();
        assert_eq!(state(&third), state(&second));
    }

    #[tokio::test]
    async fn a_tail_is_mapped_where_the_snapshot_has_it_and_not_loaded_into_memory() {
        let folder = tempfile::tempdir().unwrap();
        let first = store(folder.path(), 0);
        for offset in 0..8 {
            append(&first, 1, offset);
        }
        take(&first).await.unwrap();
        let second = store(folder.path(), 0);
        let empty = second.tail_size().1;
        restore(&second).await.unwrap();
        assert_eq!(second.tail_size(), (8, empty));
        assert!(!folder.path().join("spill").exists(), "nothing has to be spilled again");
        // Base takes over: the run goes, and its file, which is the snapshot's, stays.
        drop(second);
        assert_eq!(files(folder.path()).len(), 2);
    }
}
