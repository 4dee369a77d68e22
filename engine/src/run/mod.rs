//! The only structure that serving reads: rows of many entities, each entity's newest first, with a directory.
//!
//! ```text
//! directory   hash ──▶ row range, floor        (sorted by hash; found by binary search)
//! rows        entity 1: newest … oldest | entity 2: newest … oldest | …
//! ```
//!
//! Immutable, so shared by reference; reading a column of an entity is slicing it.

mod build;
mod file;
pub(crate) mod order;

use std::ops::Range;

use arrow::buffer::ScalarBuffer;

pub use build::{Floors, merge};
pub use file::{encode, open, read};
pub use order::sort;

use crate::entity::Entity;
use crate::rows::Rows;

/// The floor of an entity whose rows are all here: nothing lies below.
pub const NO_FLOOR: i64 = i64::MIN;

/// Sorted rows and their directory.
#[derive(Debug, Clone)]
pub struct Run {
    rows: Rows,
    directory: Directory,
}

/// One entry per entity, sorted by hash. Entities whose hashes are equal have entries side by side.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    hash: ScalarBuffer<i64>,
    /// First row of each entry.
    start: ScalarBuffer<i32>,
    /// Number of rows of each entry; 0 = the entity has history, but none of it is here.
    count: ScalarBuffer<i32>,
    /// Event time, µs: every resolved row at or above it is here. [`NO_FLOOR`] = every row there is.
    floor: ScalarBuffer<i64>,
}

/// What a run knows of one entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Rows of the run, newest first.
    pub rows: Range<usize>,
    pub floor: i64,
}

impl Run {
    #[must_use]
    pub const fn rows(&self) -> &Rows {
        &self.rows
    }

    #[must_use]
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// What this run knows of `entity`. An entry without rows cannot be checked against the entity, only against its hash: a
    /// collision of hashes then makes a read ask history, which is slower and still exact.
    #[must_use]
    pub fn find(&self, entity: &Entity, hash: i64) -> Option<Entry> {
        let first = self.directory.hash.partition_point(|h| *h < hash);
        let mut without_rows = None;
        for index in first..self.directory.len() {
            if self.directory.hash.get(index) != Some(&hash) {
                break;
            }
            let entry = self.directory.entry(index);
            if entry.rows.is_empty() {
                without_rows = Some(entry);
            } else if entity.is_at(self.rows.entity(), entry.rows.start) {
                return Some(entry);
            }
        }
        without_rows
    }

    /// Bytes of memory that the rows and the directory refer to.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.rows.batch().get_array_memory_size() + self.directory.len() * 24
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

    #[must_use]
    pub fn floors(&self) -> &[i64] {
        &self.floor
    }

    /// The entry with this index.
    #[must_use]
    pub fn entry(&self, index: usize) -> Entry {
        let start = usize::try_from(self.start[index]).unwrap_or(0);
        let count = usize::try_from(self.count[index]).unwrap_or(0);
        Entry { rows: start..start + count, floor: self.floor[index] }
    }
}

#[cfg(test)]
mod tests;
