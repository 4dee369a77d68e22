//! From what is known of each signal to one sequence: the pure function that serving, datasets and comparisons share.

use std::collections::HashSet;
use std::ops::Range;

use super::feature::Feature;
use super::gather::gather;
use super::query::{MAX_LIMIT, Order, Query, Sequence};
use super::resolve::{Bounds, Pick};
use super::rows_of_signal::{Next, SignalRows};
use super::source::Source;
use super::view;
use crate::error::{Error, Result};
use crate::rows::Columns;
use tress_configs::plan::ViewPlan;

/// What a read comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Complete(Sequence),
    /// What was given does not reach far enough: rows below a floor are needed. History has them.
    NeedMore,
}

/// Chosen rows that lie side by side: of which signal, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub signal: usize,
    pub part: usize,
    pub rows: Range<usize>,
}

/// Assembles the answer to `query` from `sources`, one per signal of the feature.
///
/// Guarantees: a pure function; the split of rows into parts, and copies of rows, change nothing.
///
/// # Errors
/// `Invalid` when the query names a column or signal that is not there; `Internal` when an expression fails on stored rows.
pub fn assemble(feature: &Feature, sources: &[Source<'_>], query: &Query) -> Result<Outcome> {
    check(feature, sources, query)?;
    let plan = feature.plan();
    let limit = (query.limit.unwrap_or(plan.length) as usize).min(MAX_LIMIT);
    let mut signals = Vec::with_capacity(sources.len());
    for (index, (source, read)) in sources.iter().zip(feature.reads()).enumerate() {
        if query.signals.as_ref().is_none_or(|wanted| wanted.contains(&index)) {
            let bounds = feature.bounds(index, query);
            signals.push((index, SignalRows::new(source, read, bounds, limit)));
        }
    }
    let mut heads = signals.iter_mut().map(|(_, rows)| rows.peek()).collect::<Result<Vec<_>>>()?;
    let mut seen = HashSet::new();
    let mut chosen: Vec<Chosen> = Vec::new();
    let mut count = 0;
    while count < limit {
        let Some((place, event_time, least)) = newest(&heads) else {
            if heads.iter().all(|head| *head == Next::End) {
                break;
            }
            return Ok(Outcome::NeedMore);
        };
        if event_time < least {
            return Ok(Outcome::NeedMore);
        }
        let (signal, rows) = &mut signals[place];
        let keyed = feature.keys().of_signal(*signal);
        let span = rows.take(least, if keyed { 1 } else { limit - count })?;
        heads[place] = rows.peek()?;
        let pick = Pick { part: span.part, row: span.rows.start };
        if keyed && !feature.keys().of(sources, *signal, pick).is_none_or(|key| seen.insert(key)) {
            continue;
        }
        count += span.rows.len();
        match chosen.last_mut() {
            Some(last) if last.signal == *signal && last.part == span.part && last.rows.end == span.rows.start => {
                last.rows.end = span.rows.end;
            }
            _ => chosen.push(Chosen { signal: *signal, part: span.part, rows: span.rows }),
        }
    }
    let lower = signals.iter().map(|(_, rows)| rows.lower()).max().unwrap_or(i64::MIN);
    finish(feature, sources, query, &Cut { chosen, count, lower, more: limit > 0 && count == limit }).map(Outcome::Complete)
}

/// The signal whose row comes next, that row's time, and the least time of rows behind it that come before every other signal's and are
/// known of all signals.
fn newest(heads: &[Next]) -> Option<(usize, i64, i64)> {
    let mut newest: Option<(usize, i64)> = None;
    for (place, head) in heads.iter().enumerate() {
        // Signals come in the order that breaks ties: only a newer row takes the place.
        if let Next::Row(time) = head
            && newest.is_none_or(|(_, newest)| *time > newest)
        {
            newest = Some((place, *time));
        }
    }
    let (newest, time) = newest?;
    let least = heads.iter().enumerate().map(|(place, head)| match head {
        Next::Row(other) if place < newest => other.saturating_add(1),
        Next::Row(other) if place > newest => *other,
        Next::Row(_) | Next::End => i64::MIN,
        Next::Floor(floor) => *floor,
    });
    Some((newest, time, least.max().unwrap_or(i64::MIN)))
}

/// The rows of an answer and where it ends.
struct Cut {
    /// Newest first.
    chosen: Vec<Chosen>,
    /// How many rows these are.
    count: usize,
    /// The earliest event_time that the read could give.
    lower: i64,
    /// Whether it ended because it was full.
    more: bool,
}

fn check(feature: &Feature, sources: &[Source<'_>], query: &Query) -> Result<()> {
    let columns = feature.schema().fields().len();
    if query.columns.as_ref().is_some_and(|wanted| wanted.iter().any(|c| *c >= columns)) {
        return Err(Error::invalid(format!("columns: {} has {columns} columns", feature.plan().name)));
    }
    if sources.len() != feature.reads().len() {
        return Err(Error::internal("assemble: one source per signal is needed"));
    }
    if query.signals.as_ref().is_some_and(|wanted| wanted.iter().any(|s| *s >= sources.len())) {
        return Err(Error::invalid(format!("signals: {} has {} signals", feature.plan().name, sources.len())));
    }
    Ok(())
}

impl Feature {
    /// What a read takes of a signal: (as_of − window, as_of], retention, since, until: as closed bounds.
    pub(crate) fn bounds(&self, signal: usize, query: &Query) -> Bounds {
        let after = |span: Option<i64>| span.map_or(i64::MIN, |s| query.as_of.saturating_sub(s).saturating_add(1));
        let window = self.plan().window_ms.map(|ms| ms.saturating_mul(1000));
        let retention = self.reads().get(signal).and_then(|read| read.retention);
        Bounds {
            lower: after(window).max(after(retention)).max(query.since.unwrap_or(i64::MIN)),
            upper: query.as_of.min(query.until.map_or(i64::MAX, |u| u.saturating_sub(1))),
            known_by: query.known_by.unwrap_or(i64::MAX),
        }
    }
}

fn finish(feature: &Feature, sources: &[Source<'_>], query: &Query, cut: &Cut) -> Result<Sequence> {
    let chosen = &cut.chosen;
    let newest = chosen.first().map(|c| rows_of(sources, c).event_time(c.rows.start));
    let oldest = chosen.last().map(|c| rows_of(sources, c).event_time(c.rows.end - 1));
    let all = || (0..feature.events().fields().len()).collect::<Vec<_>>();
    let coverage = super::query::coverage(feature, sources, chosen);
    let rows = match &feature.plan().view {
        ViewPlan::Events => {
            let rows = match &query.columns {
                Some(wanted) => gather(feature, sources, chosen, wanted)?,
                None => gather(feature, sources, chosen, &all())?,
            };
            match query.order {
                Order::OldestFirst if rows.num_columns() > 0 => view::reversed(&rows)?,
                Order::OldestFirst | Order::NewestFirst => rows,
            }
        }
        folded => {
            let events = gather(feature, sources, chosen, &all())?;
            let rows = match folded {
                ViewPlan::Sessions { gap_ms } => {
                    let gap = gap_ms.saturating_mul(1000);
                    let hidden = oldest.is_some_and(|t| cut.more || (cut.lower > i64::MIN && t.saturating_sub(cut.lower) < gap));
                    view::sessions(feature.schema(), &events, gap, if hidden { view::Oldest::Open } else { view::Oldest::Whole })?
                }
                ViewPlan::Objects { by } => view::objects(feature.schema(), &events, by)?,
                ViewPlan::Events => events,
            };
            let rows = match query.order {
                Order::NewestFirst => rows,
                Order::OldestFirst => view::reversed(&rows)?,
            };
            match &query.columns {
                Some(wanted) => rows.project(wanted)?,
                None => rows,
            }
        }
    };
    Ok(Sequence { rows, events: cut.count, newest, oldest, coverage })
}

pub(super) fn rows_of<'a>(sources: &[Source<'a>], chosen: &Chosen) -> &'a Columns {
    sources[chosen.signal].parts[chosen.part].rows
}
