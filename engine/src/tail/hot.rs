//! The newest rows as they arrived, found by a chain per hash. Written by one, read by many without a lock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::entity::Entity;
use crate::rows::Rows;

/// The most rows; then it is frozen into a run.
pub const MAX_ROWS: usize = 8192;
/// The most batches.
const MAX_BATCHES: usize = 2048;
/// Chains; more than rows, so that most have one entity.
const CHAINS: usize = 8192;
/// The end of a chain.
const END: u32 = u32::MAX;

/// Append-only. A row is seen whole or not at all, and the rows of one append are seen together.
#[derive(Debug)]
pub struct Hot {
    batches: Box<[OnceLock<Rows>]>,
    /// The newest row of each chain.
    heads: Box<[AtomicU32]>,
    /// Per row: the next older row of its chain (32 bits), its batch (16) and its place there (16).
    links: Box<[AtomicU64]>,
    /// Rows that readers may see.
    visible: AtomicU32,
    batches_used: AtomicU32,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    Done,
    /// No room: freeze, then append to the next.
    Full,
}

impl Default for Hot {
    fn default() -> Self {
        Self {
            batches: (0..MAX_BATCHES).map(|_| OnceLock::new()).collect(),
            heads: (0..CHAINS).map(|_| AtomicU32::new(END)).collect(),
            links: (0..MAX_ROWS).map(|_| AtomicU64::new(0)).collect(),
            visible: AtomicU32::new(0),
            batches_used: AtomicU32::new(0),
        }
    }
}

impl Hot {
    pub fn len(&self) -> usize {
        self.visible.load(Ordering::Acquire) as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a batch. Only ever called by the one writer of the shard.
    pub fn append(&self, rows: &Rows) -> Appended {
        let first = self.visible.load(Ordering::Relaxed);
        let batch = self.batches_used.load(Ordering::Relaxed);
        let fits = first as usize + rows.len() <= MAX_ROWS && (batch as usize) < MAX_BATCHES;
        if !fits {
            return Appended::Full;
        }
        if self.batches[batch as usize].set(rows.clone()).is_err() {
            return Appended::Full;
        }
        for (id, (place, hash)) in (first..).zip((0u64..).zip(rows.entity_hash())) {
            let head = &self.heads[chain(*hash)];
            let older = u64::from(head.load(Ordering::Relaxed));
            self.links[id as usize].store(older << 32 | u64::from(batch) << 16 | place, Ordering::Relaxed);
            // Publishes the link and the batch to whoever reads this head.
            head.store(id, Ordering::Release);
        }
        self.batches_used.store(batch + 1, Ordering::Relaxed);
        let added = u32::try_from(rows.len()).unwrap_or(0);
        self.visible.store(first + added, Ordering::Release);
        Appended::Done
    }

    /// The rows of one entity: per batch, the places in it, as they arrived.
    pub fn find(&self, entity: &Entity, hash: i64) -> Vec<(usize, Vec<u32>)> {
        let visible = self.visible.load(Ordering::Acquire);
        let mut found: Vec<(usize, Vec<u32>)> = Vec::new();
        let mut id = self.heads[chain(hash)].load(Ordering::Acquire);
        while id != END {
            let link = self.links[id as usize].load(Ordering::Relaxed);
            if id < visible {
                let (batch, place) = ((link >> 16 & 0xffff) as usize, (link & 0xffff) as u32);
                if let Some(rows) = self.batches[batch].get()
                    && rows.entity_hash()[place as usize] == hash
                    && entity.is_at(rows.entity(), place as usize)
                {
                    match found.last_mut() {
                        Some((last, places)) if *last == batch => places.push(place),
                        _ => found.push((batch, vec![place])),
                    }
                }
            }
            id = (link >> 32) as u32;
        }
        found
    }

    pub fn batch(&self, index: usize) -> Option<&Rows> {
        self.batches.get(index)?.get()
    }

    /// All batches, as they arrived.
    pub fn batches(&self) -> impl Iterator<Item = &Rows> {
        self.batches.iter().map_while(OnceLock::get)
    }

    pub fn bytes(&self) -> usize {
        self.batches().map(|rows| rows.batch().get_array_memory_size()).sum::<usize>() + CHAINS * 4 + MAX_ROWS * 8
    }
}

/// The chain of a hash. All hashes of a shard share their top bits, so the lowest are taken.
const fn chain(hash: i64) -> usize {
    (hash as u64 as usize) & (CHAINS - 1)
}
