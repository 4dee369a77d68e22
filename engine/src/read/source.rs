//! What a read of one signal is given: parts of runs and of the tail, each in order, and the floor below which they say nothing.

use std::ops::Range;

use crate::rows::Rows;
use crate::run::NO_FLOOR;

/// Some rows of one entity, newest first by the one order of rows.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    pub rows: &'a Rows,
    pub index: Index,
}

/// Which rows of a batch.
#[derive(Debug, Clone)]
pub enum Index {
    Range(Range<usize>),
    List(Vec<u32>),
}

/// All that is known of one entity in one signal.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    pub parts: Vec<Part<'a>>,
    /// Event time, µs: every row at or above it is in the parts. [`NO_FLOOR`] = every row there is.
    pub floor: i64,
}

impl Default for Source<'_> {
    fn default() -> Self {
        Self { parts: Vec::new(), floor: NO_FLOOR }
    }
}

impl Part<'_> {
    pub(crate) const fn len(&self) -> usize {
        match &self.index {
            Index::Range(range) => range.end - range.start,
            Index::List(list) => list.len(),
        }
    }

    /// The row of the batch that is `at` places from the newest.
    pub(crate) fn row(&self, at: usize) -> usize {
        match &self.index {
            Index::Range(range) => range.start + at,
            Index::List(list) => list[at] as usize,
        }
    }

    /// The place of the newest row whose event_time is at most `upper`.
    pub(super) fn first_at_or_before(&self, upper: i64) -> usize {
        let times = self.rows.event_time();
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if times[self.row(middle)] > upper {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}
