//! What a reader of one shard holds: base, runs and hot rows that belong together.

use std::sync::Arc;

use super::hot::Hot;
use super::spill::TailRun;
use crate::backfill::{Cut, Position};
use crate::entity::Entity;
use crate::history::Snapshot;
use crate::read::{Index, Part, Source};
use crate::rows::Columns;
use crate::run::{NO_FLOOR, Run, order};

/// What is sealed of one shard: its part of a base, and the history that base was made from.
#[derive(Debug, Clone, Default)]
pub struct Sealed {
    /// Number of the base's manifest; 0 = none.
    pub manifest: u64,
    /// Newest last.
    pub generations: Vec<Arc<Run>>,
    /// What a read below the floors asks.
    pub history: Option<Arc<Snapshot>>,
    /// What that history has of the source; `None` = nothing.
    pub cut: Option<Cut>,
}

impl Sealed {
    /// Whether history has the row: then the tail need not keep it.
    #[must_use]
    pub fn covers(&self, rows: &Columns, row: usize) -> bool {
        self.cut.as_ref().is_some_and(|cut| {
            cut.covers(Position { partition: rows.partition(row), offset: rows.offset(row), available_at: rows.available_at(row) })
        })
    }
}

/// Everything that a read of this shard may look at. Immutable but for `hot`, which only grows.
#[derive(Debug, Clone, Default)]
pub struct ReadSet {
    pub sealed: Sealed,
    pub(super) runs: Vec<Arc<TailRun>>,
    pub(super) hot: Arc<Hot>,
}

/// A read set and what it has of one entity.
#[derive(Debug)]
pub struct Held {
    set: Arc<ReadSet>,
    hot: Vec<(usize, Vec<u32>)>,
    entity: Entity,
    hash: i64,
}

impl ReadSet {
    /// Finds an entity's rows; the read set is held until the answer is made.
    #[must_use]
    pub fn hold(self: Arc<Self>, entity: &Entity, hash: i64) -> Held {
        let mut hot = self.hot.find(entity, hash);
        for (batch, places) in &mut hot {
            if let Some(rows) = self.hot.batch(*batch) {
                places.sort_by(|a, b| order::compare_in_entity(rows.columns(), *a as usize, rows.columns(), *b as usize));
            }
        }
        Held { set: self, hot, entity: entity.clone(), hash }
    }

    /// Rows of the tail, for metrics: an estimate while it is written to.
    #[must_use]
    pub fn tail_rows(&self) -> usize {
        self.hot.len() + self.runs.iter().map(|r| r.run().rows().len()).sum::<usize>()
    }

    /// Bytes of the tail in memory, without what is on disk.
    #[must_use]
    pub fn tail_bytes(&self) -> usize {
        self.hot.bytes() + self.runs.iter().filter(|r| !r.on_disk()).map(|r| r.run().bytes()).sum::<usize>()
    }
}

impl Held {
    /// The history that belongs to the base held here.
    #[must_use]
    pub fn history(&self) -> Option<&Arc<Snapshot>> {
        self.set.sealed.history.as_ref()
    }

    /// Base and tail: what serving reads.
    #[must_use]
    pub fn source(&self) -> Source<'_> {
        let mut source = self.tail();
        // The newest generation that knows the entity sets its floor; without an entry, whatever exists is in the tail.
        let mut floor = None;
        for run in self.set.sealed.generations.iter().rev() {
            if let Some(entry) = run.find(&self.entity, self.hash) {
                floor.get_or_insert(entry.floor);
                if !entry.rows.is_empty() {
                    source.parts.push(Part::of_run(run, entry));
                }
            }
        }
        source.floor = floor.unwrap_or(NO_FLOOR);
        source
    }

    /// The tail alone: what is joined to history for a deep read.
    #[must_use]
    pub fn tail(&self) -> Source<'_> {
        let mut parts = Vec::with_capacity(self.hot.len() + self.set.runs.len() + 2);
        for (batch, places) in &self.hot {
            if let Some(rows) = self.set.hot.batch(*batch) {
                parts.push(Part::new(rows.columns(), Index::List(places.clone())));
            }
        }
        for run in &self.set.runs {
            if let Some(entry) = run.run().find(&self.entity, self.hash) {
                parts.push(Part::of_run(run.run(), entry));
            }
        }
        Source { parts, floor: NO_FLOOR }
    }
}
