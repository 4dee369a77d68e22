//! How far a signal's source has been applied, from the heartbeats of its changelog.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::changelog::Published;

/// Per shard, per raw partition, how far everything published has been applied.
///
/// A heartbeat stands in every partition of the changelog behind the rows that it speaks of; what all shards have seen is applied.
///
/// Several processes write heartbeats, and while a partition goes from one to another both may speak of it, the former owner also long
/// after: its last one may be on its way, or it does not know yet. Neither can make a reader believe too much, because what a heartbeat
/// says is true for ever, whoever says it:
/// - *"all raw records before `offset` are published"*: a stream says it after the acknowledgement of all that they led to, by itself or,
///   before where it began, by those who committed that position, who did so after the acknowledgement too. An append cannot be undone,
///   and is before the heartbeat in the same partition of the changelog.
/// - *"at end as of t"*: at `offset` nothing was there, asked after t, and all before `offset` was published. So all that existed at t is
///   published, and that stays so. That more has come since makes it no less true: it says nothing of what came after t.
///
/// So of two claims each only adds to the other, in whatever order they come: the greatest offset and the latest time hold. Nor does a
/// claim that is late make anything fresher than it is: its t is the time at which it was made out, not at which it is heard.
///
/// What a claim leaves out is the partitions of others. Of a partition that nobody has spoken of yet nothing is known, so as long as one
/// is missing (heartbeats say how many there are) nothing is known of the whole.
#[derive(Debug)]
pub struct Progress {
    shards: Vec<Mutex<Heard>>,
}

/// What one shard has heard.
#[derive(Debug, Default)]
struct Heard {
    /// How many there are at least.
    expected: i32,
    partitions: BTreeMap<i32, Applied>,
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

    /// Shard `shard` has seen that the raw topic has this many partitions: none is ever taken away.
    pub fn expect(&self, shard: usize, partitions: i32) {
        if let Some(shard) = self.shards.get(shard) {
            let mut heard = shard.lock();
            heard.expected = heard.expected.max(partitions);
        }
    }

    /// Shard `shard` has seen a heartbeat. What is applied never goes back.
    pub fn heard(&self, shard: usize, published: &Published) {
        let Some(shard) = self.shards.get(shard) else { return };
        let through = published.timestamp.max(published.at_end_as_of);
        let mut heard = shard.lock();
        let known = heard.partitions.entry(published.partition).or_insert(Applied { offset: published.offset, through });
        known.offset = known.offset.max(published.offset);
        known.through = known.through.max(through);
    }

    /// The point, µs, up to which the whole source is applied in shard `shard`; `None` = not known of every partition yet.
    #[must_use]
    pub fn applied_through(&self, shard: usize) -> Option<i64> {
        let heard = self.shards.get(shard)?.lock();
        if (0..heard.expected).any(|partition| !heard.partitions.contains_key(&partition)) {
            return None;
        }
        heard.partitions.values().map(|applied| applied.through).min().flatten()
    }

    /// The least over all shards.
    #[must_use]
    pub fn least(&self) -> Option<i64> {
        (0..self.shards.len()).map(|shard| self.applied_through(shard)).min().flatten()
    }

    /// All raw records of `partition` before this offset are applied in every shard.
    #[must_use]
    pub fn applied_offset(&self, partition: i32) -> i64 {
        let of_shard = |shard: &Mutex<Heard>| shard.lock().partitions.get(&partition).map_or(0, |applied| applied.offset);
        self.shards.iter().map(of_shard).min().unwrap_or(0)
    }

    /// Whether all raw records before `ends` (by partition) are applied in every shard.
    #[must_use]
    pub fn reaches(&self, ends: &[(i32, i64)]) -> bool {
        self.shards.iter().all(|shard| {
            let heard = shard.lock();
            ends.iter().all(|(partition, end)| *end == 0 || heard.partitions.get(partition).is_some_and(|applied| applied.offset >= *end))
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

    #[test]
    fn of_two_that_speak_of_one_partition_neither_makes_it_fresher_than_it_is() {
        let say = |offset, at_end_as_of| Published { partition: 0, offset, timestamp: None, at_end_as_of };
        let progress = Progress::new(1);
        progress.heard(0, &say(10, Some(100)));
        // The new owner begins where the former one had committed.
        progress.heard(0, &say(8, None));
        assert_eq!((progress.least(), progress.applied_offset(0)), (Some(100), 10), "what is applied stays applied");
        progress.heard(0, &say(20, None));
        // The former owner's last word, late.
        progress.heard(0, &say(10, Some(150)));
        assert_eq!((progress.least(), progress.applied_offset(0)), (Some(150), 20), "all that there was at 150 is applied");
        progress.heard(0, &say(10, Some(90)));
        assert_eq!((progress.least(), progress.applied_offset(0)), (Some(150), 20));
    }

    #[test]
    fn as_long_as_nobody_spoke_of_a_partition_nothing_is_known_of_the_whole() {
        let say = |partition| Published { partition, offset: 1, timestamp: Some(7), at_end_as_of: None };
        let progress = Progress::new(1);
        progress.expect(0, 2);
        progress.heard(0, &say(0));
        assert_eq!(progress.least(), None, "what another process reads is not known");
        progress.heard(0, &say(1));
        assert_eq!(progress.least(), Some(7));
        progress.expect(0, 3);
        assert_eq!(progress.least(), None, "a partition was added");
    }
}
