//! One signal's parts merged, newest first, each raw event resolved by the law.

use std::cmp::Ordering;
use std::ops::Range;

use super::source::{Index, Part};
use crate::run::order::{compare_identity, compare_law, compare_position};

/// A row of one of the parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    pub part: usize,
    pub row: usize,
}

/// Rows of one part that lie side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub part: usize,
    pub rows: Range<usize>,
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
    /// Rows of a settled part that are newer than all other parts: yielded as they lie.
    lead: Span,
    /// Rows of the current raw event that are still to be yielded, last ordinal first.
    pending: Vec<Pick>,
}

impl<'p, 'a> Resolved<'p, 'a> {
    #[must_use]
    pub fn new(parts: &'p [Part<'a>], bounds: Bounds) -> Self {
        let heads = parts.iter().map(|part| part.first_at_or_before(bounds.upper)).collect();
        Self { parts, heads, bounds, lead: Span { part: 0, rows: 0..0 }, pending: Vec::new() }
    }

    /// The event_time of what comes next; `None` at the end.
    pub(super) fn peek(&mut self) -> Option<i64> {
        loop {
            if let Some(pick) = self.pending.last() {
                return Some(self.parts[pick.part].rows.event_time(pick.row));
            }
            if !self.lead.rows.is_empty() {
                return Some(self.parts[self.lead.part].rows.event_time(self.lead.rows.start));
            }
            if !self.next_event() {
                return None;
            }
        }
    }

    /// Takes what was peeked at and, where they lie behind it, rows with event_time ≥ `least`; at most `most`, and at least one.
    pub(super) fn take_span(&mut self, least: i64, most: usize) -> Option<Span> {
        self.peek()?;
        if let Some(Pick { part, row }) = self.pending.pop() {
            return Some(Span { part, rows: row..row + 1 });
        }
        let Span { part, rows } = self.lead.clone();
        let reach = rows.end.min(rows.start.saturating_add(most.max(1)));
        let end = self.parts[part].end_above(rows.start + 1..reach, least);
        self.lead.rows.start = end;
        Some(Span { part, rows: rows.start..end })
    }

    /// The row at the head of a part, if it is within bounds and known.
    fn head(&mut self, part: usize) -> Option<Pick> {
        let p = &self.parts[part];
        while self.heads[part] < p.len() {
            let row = p.row(self.heads[part]);
            if p.rows.event_time(row) < self.bounds.lower {
                self.heads[part] = p.len();
                return None;
            }
            if self.bounds.known_by == i64::MAX || p.rows.available_at(row) <= self.bounds.known_by {
                return Some(Pick { part, row });
            }
            self.heads[part] += 1;
        }
        None
    }

    fn identity(&self, a: Pick, b: Pick) -> Ordering {
        compare_identity(self.parts[a.part].rows, a.row, self.parts[b.part].rows, b.row)
    }

    fn time(&self, pick: Pick) -> i64 {
        self.parts[pick.part].rows.event_time(pick.row)
    }

    /// Whether `pick` is the only row known of its raw event.
    fn alone(&mut self, pick: Pick) -> bool {
        (0..self.parts.len()).all(|part| self.head(part).is_none_or(|other| self.identity(pick, other) != Ordering::Equal))
    }

    /// Takes what is newest of what is left: the rows of a settled part that are newer than all others, or all rows of one raw event, of
    /// which it keeps the winner's in `pending`.
    fn next_event(&mut self) -> bool {
        let mut newest: Option<Pick> = None;
        // The newest time of any other part.
        let mut second = i64::MIN;
        for part in 0..self.parts.len() {
            let Some(head) = self.head(part) else { continue };
            match newest {
                Some(n) if self.identity(head, n) != Ordering::Less => second = second.max(self.time(head)),
                before => {
                    second = before.map_or(second, |n| second.max(self.time(n)));
                    newest = Some(head);
                }
            }
        }
        let Some(newest) = newest else { return false };
        if self.lead_by(newest, second) {
            return true;
        }
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
        let deleted = |pick: &Pick| self.parts[pick.part].rows.deleted(pick.row);
        if self.pending.first().is_some_and(deleted) {
            self.pending.clear();
        }
        true
    }

    /// Takes all rows of a settled part that are newer than `second`; false where they must be looked at one by one.
    fn lead_by(&mut self, newest: Pick, second: i64) -> bool {
        let part = &self.parts[newest.part];
        let Index::Range(range) = &part.index else { return false };
        // What was not known yet may be what settled an event.
        if !part.settled || self.bounds.known_by != i64::MAX || self.time(newest) <= second {
            return false;
        }
        let least = self.bounds.lower.max(second.saturating_add(1));
        let end = part.end_above(newest.row + 1..range.end, least);
        self.heads[newest.part] = end - range.start;
        self.lead = Span { part: newest.part, rows: newest.row..end };
        true
    }

    /// Of the rows of one raw event, keeps the winner's: one per ordinal, the last ordinal first.
    fn keep_the_winner(&mut self) {
        let parts = self.parts;
        let law = |a: &Pick, b: &Pick| compare_law(parts[a.part].rows, a.row, parts[b.part].rows, b.row);
        let Some(winner) = self.pending.iter().copied().min_by(|a, b| law(a, b)) else { return };
        self.pending.retain(|pick| law(pick, &winner) == Ordering::Equal);
        let ordinal = |pick: &Pick| parts[pick.part].rows.ordinal(pick.row);
        let position = |a: &Pick, b: &Pick| compare_position(parts[a.part].rows, a.row, parts[b.part].rows, b.row);
        self.pending.sort_by(|a, b| ordinal(b).cmp(&ordinal(a)).then_with(|| position(a, b)));
        self.pending.dedup_by(|b, a| ordinal(a) == ordinal(b));
    }
}

impl Iterator for Resolved<'_, '_> {
    type Item = Pick;

    fn next(&mut self) -> Option<Pick> {
        self.take_span(i64::MAX, 1).map(|span| Pick { part: span.part, row: span.rows.start })
    }
}
