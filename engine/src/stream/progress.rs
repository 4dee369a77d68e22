//! How far each raw partition is published.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::changelog::Published;
use crate::log::Position;

/// Raw records that a piece of work covers, up to an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covered {
    /// All before this offset.
    pub offset: i64,
    /// Of the last record, in microseconds; `None` = there were only offsets without records.
    pub timestamp: Option<i64>,
}

/// All partitions of this stream.
#[derive(Debug, Default)]
pub struct Progress(Mutex<BTreeMap<i32, Partition>>);

#[derive(Debug, Default)]
struct Partition {
    offset: i64,
    timestamp: Option<i64>,
    /// (offset, as of): nothing was there at the offset.
    at_end: Option<(i64, i64)>,
    committed: Option<i64>,
}

impl Progress {
    /// A partition is read from here on. `false` when it is known already.
    pub fn begin(&self, from: Position) -> bool {
        let mut all = self.0.lock();
        let new = !all.contains_key(&from.partition);
        all.entry(from.partition).or_insert_with(|| Partition { offset: from.offset, ..Partition::default() });
        new
    }

    /// Nothing was there at this position, as of a time in microseconds.
    pub fn at_end(&self, at: Position, as_of: i64) {
        if let Some(partition) = self.0.lock().get_mut(&at.partition) {
            partition.at_end = Some((at.offset, as_of));
        }
    }

    /// Everything that these records led to is acknowledged.
    pub fn publish(&self, covered: &BTreeMap<i32, Covered>) {
        let mut all = self.0.lock();
        for (partition, Covered { offset, timestamp }) in covered {
            if let Some(partition) = all.get_mut(partition) {
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
        self.0.lock().iter().map(published).collect()
    }

    /// Positions that are not committed yet.
    pub fn uncommitted(&self) -> Vec<Position> {
        let all = self.0.lock();
        let new = all.iter().filter(|(_, p)| p.committed != Some(p.offset));
        new.map(|(partition, p)| Position { partition: *partition, offset: p.offset }).collect()
    }

    pub fn committed(&self, positions: &[Position]) {
        let mut all = self.0.lock();
        for Position { partition, offset } in positions {
            if let Some(partition) = all.get_mut(partition) {
                partition.committed = Some(*offset);
            }
        }
    }
}
