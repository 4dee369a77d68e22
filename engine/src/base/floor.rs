//! How far down the rows of each entity are needed.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::buffer::BooleanBuffer;
use tress_configs::SignalPlan;

use super::demand::{Demand, Demands};
use crate::entity::Entity;
use crate::error::{Context, Error, Result};
use crate::read::{Condition, key};
use crate::rows::Rows;
use crate::run::{Floors, NO_FLOOR, entities, order};

/// Rows of one entity that base holds at most, unless the greatest demand is larger than an eighth of it.
const MAX_ROWS: usize = 4096;

/// The end of history that windows and retention are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// The newest sealed event_time, µs, UTC.
    pub newest: i64,
    /// µs
    pub retention: Option<i64>,
}

/// Demands, compiled against a signal.
#[derive(Debug)]
pub struct Needs {
    rules: Vec<Rule>,
    /// Rows of one entity at most.
    cap: usize,
}

#[derive(Debug)]
struct Rule {
    filter: Option<Condition>,
    required_found: i32,
    length: usize,
    share: usize,
    /// Of the signal's columns.
    deduplicate: Vec<usize>,
    /// µs
    window: Option<i64>,
}

/// Rows of some entities that base keeps, and their floors.
#[derive(Debug, Default)]
pub struct Kept {
    /// Of the batch, rising.
    pub rows: Vec<u32>,
    pub floors: Floors,
}

/// Sorted rows of some entities and what each demand counts of them.
pub struct Judged<'a> {
    needs: &'a Needs,
    rows: &'a Rows,
    /// Per demand: which rows are outputs, if they win.
    outputs: Vec<BooleanBuffer>,
}

impl Needs {
    /// # Errors
    /// `Invalid` when a demand names a column that the signal has not, or its `where` cannot be compiled.
    pub fn new(demands: &Demands, signal: &SignalPlan) -> Result<Self> {
        let rules = demands.list.iter().map(|demand| Rule::new(demand, signal)).collect::<Result<Vec<_>>>()?;
        let greatest = demands.list.iter().map(|d| d.share.unwrap_or(d.length).max(d.length) as usize).max().unwrap_or(0);
        Ok(Self { rules, cap: MAX_ROWS.max(greatest.saturating_mul(8)) })
    }

    /// Evaluates what demands count, for sorted rows.
    ///
    /// # Errors
    /// `Internal` when an expression fails on stored rows.
    pub fn judge<'a>(&'a self, rows: &'a Rows) -> Result<Judged<'a>> {
        let outputs = self.rules.iter().map(|rule| rule.outputs(rows)).collect::<Result<Vec<_>>>()?;
        Ok(Judged { needs: self, rows, outputs })
    }

    /// The rows that base keeps of entities whose whole history `rows` is (sorted), and the floors of all of them.
    ///
    /// # Errors
    /// As [`Needs::judge`].
    pub fn keep(&self, rows: &Rows, horizon: Horizon) -> Result<Kept> {
        let judged = self.judge(rows)?;
        let mut kept = Kept::default();
        for range in entities(rows) {
            let winners = winners(rows, range.clone());
            let floor = judged.floor(&winners, horizon);
            kept.floors.set(Entity::at(rows.entity(), range.start), floor);
            kept.rows.extend(winners.iter().filter(|row| rows.event_time()[**row] >= floor).map(|row| index(*row)));
        }
        Ok(kept)
    }
}

impl Judged<'_> {
    /// The floor of an entity whose resolved rows are `winners`, newest first, and all there is.
    ///
    /// Rises only as far as every demand still has its length and a slack (a quarter, at least 16) of outputs at or above it, or the
    /// rest lies outside its window or retention; or as rows exceed the cap.
    #[must_use]
    pub fn floor(&self, winners: &[usize], horizon: Horizon) -> i64 {
        let time = |row: usize| self.rows.event_time()[row];
        // Without a demand nothing is needed: the floor lies above all rows.
        let mut floor = i64::MAX;
        for (index, rule) in self.needs.rules.iter().enumerate() {
            let reached = self.reached(index, winners, slack).map_or(NO_FLOOR, |place| time(winners[place]));
            floor = floor.min(reached.max(rule.lower(horizon)));
        }
        if let Some(last) = self.needs.cap.checked_sub(1).and_then(|place| winners.get(place))
            && winners.len() > self.needs.cap
        {
            floor = floor.max(time(*last));
        }
        match winners.last() {
            Some(oldest) if time(*oldest) >= floor => NO_FLOOR,
            Some(_) => floor,
            None => NO_FLOOR,
        }
    }

    /// Whether an entity of which base holds everything at or above `floor` is still deep enough: no demand has lost outputs that lie
    /// below the floor.
    #[must_use]
    pub fn suffices(&self, winners: &[usize], floor: i64, horizon: Horizon) -> bool {
        if floor == NO_FLOOR {
            return true;
        }
        let above: Vec<usize> = winners.iter().copied().filter(|row| self.rows.event_time()[*row] >= floor).collect();
        above.len() >= self.needs.cap
            || self
                .needs
                .rules
                .iter()
                .enumerate()
                .all(|(index, rule)| rule.lower(horizon) >= floor || self.reached(index, &above, |_| 0).is_some())
    }

    /// The place among `winners` at which a demand has enough outputs.
    fn reached(&self, index: usize, winners: &[usize], slack: impl Fn(usize) -> usize) -> Option<usize> {
        let rule = &self.needs.rules[index];
        let outputs = &self.outputs[index];
        let (length, share) = (rule.length + slack(rule.length), rule.share.saturating_add(slack(rule.share)));
        let (mut counted, mut distinct) = (0usize, 0usize);
        let mut seen: HashSet<Vec<u8>> = HashSet::new();
        for (place, row) in winners.iter().enumerate() {
            if !outputs.value(*row) {
                continue;
            }
            counted += 1;
            if rule.key(self.rows, *row).is_none_or(|key| seen.insert(key)) {
                distinct += 1;
            }
            if distinct >= length || counted >= share {
                return Some(place);
            }
        }
        None
    }
}

/// A quarter, at least 16.
fn slack(length: usize) -> usize {
    if length == usize::MAX { 0 } else { (length / 4).max(16) }
}

impl Rule {
    fn new(demand: &Demand, signal: &SignalPlan) -> Result<Self> {
        let Demand { feature, filter, filter_columns, required_found, length, share, deduplicate, window_ms } = demand;
        let column = |name: &String| {
            signal.columns.iter().position(|c| c.name == *name).ok_or_else(|| {
                Error::invalid(format!("base of {}: feature {feature} reads column {name}, which this revision has not", signal.name))
            })
        };
        let filter = filter.as_ref().map(|expression| Condition::new(expression, filter_columns, signal)).transpose();
        let filter = filter.context(|| format!("base of {}: feature {feature}", signal.name))?;
        Ok(Self {
            filter,
            required_found: *required_found,
            length: *length as usize,
            share: share.map_or(usize::MAX, |s| s as usize),
            deduplicate: deduplicate.iter().map(column).collect::<Result<Vec<_>>>()?,
            window: window_ms.map(|ms| ms.saturating_mul(1000)),
        })
    }

    /// No read as of the newest event or later looks below this event_time.
    fn lower(&self, horizon: Horizon) -> i64 {
        let spans = [self.window, horizon.retention];
        spans.into_iter().flatten().min().map_or(NO_FLOOR, |span| horizon.newest.saturating_sub(span).saturating_add(1))
    }

    fn outputs(&self, rows: &Rows) -> Result<BooleanBuffer> {
        let columns = |filter: &Condition| filter.columns().iter().map(|c| Arc::clone(rows.signal_column(*c))).collect();
        let passed = self.filter.as_ref().map(|filter| filter.holds(columns(filter), rows.len())).transpose()?;
        let passes = |row: usize| passed.as_ref().is_none_or(|p| p.value(row));
        Ok(BooleanBuffer::collect_bool(rows.len(), |row| {
            !rows.deleted().value(row) && rows.found()[row] & self.required_found == self.required_found && passes(row)
        }))
    }

    fn key(&self, rows: &Rows, row: usize) -> Option<Vec<u8>> {
        if self.deduplicate.is_empty() {
            return None;
        }
        let mut bytes = Vec::new();
        for column in &self.deduplicate {
            key::append(&mut bytes, rows.signal_column(*column).as_ref(), row)?;
        }
        Some(bytes)
    }
}

/// The rows of each raw event's winner, tombstones included, one per ordinal; of one entity's sorted rows, in their order.
pub fn winners(rows: &Rows, range: Range<usize>) -> Vec<usize> {
    let mut winners = Vec::with_capacity(range.len());
    let mut start = range.start;
    while start < range.end {
        let mut end = start + 1;
        while end < range.end && order::compare_identity(rows.columns(), start, rows.columns(), end) == Ordering::Equal {
            end += 1;
        }
        let mut best = start;
        for row in start + 1..end {
            if order::compare_law(rows.columns(), row, rows.columns(), best) == Ordering::Less {
                best = row;
            }
        }
        let mut last: Option<usize> = None;
        for row in start..end {
            let wins = order::compare_law(rows.columns(), row, rows.columns(), best) == Ordering::Equal;
            if wins && last.is_none_or(|l| rows.ordinal()[l] != rows.ordinal()[row]) {
                winners.push(row);
                last = Some(row);
            }
        }
        start = end;
    }
    winners
}

fn index(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}
