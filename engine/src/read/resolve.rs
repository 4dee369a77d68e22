//! One signal's parts merged, newest first, each raw event resolved by the law.

use std::cmp::Ordering;

use super::source::Part;
use crate::run::order::{compare_identity, compare_law, compare_position};

/// A row of one of the parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    pub part: usize,
    pub row: usize,
}

/// The bounds of a read, µs; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub lower: i64,
    pub upper: i64,
    /// Only rows with available_at ≤ this take part at all.
    pub known_by: i64,
}

/// Yields the winning rows of each raw event within bounds; deleted events yield nothing.
///
/// Guarantees: the same rows in any split into parts, with any copies, give the same picks' contents.
/// Assumes: each part is sorted by the one order of rows and holds one entity of one signal.
#[derive(Debug)]
pub struct Resolved<'p, 'a> {
    parts: &'p [Part<'a>],
    /// The next place of each part.
    heads: Vec<usize>,
    bounds: Bounds,
    /// Rows of the current raw event that are still to be yielded, last ordinal first.
    pending: Vec<Pick>,
}

impl<'p, 'a> Resolved<'p, 'a> {
    #[must_use]
    pub fn new(parts: &'p [Part<'a>], bounds: Bounds) -> Self {
        let heads = parts.iter().map(|part| part.first_at_or_before(bounds.upper)).collect();
        Self { parts, heads, bounds, pending: Vec::new() }
    }

    /// The row at the head of a part, if it is within bounds and known.
    fn head(&mut self, part: usize) -> Option<Pick> {
        let p = &self.parts[part];
        while self.heads[part] < p.len() {
            let row = p.row(self.heads[part]);
            if p.rows.event_time()[row] < self.bounds.lower {
                self.heads[part] = p.len();
                return None;
            }
            if p.rows.available_at()[row] <= self.bounds.known_by {
                return Some(Pick { part, row });
            }
            self.heads[part] += 1;
        }
        None
    }

    fn identity(&self, a: Pick, b: Pick) -> Ordering {
        compare_identity(self.parts[a.part].rows, a.row, self.parts[b.part].rows, b.row)
    }

    /// Whether `pick` is the only row known of its raw event.
    fn alone(&mut self, pick: Pick) -> bool {
        (0..self.parts.len()).all(|part| self.head(part).is_none_or(|other| self.identity(pick, other) != Ordering::Equal))
    }

    /// Takes all rows of the newest raw event that is left and keeps the winner's in `pending`.
    fn next_event(&mut self) -> bool {
        let mut newest: Option<Pick> = None;
        for part in 0..self.parts.len() {
            if let Some(head) = self.head(part)
                && newest.is_none_or(|n| self.identity(head, n) == Ordering::Less)
            {
                newest = Some(head);
            }
        }
        let Some(newest) = newest else { return false };
        self.heads[newest.part] += 1;
        if self.alone(newest) {
            self.pending.push(newest);
        } else {
            self.pending.push(newest);
            for part in 0..self.parts.len() {
                while let Some(head) = self.head(part).filter(|h| self.identity(*h, newest) == Ordering::Equal) {
                    self.pending.push(head);
                    self.heads[part] += 1;
                }
            }
            self.keep_the_winner();
        }
        let deleted = |pick: &Pick| self.parts[pick.part].rows.deleted().value(pick.row);
        if self.pending.first().is_some_and(deleted) {
            self.pending.clear();
        }
        true
    }

    /// Of the rows of one raw event, keeps the winner's: one per ordinal, the last ordinal first.
    fn keep_the_winner(&mut self) {
        let parts = self.parts;
        let law = |a: &Pick, b: &Pick| compare_law(parts[a.part].rows, a.row, parts[b.part].rows, b.row);
        let Some(winner) = self.pending.iter().copied().min_by(|a, b| law(a, b)) else { return };
        self.pending.retain(|pick| law(pick, &winner) == Ordering::Equal);
        let ordinal = |pick: &Pick| parts[pick.part].rows.ordinal()[pick.row];
        let position = |a: &Pick, b: &Pick| compare_position(parts[a.part].rows, a.row, parts[b.part].rows, b.row);
        self.pending.sort_by(|a, b| ordinal(b).cmp(&ordinal(a)).then_with(|| position(a, b)));
        self.pending.dedup_by(|b, a| ordinal(a) == ordinal(b));
    }
}

impl Iterator for Resolved<'_, '_> {
    type Item = Pick;

    fn next(&mut self) -> Option<Pick> {
        loop {
            if let Some(pick) = self.pending.pop() {
                return Some(pick);
            }
            if !self.next_event() {
                return None;
            }
        }
    }
}
