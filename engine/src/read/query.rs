//! What is asked of a feature, and what comes back.

use arrow::array::RecordBatch;

use super::assemble::{Chosen, rows_of};
use super::feature::Feature;
use super::source::Source;
use crate::entity::Entity;

/// The most rows of any answer.
pub const MAX_LIMIT: usize = 10_000;

/// One read of one entity. Times are microseconds, UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub entity: Entity,
    /// Only events with event_time ≤ this; the window ends here.
    pub as_of: i64,
    /// Only what a reader could have known by then (available_at ≤ this), before versions are resolved.
    pub known_by: Option<i64>,
    /// Only events with event_time ≥ this.
    pub since: Option<i64>,
    /// Only events with event_time < this.
    pub until: Option<i64>,
    /// Indexes into the plan's signals; `None` = all.
    pub signals: Option<Vec<usize>>,
    /// Indexes into [`super::Feature::schema`]; `None` = all, in its order.
    pub columns: Option<Vec<usize>>,
    /// At most this many events, also more than the feature's length; `None` = its length. Never more than [`MAX_LIMIT`].
    pub limit: Option<u32>,
    pub order: Order,
}

/// The order of the rows of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    #[default]
    NewestFirst,
    OldestFirst,
}

/// The answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// The columns asked for, of [`super::Feature::schema`].
    pub rows: RecordBatch,
    /// Events found, before the view folds them; at most the limit.
    pub events: usize,
    pub newest: Option<i64>,
    pub oldest: Option<i64>,
    /// One per enrichment of each signal that the feature reads.
    pub coverage: Vec<Coverage>,
}

/// Of the events of an answer, the share whose enrichment was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// Index into the plan's signals.
    pub signal: usize,
    /// Index into that signal's enrichments.
    pub enrichment: usize,
    pub found: usize,
    pub events: usize,
}

impl Query {
    /// Everything of one entity as of a time.
    #[must_use]
    pub const fn new(entity: Entity, as_of: i64) -> Self {
        Self {
            entity,
            as_of,
            known_by: None,
            since: None,
            until: None,
            signals: None,
            columns: None,
            limit: None,
            order: Order::NewestFirst,
        }
    }
}

/// Counts, over the chosen rows, how often each enrichment was found.
pub(super) fn coverage(feature: &Feature, sources: &[Source<'_>], chosen: &[Chosen]) -> Vec<Coverage> {
    let mut counts = Vec::new();
    for (signal, plan) in feature.signals().iter().enumerate() {
        for enrichment in 0..plan.enrichments.len() {
            counts.push(Coverage { signal, enrichment, found: 0, events: 0 });
        }
    }
    for c in chosen {
        let rows = rows_of(sources, c);
        for count in counts.iter_mut().filter(|count| count.signal == c.signal) {
            count.events += c.rows.len();
            count.found += c.rows.clone().filter(|row| rows.found(*row) & (1 << count.enrichment) != 0).count();
        }
    }
    counts
}
