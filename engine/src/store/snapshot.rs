//! Snapshots of a tail in the lake: what a new process loads instead of replaying the changelog from its start.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};

use super::SignalStore;
use crate::error::{Context, Error, Result};
use crate::log::Position;
use crate::run;
use crate::{faults, layout};

/// The format of the snapshot's manifest.
const VERSION: u32 = 1;

/// `<n>.json`: which runs, and how far of the changelog they hold. Put if absent, after its runs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot {
    version: u32,
    number: u64,
    shards: Vec<OfShard>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfShard {
    /// The changelog's position behind the rows.
    position: i64,
    /// Names of files beside the manifest.
    runs: Vec<String>,
}

/// Keeps the tail as it is; returns the changelog positions before which nothing is needed any more. Older snapshots are deleted.
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
    let mut snapshot = Snapshot { version: VERSION, number, shards: Vec::new() };
    for (shard, target) in store.shards().iter().enumerate() {
        let frozen = target.frozen()?;
        let mut runs = Vec::with_capacity(frozen.runs.len());
        for (index, run) in frozen.runs.iter().enumerate() {
            let name = format!("{number:010}-{shard:04}-{index:04}.arrow");
            let bytes = run::encode(run.run())?;
            lake.put(&folder.clone().join(name.as_str()), PutPayload::from(bytes))
                .await
                .context(|| format!("write tail snapshot {name}"))?;
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
    store.history().lake().persist(vec![folder.clone().join(manifest_name(number))]).await?;
    for name in before {
        if let Err(error) = lake.delete(&folder.clone().join(name.as_str())).await {
            run.keep_as(name.clone());
            tracing::warn!(uid = store.uid(), %error, "a file of an older tail snapshot could not be deleted");
        }
    }
    Ok((0..).zip(&snapshot.shards).map(|(partition, shard)| Position { partition, offset: shard.position }).collect())
}

/// Loads the newest snapshot into an empty store; without one, the store starts where it is.
///
/// # Errors
/// `Corrupt` when the snapshot or a run of it is damaged, naming the file.
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
        let mut runs = Vec::with_capacity(of_shard.runs.len());
        for name in of_shard.runs {
            let path = folder.clone().join(name.as_str());
            let read = async { run::read(lake.get(&path).await?.bytes().await?) };
            runs.push(read.await.map_err(|e| e.of_a_needed_file().while_doing(format!("read {path}")))?);
        }
        target.restore(runs, of_shard.position);
    }
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
