//! The runs of shards: made whole from history, or a generation from what was added to it. Shards that lie side by side are read
//! together: files are sorted by hash.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use tokio::sync::OnceCell;
use xxhash_rust::xxh3::xxh3_64;

use super::floor::{Horizon, Kept, Needs, winners};
use super::load::find;
use super::manifest::{Generation, Kind};
use crate::entity::{Entity, shard_range};
use crate::error::{Context, Error, Result};
use crate::history::{History, OpenFile, Scan, Snapshot, aside};
use crate::rows::Rows;
use crate::run::{self, Floors, NO_FLOOR, Run, entities};
use crate::{faults, layout};

/// Rows of history that are held at once, about.
const CHUNK_ROWS: u64 = 512 * 1024;
/// Bytes of rows of one run, about; files stay well below the 256 MiB that one may have.
const RUN_BYTES: usize = 128 << 20;

/// What runs are made from.
#[derive(Debug)]
pub struct Maker<'a> {
    pub history: &'a History,
    pub snapshot: &'a Snapshot,
    pub needs: Arc<Needs>,
    pub horizon: Horizon,
    /// Of the manifest that the runs are for.
    pub number: u64,
    pub files: Files,
}

/// The files of history, opened once for all shards.
#[derive(Debug, Default)]
pub struct Files {
    all: OnceCell<Vec<OpenFile>>,
    added: OnceCell<Vec<OpenFile>>,
}

impl Files {
    async fn all(&self, maker: &Maker<'_>) -> Result<&[OpenFile]> {
        Ok(self.all.get_or_try_init(|| maker.history.open(maker.snapshot.files.clone())).await?)
    }

    /// Of backfills after `since`: always the same one for a maker.
    async fn added(&self, maker: &Maker<'_>, since: u64) -> Result<&[OpenFile]> {
        Ok(self.added.get_or_try_init(|| maker.history.open(maker.snapshot.since(since).cloned().collect())).await?)
    }
}

impl Maker<'_> {
    /// Shards from all of history.
    ///
    /// # Errors
    /// `Corrupt` when a file is damaged; when the lake does not answer.
    pub async fn whole(&self, shards: Range<u32>) -> Result<Vec<Vec<Generation>>> {
        let files = self.files.all(self).await?;
        let share = self.snapshot.rows() / u64::from(self.history.plan().shards);
        if share > CHUNK_ROWS {
            let mut made = Vec::with_capacity(shards.len());
            for shard in shards {
                made.push(self.large(shard, files, share.div_ceil(CHUNK_ROWS)).await?);
            }
            return Ok(made);
        }
        let rows = self.read(files, self.hashes(&shards), 0).await?;
        let mut made = Vec::with_capacity(shards.len());
        for shard in shards {
            let (batch, floors) = self.kept(self.of_shard(&rows, shard)?).await?;
            made.push(self.put(shard, vec![batch], floors, Kind::Whole).await?);
        }
        Ok(made)
    }

    /// A shard that is read in `chunks` parts.
    async fn large(&self, shard: u32, files: &[OpenFile], chunks: u64) -> Result<Vec<Generation>> {
        let mut generations = Vec::new();
        let mut batches = Vec::new();
        let mut floors = Floors::default();
        let mut bytes = 0;
        for hashes in split(self.hashes(&(shard..shard + 1)), chunks) {
            let (batch, here) = self.kept(self.read(files, hashes, 0).await?).await?;
            floors.extend(here);
            bytes += batch.get_array_memory_size();
            batches.push(batch);
            if bytes >= RUN_BYTES {
                let (batches, floors) = (std::mem::take(&mut batches), std::mem::take(&mut floors));
                generations.extend(self.put(shard, batches, floors, Kind::Whole).await?);
                bytes = 0;
            }
        }
        generations.extend(self.put(shard, batches, floors, Kind::Whole).await?);
        Ok(generations)
    }

    /// What base keeps of whole histories, and their floors.
    async fn kept(&self, rows: Rows) -> Result<(RecordBatch, Floors)> {
        let (needs, horizon) = (Arc::clone(&self.needs), self.horizon);
        aside(move || {
            let Kept { rows: kept, floors } = needs.keep(&rows, horizon)?;
            let all = kept.len() == rows.len();
            let batch = if all { rows.batch().clone() } else { take_record_batch(rows.batch(), &UInt32Array::from(kept))? };
            Ok((batch, floors))
        })
        .await
    }

    /// The rows of each of these shards that backfills after `since` added.
    ///
    /// # Errors
    /// As [`Maker::whole`].
    pub async fn added_rows(&self, shards: Range<u32>, since: u64) -> Result<Vec<Rows>> {
        let files = self.files.added(self, since).await?;
        let rows = self.read(files, self.hashes(&shards), since).await?;
        shards.map(|shard| self.of_shard(&rows, shard)).collect()
    }

    /// How many shards are read at a time, so that about as many rows as one chunk has are held.
    #[must_use]
    pub fn shards_at_once(&self, rows: u64) -> u32 {
        let shards = self.history.plan().shards;
        let share = (rows / u64::from(shards)).max(1);
        u32::try_from(CHUNK_ROWS / share).unwrap_or(shards).clamp(1, shards)
    }

    fn hashes(&self, shards: &Range<u32>) -> RangeInclusive<i64> {
        let of = |shard| shard_range(shard, self.history.plan().shards);
        of(shards.start).0..=of(shards.end.saturating_sub(1)).1
    }

    /// The rows of one shard, of sorted rows of several.
    fn of_shard(&self, rows: &Rows, shard: u32) -> Result<Rows> {
        let (first, last) = shard_range(shard, self.history.plan().shards);
        let from = rows.entity_hash().partition_point(|hash| *hash < first);
        let to = rows.entity_hash().partition_point(|hash| *hash <= last);
        Rows::new(rows.batch().slice(from, to - from))
    }

    /// A generation of `added` on top of `below`, the shard's runs so far, newest last.
    ///
    /// # Errors
    /// As [`Maker::whole`].
    pub async fn generation(&self, shard: u32, added: &Rows, below: &[Arc<Run>]) -> Result<Vec<Generation>> {
        let mut batches = Vec::new();
        let mut floors = Floors::default();
        for range in entities(added) {
            let entity = Entity::at(added.entity(), range.start);
            let own = Rows::new(added.batch().slice(range.start, range.len()))?;
            let (rows, floor) = self.entity(&entity, own, below).await?;
            floors.set(entity, floor);
            batches.push(rows);
        }
        self.put(shard, batches, floors, Kind::Added).await
    }

    /// The rows of one entity that a generation holds, and its floor from now on.
    async fn entity(&self, entity: &Entity, added: Rows, below: &[Arc<Run>]) -> Result<(RecordBatch, i64)> {
        let found = find(below, entity, entity.hash());
        if !found.known {
            // Without an entry there is no older history: what was added is all there is.
            return self.deepest(&added);
        }
        let floor = found.floor;
        let keep: BooleanArray = added.event_time().iter().map(|time| Some(*time >= floor)).collect();
        let fresh = filter_record_batch(added.batch(), &keep)?;
        if floor == NO_FLOOR {
            return Ok((fresh, floor));
        }
        let mut parts = vec![fresh.clone()];
        for (run, range) in &found.parts {
            parts.push(run.batch(range.clone())?);
        }
        let together = Rows::new(run::sort(concat_batches(&fresh.schema(), &parts)?)?)?;
        let resolved = winners(&together, 0..together.len());
        if self.needs.judge(&together)?.suffices(&resolved, floor, self.horizon) {
            return Ok((fresh, floor));
        }
        // Deletions or corrections took outputs away: the floor sinks, and history gives what lies between.
        let all = self.history.entity_rows(self.snapshot.files.clone(), entity, None).await?;
        self.deepest(&Rows::new(all)?)
    }

    fn deepest(&self, all: &Rows) -> Result<(RecordBatch, i64)> {
        let resolved = winners(all, 0..all.len());
        let floor = self.needs.judge(all)?.floor(&resolved, self.horizon);
        let kept = resolved.into_iter().filter(|row| all.event_time()[*row] >= floor).filter_map(|row| u32::try_from(row).ok());
        Ok((take_record_batch(all.batch(), &UInt32Array::from_iter_values(kept))?, floor))
    }

    /// Sorted rows of `files` with hashes in range, of backfills after `since`.
    async fn read(&self, files: &[OpenFile], hashes: RangeInclusive<i64>, since: u64) -> Result<Rows> {
        let mut batches: Vec<RecordBatch> = self.history.scan_open(files, Scan { hashes, columns: None }).try_collect().await?;
        if since > 0 {
            for batch in &mut batches {
                let rows = Rows::new(batch.clone())?;
                let newer: BooleanArray = rows.backfill().iter().map(|b| Some(u64::try_from(*b).is_ok_and(|b| b > since))).collect();
                *batch = filter_record_batch(batch, &newer)?;
            }
        }
        let schema = Arc::clone(self.history.schema());
        aside(move || Rows::new(run::sort(concat_batches(&schema, &batches)?)?)).await
    }

    /// Writes a run, unless it would say nothing of any entity. Its name holds a hash of its bytes: racing writers of other bytes
    /// write other files.
    async fn put(&self, shard: u32, batches: Vec<RecordBatch>, floors: Floors, kind: Kind) -> Result<Vec<Generation>> {
        let schema = Arc::clone(self.history.schema());
        let made = aside(move || {
            let run = Run::with_floors(concat_batches(&schema, &batches)?, &floors)?;
            if run.directory().is_empty() {
                return Ok(None);
            }
            Ok(Some((run::encode(&run)?, run.rows().len() as u64)))
        });
        let Some((bytes, rows)) = made.await? else { return Ok(Vec::new()) };
        let attempt = format!("{:016x}", xxh3_64(&bytes));
        let path = layout::base_run(self.history.uid(), self.number, shard, &attempt);
        let generation = Generation { path: path.to_string(), kind, rows, bytes: bytes.len() as u64 };
        faults::point(faults::Point::BaseRun)?;
        self.history.lake().store().put(&path, bytes.into()).await.map_err(Error::from).context(|| format!("write {path}"))?;
        Ok(vec![generation])
    }
}

/// `hashes` in `count` parts of about equal width.
fn split(hashes: RangeInclusive<i64>, count: u64) -> Vec<RangeInclusive<i64>> {
    let width = (i128::from(*hashes.end()) - i128::from(*hashes.start()) + 1) / i128::from(count.max(1)) + 1;
    let mut parts = Vec::new();
    let mut start = i128::from(*hashes.start());
    while start <= i128::from(*hashes.end()) {
        let end = (start + width - 1).min(i128::from(*hashes.end()));
        if let (Ok(from), Ok(to)) = (i64::try_from(start), i64::try_from(end)) {
            parts.push(from..=to);
        }
        start = end + 1;
    }
    parts
}
