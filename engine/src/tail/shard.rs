//! One shard of a signal in memory: its writer, and the read set that readers take.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use arrow::array::RecordBatch;
use parking_lot::Mutex;

use super::hot::{Appended, Hot, MAX_ROWS};
use super::read_set::{ReadSet, Sealed};
use super::spill::TailRun;
use super::tier::to_merge;
use crate::backfill::Cut;
use crate::error::Result;
use crate::faults::{self, Point};
use crate::rows::{Columns, Rows};
use crate::run::{self, Run};

/// What a shard may use.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bytes of runs in memory; beyond it they go to `spill_to`.
    pub memory: usize,
    /// A folder on local disk, made when it is needed; `None` = everything stays in memory.
    pub spill_to: Option<PathBuf>,
}

impl Settings {
    /// The share of shard `shard` of `shards`, with a name of its own for what it spills.
    #[must_use]
    pub fn for_shard(&self, shard: usize, shards: usize) -> Self {
        Self { memory: self.memory / shards.max(1), spill_to: self.spill_to.as_ref().map(|folder| folder.join(format!("{shard:04}"))) }
    }
}

/// One shard.
#[derive(Debug)]
pub struct Shard {
    set: ArcSwap<ReadSet>,
    /// Taken by whoever changes `set`; holds the next position of the changelog.
    writer: Mutex<Writer>,
    settings: Settings,
}

#[derive(Debug, Default)]
struct Writer {
    position: i64,
}

/// Everything of a shard as runs, and how far of the changelog they hold: what a snapshot keeps.
#[derive(Debug)]
pub struct Frozen {
    pub runs: Vec<Arc<TailRun>>,
    pub position: i64,
    /// What base has of the source, and the runs have no more.
    pub covered: Option<Cut>,
}

impl Shard {
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { set: ArcSwap::default(), writer: Mutex::default(), settings }
    }

    /// What a read of this shard looks at.
    #[must_use]
    pub fn read_set(&self) -> Arc<ReadSet> {
        self.set.load_full()
    }

    /// The position of the changelog from which the next record is to be read.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.writer.lock().position
    }

    /// Adds rows; `next` is the changelog's position behind them.
    ///
    /// # Errors
    /// `Corrupt` when the batch has not the system columns.
    pub fn append(&self, batch: RecordBatch, next: i64) -> Result<()> {
        let mut writer = self.writer.lock();
        let mut from = 0;
        while from < batch.num_rows() {
            let length = (batch.num_rows() - from).min(MAX_ROWS);
            let rows = Rows::new(batch.slice(from, length))?;
            if self.set.load().hot.append(&rows) == Appended::Full {
                self.freeze(&mut writer)?;
                continue;
            }
            from += length;
        }
        writer.position = writer.position.max(next);
        Ok(())
    }

    /// Notes that the changelog is read up to `next`, where there were no rows.
    pub fn advance(&self, next: i64) {
        let mut writer = self.writer.lock();
        writer.position = writer.position.max(next);
    }

    /// Takes a run that a snapshot kept, and spills what is over the budget. Once all are in, [`Shard::advance`].
    ///
    /// # Errors
    /// `Full` when it has to spill and the disk has no room.
    pub fn restore(&self, run: TailRun) -> Result<()> {
        {
            let _writer = self.writer.lock();
            let mut set = ReadSet::clone(&self.set.load());
            set.runs.push(Arc::new(run));
            self.set.store(Arc::new(set));
        }
        self.spill()
    }

    /// Turns the hot rows into a run and says what there is.
    ///
    /// # Errors
    /// As [`Run::from_rows`].
    pub fn frozen(&self) -> Result<Frozen> {
        let mut writer = self.writer.lock();
        self.freeze(&mut writer)?;
        let set = self.set.load();
        Ok(Frozen { runs: set.runs.clone(), position: writer.position, covered: set.sealed.cut.clone() })
    }

    /// Shows readers a new base, and in the same swap drops what it covers.
    ///
    /// # Errors
    /// As [`Run::from_rows`].
    pub fn install(&self, sealed: Sealed) -> Result<()> {
        let mut writer = self.writer.lock();
        if sealed.manifest < self.set.load().sealed.manifest {
            return Ok(());
        }
        self.freeze(&mut writer)?;
        let mut set = ReadSet::clone(&self.set.load());
        let runs = std::mem::take(&mut set.runs);
        if !runs.is_empty() {
            let merged = merge(&runs, |rows, row| !sealed.covers(rows, row))?;
            if !merged.rows().is_empty() {
                set.runs.push(Arc::new(TailRun::in_memory(merged)));
            }
        }
        set.sealed = sealed;
        faults::point(Point::ReadSetSwap)?;
        self.set.store(Arc::new(set));
        drop(writer);
        self.spill()
    }

    /// Freezes the hot rows if there are any, merges runs of like size, and spills what is over the budget. Called every few seconds.
    ///
    /// # Errors
    /// `Full` when the disk has no room: then everything stays in memory, and the next call tries again.
    pub fn maintain(&self) -> Result<()> {
        let runs = self.frozen()?.runs;
        let like = like_in_size(&runs);
        if like.len() > 1 {
            // Readers and the writer go on meanwhile: runs are immutable.
            let sealed = self.read_set().sealed.clone();
            let merged = Arc::new(TailRun::in_memory(merge(&like, |rows, row| !sealed.covers(rows, row))?));
            let _writer = self.writer.lock();
            let mut set = ReadSet::clone(&self.set.load());
            let before = set.runs.len();
            set.runs.retain(|run| !like.iter().any(|l| Arc::ptr_eq(l, run)));
            // A base that was installed meanwhile has replaced them: then the merge is void.
            if before - set.runs.len() == like.len() {
                set.runs.push(merged);
                self.set.store(Arc::new(set));
            }
        }
        self.spill()
    }

    fn freeze(&self, _writer: &mut Writer) -> Result<()> {
        let set = self.set.load();
        if set.hot.is_empty() {
            return Ok(());
        }
        let batches: Vec<RecordBatch> = set.hot.batches().map(|rows| rows.batch().clone()).collect();
        let Some(first) = batches.first() else { return Ok(()) };
        faults::point(Point::TailFreeze)?;
        let mut run = Run::dense(run::sort_all(&first.schema(), &batches)?)?;
        // What is read again after a restart may be in base already.
        if (0..run.rows().len()).any(|row| set.sealed.covers(run.rows(), row)) {
            run = run::merge(&[&run], |rows, row| !set.sealed.covers(rows, row))?;
        }
        let mut next = ReadSet::clone(&set);
        if !run.rows().is_empty() {
            next.runs.push(Arc::new(TailRun::in_memory(run)));
        }
        next.hot = Arc::new(Hot::default());
        self.set.store(Arc::new(next));
        Ok(())
    }

    fn spill(&self) -> Result<()> {
        let Some(folder) = &self.settings.spill_to else { return Ok(()) };
        loop {
            let set = self.read_set();
            if set.tail_bytes() <= self.settings.memory {
                return Ok(());
            }
            let largest = set.runs.iter().filter(|r| !r.on_disk()).max_by_key(|r| r.run().bytes());
            let Some(largest) = largest.map(Arc::clone) else { return Ok(()) };
            let spilled = Arc::new(largest.spill(folder)?);
            let _writer = self.writer.lock();
            let mut set = ReadSet::clone(&self.set.load());
            if let Some(place) = set.runs.iter().position(|run| Arc::ptr_eq(run, &largest)) {
                set.runs[place] = spilled;
                self.set.store(Arc::new(set));
            }
        }
    }
}

/// Runs that are to become one; none or several.
fn like_in_size(runs: &[Arc<TailRun>]) -> Vec<Arc<TailRun>> {
    let mut by_size: Vec<&Arc<TailRun>> = runs.iter().collect();
    by_size.sort_by_key(|run| run.run().rows().len());
    let sizes: Vec<usize> = by_size.iter().map(|run| run.run().rows().len()).collect();
    by_size[..to_merge(&sizes)].iter().map(|run| Arc::clone(run)).collect()
}

fn merge(runs: &[Arc<TailRun>], keep: impl Fn(&Columns, usize) -> bool) -> Result<Run> {
    let runs: Vec<&Run> = runs.iter().map(|run| run.run()).collect();
    run::merge(&runs, keep)
}
