//! The only structure that serving reads: rows of many entities, each entity's newest first, with a directory.
//!
//! ```text
//! directory   hash, entity ──▶ row range, floor        (sorted by hash)
//! rows        entity 1: newest … oldest | entity 2: newest … oldest | …
//! ```
//!
//! Immutable, so shared by reference. What every row of an entity shares stands in the directory once; a base's columns are read by
//! slicing them, a tail's take as few bytes as they can.

mod build;
mod file;
mod merge;
pub(crate) mod order;
mod stored;

use std::ops::Range;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::buffer::ScalarBuffer;
use arrow::compute::take;

pub use build::Floors;
pub(crate) use build::entities;
pub use file::{encode, open, read};
pub use merge::merge;
pub use order::sort;

use crate::entity::Entity;
use crate::error::Result;
use crate::rows::{Columns, Flags, Packed};

/// The floor of an entity whose rows are all here: nothing lies below.
pub const NO_FLOOR: i64 = i64::MIN;

/// Sorted rows and their directory.
#[derive(Debug, Clone)]
pub struct Run {
    rows: Columns,
    directory: Directory,
}

/// One entry per entity, sorted by hash. Entities whose hashes are equal have entries side by side.
#[derive(Debug, Clone)]
pub struct Directory {
    hash: ScalarBuffer<i64>,
    /// First row of each entry, and behind the last one the number of rows. An entry without rows: the entity has history, but none of
    /// it is here.
    start: ScalarBuffer<i32>,
    /// Event time, µs: every resolved row at or above it is here. [`NO_FLOOR`] = every row there is.
    floor: Packed,
    settled: Flags,
    /// Null where a file of an older format does not say.
    entity: ArrayRef,
}

/// What a run knows of one entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Rows of the run, newest first.
    pub rows: Range<usize>,
    pub floor: i64,
    /// Whether every row is an output of its event: no tombstones, and no event has more than one state.
    pub settled: bool,
}

impl Run {
    #[must_use]
    pub const fn rows(&self) -> &Columns {
        &self.rows
    }

    #[must_use]
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// What this run knows of `entity`. An entry that does not say whose it is has no rows: a collision of hashes then makes a read ask
    /// history, which is slower and still exact.
    #[must_use]
    pub fn find(&self, entity: &Entity, hash: i64) -> Option<Entry> {
        let directory = &self.directory;
        let mut nobody = None;
        for index in first_at_or_above(&directory.hash, hash)..directory.len() {
            if directory.hash[index] != hash {
                break;
            }
            if directory.entity.is_null(index) {
                nobody = Some(directory.entry(index));
            } else if entity.is_at(&directory.entity, index) {
                return Some(directory.entry(index));
            }
        }
        nobody
    }

    /// Some rows as a batch with all columns of rows.
    ///
    /// # Errors
    /// `Internal` when the rows are not of their schema.
    pub fn batch(&self, rows: Range<usize>) -> Result<RecordBatch> {
        let directory = &self.directory;
        let start = i32::try_from(rows.start).unwrap_or(i32::MAX);
        // The last entry that begins at or before the first row.
        let mut entry = directory.start.partition_point(|first| *first <= start).saturating_sub(1);
        let entries = rows.clone().map(|row| {
            while directory.start.get(entry + 1).is_some_and(|next| usize::try_from(*next).is_ok_and(|next| next <= row)) {
                entry += 1;
            }
            u32::try_from(entry).unwrap_or(u32::MAX)
        });
        let entries = UInt32Array::from_iter_values(entries);
        let hashes = Int64Array::new(directory.hash.clone(), None);
        self.rows.batch(rows, [take(&directory.entity, &entries, None)?, take(&hashes, &entries, None)?])
    }

    /// Bytes of memory that the rows and the directory refer to.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let Directory { hash, start, floor, settled, entity } = &self.directory;
        let directory = hash.inner().capacity() + start.inner().capacity() + floor.bytes() + settled.bytes();
        self.rows.bytes() + directory + entity.get_buffer_memory_size()
    }
}

impl Directory {
    #[must_use]
    pub fn len(&self) -> usize {
        self.hash.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hash.is_empty()
    }

    #[must_use]
    pub fn hashes(&self) -> &[i64] {
        &self.hash
    }

    /// Whose entries these are; null where it is not known.
    #[must_use]
    pub const fn entities(&self) -> &ArrayRef {
        &self.entity
    }

    /// The entry with this index.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn entry(&self, index: usize) -> Entry {
        let at = |index: usize| usize::try_from(self.start[index]).unwrap_or(0);
        Entry { rows: at(index)..at(index + 1), floor: self.floor.get(index), settled: self.settled.get(index) }
    }
}

/// The first place whose hash is not below `hash`. Hashes are spread evenly, so it lies near where its value says.
fn first_at_or_above(hashes: &[i64], hash: i64) -> usize {
    let (Some(first), Some(last)) = (hashes.first(), hashes.last()) else { return 0 };
    if hash <= *first {
        return 0;
    }
    if hash > *last {
        return hashes.len();
    }
    let share = u128::from(hash.abs_diff(*first)) * (hashes.len() as u128 - 1) / u128::from(last.abs_diff(*first).max(1));
    let guess = usize::try_from(share).unwrap_or(0).min(hashes.len() - 1);
    // Outward from there in steps that double, then by halves.
    let (mut low, mut high, mut step) = (guess, guess, 1);
    if hashes[guess] < hash {
        while high < hashes.len() && hashes[high] < hash {
            low = high;
            high = (high + step).min(hashes.len());
            step *= 2;
        }
    } else {
        while low > 0 && hashes[low] >= hash {
            high = low;
            low = low.saturating_sub(step);
            step *= 2;
        }
    }
    let (low, high) = (low.min(high), high.min(hashes.len()));
    low + hashes[low..high].partition_point(|h| *h < hash)
}

#[cfg(test)]
mod tests;
