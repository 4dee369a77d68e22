//! The sequence of every entity, straight from raw Parquet: one pass, nothing stored in between.
//!
//! ```text
//! raw files ─▶ pipeline ─▶ partitions by hash(entity) ─▶ per partition: merge ─▶ assemble ─▶ Parquet
//!                            ╰─ beyond the budget: scratch files (Arrow IPC)
//! ```
//!
//! What is written is what a reader would be told as of one moment after all of it was folded: the same plan, the same pipeline, the
//! same law and the same `assemble`. Nothing is sorted as a whole: an entity lies in one partition, and a partition fits in memory.

mod bounds;
mod carried;
mod choose;
mod fast;
mod group;
mod manifest;
mod partitions;
mod parts;
mod scan;
mod sequences;
mod spill;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::JoinSet;
use tress_configs::SignalPlan;

pub use self::manifest::{Manifest, PartFile, SignalInput};
use self::parts::Part;
use self::scan::{Scanned, Work};
use crate::backfill::RawLog;
use crate::dataset::Target;
use crate::entity::shard_of;
use crate::error::{Context, Error, Result};
use crate::lake::Lake;
use crate::lookup::{Lookup, TableLookup};
use crate::read::Feature;

/// Into how many parts entities are spread by their hash: what is held and sorted at once.
const PARTITIONS: u32 = 256;
/// The units of writing: partitions whose entities go into the same files.
const SHARDS: u32 = 16;

/// A feature, what it is read from, and the moment it is read at.
#[derive(Debug, Clone)]
pub struct Batch {
    pub feature: Arc<Feature>,
    /// Digest of the feature's plan.
    pub digest: String,
    /// One per signal of the feature, in its order.
    pub inputs: Vec<Input>,
    /// µs: what happened later is not there yet.
    pub as_of: i64,
    pub settings: Settings,
}

/// The raw events of one signal, and what they are enriched from.
#[derive(Debug, Clone)]
pub struct Input {
    pub raw: Arc<dyn RawLog>,
    /// One per enrichment of the signal, in its order.
    pub lookups: Vec<Arc<dyn Lookup>>,
}

/// How it is done; changes no byte of what is written.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bytes of rows that are held in memory; what is more goes to scratch files.
    pub memory: usize,
    /// A folder of this machine that nobody else uses; made if it is not there, emptied of what was put there.
    pub scratch: PathBuf,
    /// Tasks at a time.
    pub parallelism: usize,
    pub way: Way,
}

/// Which of two ways to the same bytes is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Way {
    /// Rows are chosen before they are enriched, where the plans allow it; else as [`Way::General`].
    #[default]
    Fastest,
    /// Every row is made, then every sequence read, as after a fold.
    General,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Slices of the raw files.
    Scanned { done: usize, of: usize },
    /// Shards of the entities.
    Written { done: usize, of: usize },
}

impl Input {
    /// With the newest state of each enrichment's table. `lake`: what the name of a connection stands for.
    ///
    /// # Errors
    /// As [`TableLookup::load`], naming the enrichment; what `lake` says of a connection.
    pub async fn load(plan: &SignalPlan, raw: Arc<dyn RawLog>, lake: impl Fn(&str) -> Result<Lake>) -> Result<Self> {
        let mut lookups: Vec<Arc<dyn Lookup>> = Vec::with_capacity(plan.enrichments.len());
        for enrichment in &plan.enrichments {
            let doing = || format!("signal {}, enrichment {}", plan.name, enrichment.name);
            let store = Arc::clone(lake(&enrichment.lookup.connection).context(doing)?.store());
            lookups.push(Arc::new(TableLookup::load(store, enrichment, None).await.context(doing)?));
        }
        Ok(Self { raw, lookups })
    }
}

impl Batch {
    /// Reads all raw events and writes the sequences: `part-….parquet` and, last of all, `manifest.json`. A folder without a manifest
    /// holds no result.
    ///
    /// # Errors
    /// `Conflict` when the target holds a result already; `Invalid` when the raw files do not fit the definition (the message names
    /// column and file), or a raw event cannot be used and the definition says `onInvalid: Fail`; what the stores say otherwise.
    pub async fn write(&self, target: &Target, progress: &(dyn Fn(Progress) + Sync)) -> Result<Manifest> {
        if self.inputs.len() != self.feature.signals().len() {
            return Err(Error::internal("batch: one input per signal is needed"));
        }
        manifest::must_be_free(target).await?;
        let scanned = match scan::all(self, self.settings.way, progress).await? {
            Some(scanned) => scanned,
            None => {
                scan::all(self, Way::General, progress).await?.ok_or_else(|| Error::internal("batch: the general way is open to all"))?
            }
        };
        let parts = self.write_shards(&scanned, target, progress).await?;
        let manifest = Manifest::new(self, &scanned, parts);
        manifest.put(target).await?;
        Ok(manifest)
    }

    async fn write_shards(&self, scanned: &[Scanned], target: &Target, progress: &(dyn Fn(Progress) + Sync)) -> Result<Vec<PartFile>> {
        let works: Arc<Vec<Arc<Work>>> = Arc::new(scanned.iter().map(|s| Arc::clone(&s.work)).collect());
        let mut running = JoinSet::new();
        let (mut next, mut done, mut files) = (0, 0, Vec::new());
        while done < SHARDS as usize {
            while next < SHARDS && running.len() < self.settings.parallelism.max(1) {
                let (batch, works, target, shard) = (self.clone(), Arc::clone(&works), target.clone(), next);
                running.spawn(async move {
                    let parts = crate::history::aside(move || batch.shard(&works, shard)).await?;
                    let mut files = Vec::with_capacity(parts.len());
                    for part in parts {
                        files.push(part.put(&target).await?);
                    }
                    Ok::<_, Error>(files)
                });
                next += 1;
            }
            let Some(joined) = running.join_next().await else { break };
            files.extend(joined.map_err(|e| Error::internal("batch: a task ended without an answer").with_source(e))??);
            done += 1;
            progress(Progress::Written { done, of: SHARDS as usize });
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    /// The files of a shard's entities.
    fn shard(&self, works: &[Arc<Work>], shard: u32) -> Result<Vec<Part>> {
        let doing = || format!("assemble the sequences of shard {shard}");
        let mut writer = parts::Writer::new(&self.feature, (self.as_of, shard))?;
        for partition in (0..PARTITIONS).filter(|p| p * SHARDS / PARTITIONS == shard) {
            let rows = works.iter().map(|w| w.partitions.take(partition)).collect::<Result<Vec<_>>>().context(doing)?;
            let mut emit = |chunk| writer.write(&chunk);
            match (works, rows.as_slice()) {
                ([work], [rows]) if let Some(fast) = &work.fast => fast.of_partition(&work.pipeline, rows, &mut emit),
                _ => sequences::of_partition(&self.feature, self.as_of, rows, &mut emit),
            }
            .context(doing)?;
        }
        writer.finish()
    }
}

/// The partition of an entity: by the first bits of its hash, so that partitions follow one another in the order of hashes.
fn partition_of(hash: i64) -> u32 {
    shard_of(hash, PARTITIONS)
}
