//! How far each raw partition is published, of those that are assigned to this stream now.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::changelog::Published;
use crate::log::Position;

/// One time that a partition was assigned. It may be lost and come back: what was begun before counts for nothing then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    pub partition: i32,
    turn: u64,
}

/// Raw records of a partition that a piece of work covers, up to an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covered {
    pub lease: Lease,
    /// All before this offset.
    pub offset: i64,
    /// Of the last record, in microseconds; `None` = there were only offsets without records.
    pub timestamp: Option<i64>,
}

/// All partitions of this stream.
#[derive(Debug, Default)]
pub struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    turns: u64,
    /// Of the raw topic, also those that others read; `None` = not known yet.
    partitions: Option<i32>,
    held: BTreeMap<i32, Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    turn: u64,
    offset: i64,
    timestamp: Option<i64>,
    /// (offset, as of): nothing was there at the offset.
    at_end: Option<(i64, i64)>,
    committed: Option<i64>,
}

impl State {
    fn of(&mut self, lease: Lease) -> Option<&mut Partition> {
        self.held.get_mut(&lease.partition).filter(|p| p.turn == lease.turn)
    }
}

impl Progress {
    /// The raw topic has this many partitions.
    pub fn partitions(&self, partitions: usize) {
        self.0.lock().partitions = i32::try_from(partitions).ok();
    }

    /// How many partitions the raw topic has, if that is known.
    pub fn known_partitions(&self) -> Option<i32> {
        self.0.lock().partitions
    }

    /// A partition is assigned, and read from here on; `committed`: what its group has committed.
    pub fn begin(&self, from: Position, committed: Option<i64>) -> Lease {
        let mut state = self.0.lock();
        state.turns += 1;
        let turn = state.turns;
        state.held.insert(from.partition, Partition { turn, offset: from.offset, committed, ..Partition::default() });
        Lease { partition: from.partition, turn }
    }

    /// A partition is no longer assigned: nothing is said of it or committed any more.
    pub fn end(&self, lease: Lease) {
        let mut state = self.0.lock();
        if state.of(lease).is_some() {
            state.held.remove(&lease.partition);
        }
    }

    /// Whether the partition is assigned still.
    pub fn holds(&self, lease: Lease) -> bool {
        self.0.lock().of(lease).is_some()
    }

    /// Nothing was there at this offset, as of a time in microseconds.
    pub fn at_end(&self, lease: Lease, offset: i64, as_of: i64) {
        if let Some(partition) = self.0.lock().of(lease) {
            partition.at_end = Some((offset, as_of));
        }
    }

    /// Everything that these records led to is acknowledged.
    pub fn publish(&self, covered: &BTreeMap<i32, Covered>) {
        let mut state = self.0.lock();
        for Covered { lease, offset, timestamp } in covered.values() {
            if let Some(partition) = state.of(*lease) {
                partition.offset = partition.offset.max(*offset);
                partition.timestamp = partition.timestamp.max(*timestamp);
            }
        }
    }

    pub fn published(&self) -> Vec<Published> {
        let published = |(partition, p): (&i32, &Partition)| {
            let at_end_as_of = p.at_end.filter(|(offset, _)| *offset == p.offset).map(|(_, as_of)| as_of);
            Published { partition: *partition, offset: p.offset, timestamp: p.timestamp, at_end_as_of }
        };
        self.0.lock().held.iter().map(published).collect()
    }

    /// Positions that are not committed yet.
    pub fn uncommitted(&self) -> Vec<Position> {
        let state = self.0.lock();
        let new = state.held.iter().filter(|(_, p)| p.committed != Some(p.offset));
        new.map(|(partition, p)| Position { partition: *partition, offset: p.offset }).collect()
    }

    pub fn committed(&self, positions: &[Position]) {
        let mut state = self.0.lock();
        for Position { partition, offset } in positions {
            if let Some(partition) = state.held.get_mut(partition) {
                partition.committed = Some(*offset);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_before_a_partition_was_lost_counts_for_nothing_when_it_is_back() {
        let progress = Progress::default();
        let at = |offset| Position { partition: 3, offset };
        let covered = |lease, offset| BTreeMap::from([(3, Covered { lease, offset, timestamp: Some(1) })]);
        let first = progress.begin(at(10), None);
        progress.publish(&covered(first, 20));
        assert_eq!(progress.uncommitted(), [at(20)]);
        progress.end(first);
        assert_eq!((progress.published(), progress.uncommitted()), (vec![], vec![]));
        let second = progress.begin(at(15), Some(15));
        progress.publish(&covered(first, 40));
        progress.at_end(first, 15, 99);
        progress.end(first);
        let here = Published { partition: 3, offset: 15, timestamp: None, at_end_as_of: None };
        assert_eq!((progress.published(), progress.uncommitted()), (vec![here], vec![]));
        assert!(progress.holds(second) && !progress.holds(first));
    }
}
