//! The newest rows as they arrived, found by a chain per hash. Written by one, read by many without a lock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::grown::Grown;
use crate::entity::Entity;
use crate::rows::Rows;

/// The most rows; then it is frozen into a run.
pub const MAX_ROWS: usize = 8192;
/// The most batches.
const MAX_BATCHES: usize = 2048;
/// Chains; as many as rows, so that most have one entity.
const CHAINS: usize = 8192;
/// Chains that are made together.
const TOGETHER: usize = 256;
/// The end of a chain. A row is named by its number from 1 on.
const END: u32 = 0;

/// Append-only. A row is seen whole or not at all, and the rows of one append are seen together.
///
/// A process holds one for every shard of every signal that it follows, most of them empty: each takes memory for what is in it.
#[derive(Debug)]
pub struct Hot {
    batches: Grown<OnceLock<Rows>>,
    /// The newest row of each chain.
    heads: [OnceLock<Box<[AtomicU32]>>; CHAINS / TOGETHER],
    /// Per row: the next older row of its chain (32 bits), its batch (16) and its place there (16).
    links: Grown<AtomicU64>,
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
            batches: Grown::default(),
            heads: [const { OnceLock::new() }; CHAINS / TOGETHER],
            links: Grown::default(),
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
        if self.batches.make(batch as usize).is_none_or(|place| place.set(rows.clone()).is_err()) {
            return Appended::Full;
        }
        for (id, (place, hash)) in (first..).zip((0u64..).zip(rows.entity_hash())) {
            let Some(link) = self.links.make(id as usize) else { return Appended::Full };
            let (heads, chain) = chain(*hash);
            let head = &self.heads[heads].get_or_init(|| (0..TOGETHER).map(|_| AtomicU32::new(END)).collect())[chain];
            let older = u64::from(head.load(Ordering::Relaxed));
            link.store(older << 32 | u64::from(batch) << 16 | place, Ordering::Relaxed);
            // Publishes the link and the batch to whoever reads this head.
            head.store(id + 1, Ordering::Release);
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
        let (heads, chain) = chain(hash);
        let mut row = self.heads[heads].get().map_or(END, |heads| heads[chain].load(Ordering::Acquire));
        while row != END {
            let Some(link) = self.links.get(row as usize - 1) else { break };
            let link = link.load(Ordering::Relaxed);
            if row <= visible {
                let (batch, place) = ((link >> 16 & 0xffff) as usize, (link & 0xffff) as u32);
                if let Some(rows) = self.batch(batch)
                    && rows.entity_hash()[place as usize] == hash
                    && entity.is_at(rows.entity(), place as usize)
                {
                    match found.last_mut() {
                        Some((last, places)) if *last == batch => places.push(place),
                        _ => found.push((batch, vec![place])),
                    }
                }
            }
            row = (link >> 32) as u32;
        }
        found
    }

    pub fn batch(&self, index: usize) -> Option<&Rows> {
        self.batches.get(index)?.get()
    }

    /// All batches, as they arrived.
    pub fn batches(&self) -> impl Iterator<Item = &Rows> {
        self.batches.made().map_while(OnceLock::get)
    }

    /// All that it takes.
    pub fn bytes(&self) -> usize {
        let heads = self.heads.iter().filter_map(OnceLock::get).map(|heads| size_of_val(&**heads)).sum::<usize>();
        let rows = self.batches().map(|rows| rows.batch().get_array_memory_size()).sum::<usize>();
        size_of::<Self>() + heads + self.batches.bytes() + self.links.bytes() + rows
    }
}

/// The chain of a hash, by those that are made together. All hashes of a shard share their top bits, so the lowest are taken.
const fn chain(hash: i64) -> (usize, usize) {
    let chain = (hash as u64 as usize) & (CHAINS - 1);
    (chain / TOGETHER, chain % TOGETHER)
}

const _: () = assert!(MAX_ROWS <= super::grown::MOST && MAX_BATCHES <= super::grown::MOST);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::fixture::{event, rows};

    #[test]
    fn what_is_empty_takes_next_to_nothing_and_few_rows_take_little() {
        let hot = Hot::default();
        assert!(hot.bytes() < 2 << 10, "{} bytes", hot.bytes());
        assert!(hot.find(&Entity::String("u".into()), 0).is_empty());
        let batch = Rows::new(rows(&[event("u", 1, 1)])).unwrap();
        assert_eq!(hot.append(&batch), Appended::Done);
        let own = hot.bytes() - batch.batch().get_array_memory_size();
        assert!(own < 16 << 10, "{own} bytes beside the row");
        let hash = batch.entity_hash()[0];
        assert_eq!(hot.find(&Entity::String("u".into()), hash), [(0, vec![0])]);
    }

    #[test]
    fn it_is_full_of_rows_or_of_batches_and_all_that_it_took_is_found() {
        let one = Rows::new(rows(&[event("u", 1, 1)])).unwrap();
        let (hot, hash) = (Hot::default(), one.entity_hash()[0]);
        for _ in 0..MAX_BATCHES {
            assert_eq!(hot.append(&one), Appended::Done);
        }
        assert_eq!(hot.append(&one), Appended::Full);
        assert_eq!((hot.len(), hot.batches().count()), (MAX_BATCHES, MAX_BATCHES));
        let found = hot.find(&Entity::String("u".into()), hash);
        assert!(found.into_iter().eq((0..MAX_BATCHES).rev().map(|batch| (batch, vec![0]))), "newest first");
        let many: Vec<_> = (0..MAX_ROWS as i64).map(|n| event("u", n, n)).collect();
        let (hot, many) = (Hot::default(), Rows::new(rows(&many)).unwrap());
        assert_eq!((hot.append(&many), hot.append(&one)), (Appended::Done, Appended::Full));
        assert_eq!(hot.find(&Entity::String("u".into()), hash), [(0, (0..MAX_ROWS as u32).rev().collect::<Vec<_>>())]);
    }
}
