//! What a read of one signal is given: parts of runs and of the tail, each in order, and the floor below which they say nothing.

use std::ops::Range;

use crate::rows::Columns;
use crate::run::{Entry, NO_FLOOR, Run};

/// Some rows of one entity, newest first by the one order of rows.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    pub rows: &'a Columns,
    pub index: Index,
    /// Whether every row is an output of its event: no tombstones, and no event has more than one state here.
    pub settled: bool,
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

impl<'a> Part<'a> {
    /// Rows of which nothing more is known.
    #[must_use]
    pub const fn new(rows: &'a Columns, index: Index) -> Self {
        Self { rows, index, settled: false }
    }

    /// What a run has of an entity.
    #[must_use]
    pub const fn of_run(run: &'a Run, entry: Entry) -> Self {
        Self { rows: run.rows(), index: Index::Range(entry.rows), settled: entry.settled }
    }

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
        let (mut low, mut high) = (0, self.len());
        // Most reads are as of now: then the newest is the one.
        if high == 0 || self.rows.event_time(self.row(0)) <= upper {
            return 0;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if self.rows.event_time(self.row(middle)) > upper {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Of rows of the batch that lie newest first: the end of those with event_time ≥ `least`.
    pub(super) fn end_above(&self, rows: Range<usize>, least: i64) -> usize {
        let (mut low, mut high, mut step) = (rows.start, rows.end, 1);
        let above = |row: usize| self.rows.event_time(row) >= least;
        if low >= high || above(high - 1) {
            return rows.end.max(low);
        }
        // It is near, or all of them: outward in steps that double, then by halves.
        while low + step < high {
            if !above(low + step - 1) {
                high = low + step - 1;
                break;
            }
            low += step;
            step *= 2;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if above(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}
