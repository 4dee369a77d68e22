//! One signal's rows as its feature reads them: resolved, within bounds, `where` applied, at most its length; and where they stop being known.

use arrow::array::BooleanArray;
use std::collections::VecDeque;

use super::condition::Condition;
use super::feature::Read;
use super::resolve::{Bounds, Pick, Resolved, Span};
use super::source::Source;
use crate::error::{Error, Result};
use crate::rows::{self, Values};
use crate::run::NO_FLOOR;

/// What comes next of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A row of this event_time.
    Row(i64),
    /// Below this event_time rows may exist that are not here.
    Floor(i64),
    /// Nothing more that this read could use.
    End,
}

/// The fewest rows on which a `where` is evaluated at once.
const MIN_CHUNK: usize = 32;
/// The most.
const MAX_CHUNK: usize = 4096;

/// Reads one signal, newest first.
pub struct SignalRows<'p, 'a> {
    source: &'p Source<'a>,
    read: &'p Read,
    resolved: Resolved<'p, 'a>,
    /// Rows that passed and are not taken yet.
    ready: VecDeque<Pick>,
    chunk: usize,
    /// Whether the feature wants every row.
    straight: bool,
    /// How many more rows this signal may give.
    left: usize,
    /// The earliest event_time that the read could use.
    lower: i64,
    exhausted: bool,
}

impl<'p, 'a> SignalRows<'p, 'a> {
    pub fn new(source: &'p Source<'a>, read: &'p Read, bounds: Bounds, limit: usize) -> Self {
        let known = Bounds { lower: bounds.lower.max(source.floor), ..bounds };
        Self {
            source,
            read,
            resolved: Resolved::new(&source.parts, known),
            ready: VecDeque::new(),
            chunk: limit.clamp(MIN_CHUNK, MAX_CHUNK),
            left: read.length.unwrap_or(usize::MAX),
            straight: read.filter.is_none() && read.required_found == 0,
            lower: bounds.lower,
            exhausted: false,
        }
    }

    pub const fn lower(&self) -> i64 {
        self.lower
    }

    /// What comes next, without taking it.
    pub fn peek(&mut self) -> Result<Next> {
        if self.left == 0 {
            return Ok(Next::End);
        }
        let next = if self.straight {
            self.resolved.peek()
        } else {
            while self.ready.is_empty() && !self.exhausted {
                self.fill()?;
            }
            self.ready.front().map(|pick| self.source.parts[pick.part].rows.event_time(pick.row))
        };
        Ok(match next {
            Some(event_time) => Next::Row(event_time),
            None if self.source.floor == NO_FLOOR || self.source.floor <= self.lower => Next::End,
            None => Next::Floor(self.source.floor),
        })
    }

    /// Takes the row that was peeked at and rows behind it with event_time ≥ `least`, as many as lie side by side; at most `most`.
    pub fn take(&mut self, least: i64, most: usize) -> Result<Span> {
        let taken = if self.straight {
            self.resolved.take_span(least, most.min(self.left))
        } else {
            self.ready.pop_front().map(|pick| Span { part: pick.part, rows: pick.row..pick.row + 1 })
        };
        let span = taken.ok_or_else(|| Error::internal("read signal: a row was taken that was not there"))?;
        self.left = self.left.saturating_sub(span.rows.len());
        Ok(span)
    }

    /// Takes the next chunk of resolved rows and keeps those that the feature wants.
    fn fill(&mut self) -> Result<()> {
        let required = self.read.required_found;
        let parts = &self.source.parts;
        let Some(filter) = &self.read.filter else {
            // Nothing to evaluate: one row at a time costs nothing.
            match self.resolved.find(|pick| parts[pick.part].rows.found(pick.row) & required == required) {
                Some(pick) => self.ready.push_back(pick),
                None => self.exhausted = true,
            }
            return Ok(());
        };
        let chunk: Vec<Pick> = self.resolved.by_ref().take(self.chunk).collect();
        self.exhausted = chunk.len() < self.chunk;
        self.chunk = (self.chunk * 2).min(MAX_CHUNK);
        if chunk.is_empty() {
            return Ok(());
        }
        let passed = self.evaluate(filter, &chunk)?;
        for (index, pick) in chunk.into_iter().enumerate() {
            let found = parts[pick.part].rows.found(pick.row) & required == required;
            if found && passed.value(index) {
                self.ready.push_back(pick);
            }
        }
        Ok(())
    }

    fn evaluate(&self, filter: &Condition, chunk: &[Pick]) -> Result<BooleanArray> {
        let indices: Vec<(usize, usize)> = chunk.iter().map(|p| (p.part, p.row)).collect();
        let columns = filter.columns().iter().map(|column| {
            let parts: Vec<&Values> = self.source.parts.iter().map(|p| p.rows.signal(*column)).collect();
            rows::gather(&parts, &indices)
        });
        filter.holds(columns.collect::<Result<Vec<_>>>()?, chunk.len())
    }
}
