//! How far a signal's source has been applied, from the heartbeats of its changelog.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Per raw partition, the time up to which everything published has been applied.
///
/// A heartbeat stands in every partition of the changelog behind the rows that it speaks of; what all shards have seen is applied.
#[derive(Debug)]
pub struct Progress {
    /// Per shard, per raw partition: µs.
    shards: Vec<Mutex<BTreeMap<i32, i64>>>,
}

impl Progress {
    #[must_use]
    pub fn new(shards: usize) -> Self {
        Self { shards: (0..shards).map(|_| Mutex::default()).collect() }
    }

    /// Shard `shard` has seen a heartbeat that says: partition `partition` is applied through `through` (µs). Never goes back.
    pub fn heard(&self, shard: usize, partition: i32, through: i64) {
        if let Some(shard) = self.shards.get(shard) {
            let mut partitions = shard.lock();
            let known = partitions.entry(partition).or_insert(i64::MIN);
            *known = through.max(*known);
        }
    }

    /// The point up to which the whole source is applied in shard `shard`; `None` = nothing was heard yet.
    #[must_use]
    pub fn applied_through(&self, shard: usize) -> Option<i64> {
        self.shards.get(shard)?.lock().values().min().copied()
    }

    /// The least over all shards.
    #[must_use]
    pub fn least(&self) -> Option<i64> {
        (0..self.shards.len()).map(|shard| self.applied_through(shard)).min().flatten()
    }
}
