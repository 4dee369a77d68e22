//! How far a signal's source has been applied, from the heartbeats of its changelog.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::changelog::Published;

/// Per shard, per raw partition, how far everything published has been applied.
///
/// A heartbeat stands in every partition of the changelog behind the rows that it speaks of; what all shards have seen is applied.
#[derive(Debug)]
pub struct Progress {
    shards: Vec<Mutex<BTreeMap<i32, Applied>>>,
}

/// Of one raw partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Applied {
    /// All raw records before this offset.
    offset: i64,
    /// µs; `None` while nothing was published and the end was never seen.
    through: Option<i64>,
}

impl Progress {
    #[must_use]
    pub fn new(shards: usize) -> Self {
        Self { shards: (0..shards).map(|_| Mutex::default()).collect() }
    }

    /// Shard `shard` has seen a heartbeat. What is applied never goes back.
    pub fn heard(&self, shard: usize, published: &Published) {
        let Some(shard) = self.shards.get(shard) else { return };
        let through = published.timestamp.max(published.at_end_as_of);
        let mut partitions = shard.lock();
        let known = partitions.entry(published.partition).or_insert(Applied { offset: published.offset, through });
        known.offset = known.offset.max(published.offset);
        known.through = known.through.max(through);
    }

    /// The point, µs, up to which the whole source is applied in shard `shard`; `None` = not known of every partition yet.
    #[must_use]
    pub fn applied_through(&self, shard: usize) -> Option<i64> {
        self.shards.get(shard)?.lock().values().map(|applied| applied.through).min().flatten()
    }

    /// The least over all shards.
    #[must_use]
    pub fn least(&self) -> Option<i64> {
        (0..self.shards.len()).map(|shard| self.applied_through(shard)).min().flatten()
    }

    /// All raw records of `partition` before this offset are applied in every shard.
    #[must_use]
    pub fn applied_offset(&self, partition: i32) -> i64 {
        let of_shard = |shard: &Mutex<BTreeMap<i32, Applied>>| shard.lock().get(&partition).map_or(0, |applied| applied.offset);
        self.shards.iter().map(of_shard).min().unwrap_or(0)
    }

    /// Whether all raw records before `ends` (by partition) are applied in every shard.
    #[must_use]
    pub fn reaches(&self, ends: &[(i32, i64)]) -> bool {
        self.shards.iter().all(|shard| {
            let partitions = shard.lock();
            ends.iter().all(|(partition, end)| *end == 0 || partitions.get(partition).is_some_and(|applied| applied.offset >= *end))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Progress;
    use crate::changelog::Published;

    #[test]
    fn a_source_is_applied_as_far_as_its_slowest_shard_and_partition() {
        let heard = |partition, offset, timestamp| Published { partition, offset, timestamp: Some(timestamp), at_end_as_of: None };
        let progress = Progress::new(2);
        assert_eq!(progress.least(), None);
        progress.heard(0, &heard(0, 5, 100));
        assert_eq!((progress.applied_through(0), progress.least()), (Some(100), None));
        progress.heard(1, &heard(0, 5, 90));
        progress.heard(1, &heard(0, 4, 80));
        assert_eq!(progress.least(), Some(90));
        assert!(progress.reaches(&[(0, 5)]));
        assert!(!progress.reaches(&[(0, 6)]));
        assert!(!progress.reaches(&[(0, 5), (1, 1)]));
    }
}
