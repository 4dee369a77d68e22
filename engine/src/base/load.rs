//! Base in a process: every run of a manifest, mapped or in memory, and an entity's rows in it.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path as File, PathBuf};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::manifest::{Generation, Manifest};
use crate::entity::{Entity, shard_of};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::lake::Lake;
use crate::run::{self, NO_FLOOR, Run};

/// Runs that are fetched at a time.
const FETCHES: usize = 4;

/// Where runs are while they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Residence {
    Memory,
    /// Files of this folder, memory-mapped.
    Folder(PathBuf),
}

/// A base that is loaded.
#[derive(Debug)]
pub struct Base {
    manifest: Manifest,
    /// Per shard: its generations, newest last.
    shards: Vec<Vec<Arc<Run>>>,
    by_path: HashMap<String, Arc<Run>>,
}

/// What base has of one entity.
#[derive(Debug, Clone)]
pub struct Found {
    /// Newest generation first; each newest row first.
    pub parts: Vec<(Arc<Run>, Range<usize>)>,
    /// Event time, µs: every resolved row at or above it is in the parts.
    pub floor: i64,
    /// Whether any generation has an entry: history holds, or held, rows of this entity.
    pub known: bool,
}

impl Base {
    /// Loads the runs of `manifest`. What `previous` has already is shared with it.
    ///
    /// # Errors
    /// `Corrupt` when a run is damaged; `Full` when the folder has no room; when the lake does not answer.
    pub async fn load(lake: &Lake, manifest: Manifest, residence: &Residence, previous: Option<&Self>) -> Result<Self> {
        let held = |generation: &Generation| previous.and_then(|p| p.by_path.get(&generation.path)).map(Arc::clone);
        let runs: Vec<Arc<Run>> = futures::stream::iter(manifest.shards.iter().flatten().cloned().collect::<Vec<_>>())
            .map(|generation| {
                let held = held(&generation);
                async move {
                    match held {
                        Some(run) => Ok::<_, Error>(run),
                        None => Ok(Arc::new(open(lake, &generation, residence).await?)),
                    }
                }
            })
            .buffered(FETCHES)
            .try_collect()
            .await?;
        let by_path = manifest.shards.iter().flatten().map(|g| g.path.clone()).zip(runs.iter().map(Arc::clone)).collect();
        let mut runs = runs.into_iter();
        let shards = manifest.shards.iter().map(|generations| runs.by_ref().take(generations.len()).collect()).collect();
        Ok(Self { manifest, shards, by_path })
    }

    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Per shard: its generations, newest last.
    #[must_use]
    pub fn shards(&self) -> &[Vec<Arc<Run>>] {
        &self.shards
    }

    /// What base has of `entity`. Without an entry the floor is [`NO_FLOOR`]: whatever exists is in the tail.
    #[must_use]
    pub fn find(&self, entity: &Entity, hash: i64) -> Found {
        let shards = u32::try_from(self.shards.len()).unwrap_or(1);
        match self.shards.get(shard_of(hash, shards.max(1)) as usize) {
            Some(runs) => find(runs, entity, hash),
            None => find(&[], entity, hash),
        }
    }

    /// Deletes files of `folder` that none of `bases` uses.
    ///
    /// # Errors
    /// When the folder cannot be read or a file not be deleted.
    pub fn sweep(folder: &File, bases: &[&Self]) -> Result<usize> {
        let used: Vec<PathBuf> = bases.iter().flat_map(|b| b.by_path.keys()).map(|path| local(folder, path)).collect();
        let mut deleted = 0;
        for file in std::fs::read_dir(folder).map_err(Error::from).context(|| format!("list {}", folder.display()))? {
            let path = file.map_err(Error::from)?.path();
            if path.extension().is_some_and(|e| e == "arrow") && !used.contains(&path) {
                std::fs::remove_file(&path).map_err(Error::from).context(|| format!("delete {}", path.display()))?;
                deleted += 1;
            }
        }
        Ok(deleted)
    }
}

/// What `runs`, newest last, have of an entity.
pub fn find(runs: &[Arc<Run>], entity: &Entity, hash: i64) -> Found {
    let mut found = Found { parts: Vec::new(), floor: NO_FLOOR, known: false };
    for run in runs.iter().rev() {
        let Some(entry) = run.find(entity, hash) else { continue };
        if !found.known {
            found.floor = entry.floor;
            found.known = true;
        }
        if !entry.rows.is_empty() {
            found.parts.push((Arc::clone(run), entry.rows));
        }
    }
    found
}

/// Reads a run into memory.
///
/// # Errors
/// As [`Base::load`].
pub async fn read(lake: &Lake, generation: &Generation) -> Result<Run> {
    run::read(fetch(lake, generation).await?).map_err(Error::of_a_needed_file).context(|| format!("read {}", generation.path))
}

async fn open(lake: &Lake, generation: &Generation, residence: &Residence) -> Result<Run> {
    let Residence::Folder(folder) = residence else { return read(lake, generation).await };
    let file = local(folder, &generation.path);
    let doing = || format!("keep {}", file.display());
    if std::fs::metadata(&file).is_ok_and(|m| m.len() == generation.bytes) {
        match run::open(&file) {
            // Only a copy is damaged: the lake has it.
            Err(error) if error.kind() == ErrorKind::Corrupt => tracing::warn!(%error, "a copy of a run is fetched again"),
            opened => return opened,
        }
    }
    let bytes = fetch(lake, generation).await?;
    // Under another name first: a name that is mapped always stands for the whole file.
    let partial = file.with_extension("partial");
    tokio::fs::create_dir_all(folder).await.map_err(Error::from).context(doing)?;
    tokio::fs::write(&partial, &bytes).await.map_err(Error::from).context(doing)?;
    tokio::fs::rename(&partial, &file).await.map_err(Error::from).context(doing)?;
    run::open(&file).map_err(Error::of_a_needed_file).context(|| format!("read {}", generation.path))
}

async fn fetch(lake: &Lake, generation: &Generation) -> Result<bytes::Bytes> {
    let doing = || format!("read {}", generation.path);
    let path = Path::parse(&generation.path).map_err(|e| Error::corrupt(format!("{}: its path is none", doing())).with_source(e))?;
    let get = async { Ok::<_, Error>(lake.store().get(&path).await?.bytes().await?) };
    let bytes = get.await.map_err(Error::of_a_needed_file).context(doing)?;
    if bytes.len() as u64 != generation.bytes {
        return Err(Error::corrupt(format!("{}: it is not as long as its manifest says; restore it from a copy", doing())));
    }
    Ok(bytes)
}

/// The file of a run in a folder: names of runs are unique within a signal revision, so the whole path is kept.
fn local(folder: &File, path: &str) -> PathBuf {
    folder.join(path.replace('/', "_"))
}
