//! What an answer says of itself: which revision, how fresh, how complete.

use super::registry::Revision;
use super::request::Bound;
use crate::store::{Answer, SignalState};

/// Of one sequence, or of a whole batch. Times are microseconds, UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Digest of the feature's plan.
    pub revision: String,
    /// Of the route that chose it.
    pub epoch: u64,
    pub schema_digest: String,
    pub as_of: i64,
    pub known_by: Option<i64>,
    /// Per signal of the feature, with its name.
    pub signals: Vec<(String, SignalState)>,
    /// The least over the signals that were read; `None` when one of them has none.
    pub least: SignalState,
    /// event_time of the events of the answer.
    pub newest: Option<i64>,
    pub oldest: Option<i64>,
    /// Events, before a view folds them.
    pub available: u64,
    pub completeness: Completeness,
    pub coverage: Vec<CoverageProfile>,
    pub truncated: bool,
    pub degraded: Vec<Degradation>,
    /// The day the feature goes (empty when none is set); `None` = it stays.
    pub deprecated: Option<String>,
    /// Whether history was asked.
    pub deep: bool,
}

/// Whether everything that is expected up to as_of counts as in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// A signal has no sealed history: nothing is known.
    Unknown,
    /// Late events are still expected.
    Open,
    Complete,
}

/// What is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Degradation {
    /// The source was applied longer ago than the feature promises.
    Stale,
    /// A signal has applied nothing yet.
    NotStarted,
    /// The route gives this entity to the trial, which is not ready here: the live revision answered.
    TrialUnavailable,
}

/// Of the answer's events, the share whose enrichment was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoverageProfile {
    pub signal: String,
    pub enrichment: String,
    pub found: u64,
    pub events: u64,
}

/// What a batch says of one of its entities: what differs between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityProfile {
    pub revision: String,
    pub newest: Option<i64>,
    pub oldest: Option<i64>,
    pub available: u64,
    pub truncated: bool,
    pub deep: bool,
}

/// Under which conditions an answer came about.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// Microseconds, UTC.
    pub now: i64,
    pub epoch: u64,
    /// Whether the live revision stood in for the trial.
    pub stood_in: bool,
    /// now − applied_through, µs, beyond which the answer is stale, as the route says it.
    pub fresh_within: Promised,
}

/// What a route says of freshness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promised {
    /// Nothing: what was said when the revision was loaded counts.
    AsLoaded,
    /// It has a contract; `None` = one that promises no freshness.
    ByRoute(Option<i64>),
}

impl Profile {
    /// Of one answer.
    #[must_use]
    pub fn of(revision: &Revision, bound: &Bound, answer: &Answer, circumstances: Circumstances) -> Self {
        let query = bound.query();
        let read = |index: usize| query.signals.as_ref().is_none_or(|signals| signals.contains(&index));
        let states: Vec<SignalState> = answer.signals.iter().enumerate().filter(|(i, _)| read(*i)).map(|(_, s)| *s).collect();
        let least = least(&states);
        Self {
            revision: revision.digest.clone(),
            epoch: circumstances.epoch,
            schema_digest: revision.schema_digest.clone(),
            as_of: query.as_of,
            known_by: query.known_by,
            signals: revision.signal_names.iter().cloned().zip(answer.signals.iter().copied()).collect(),
            least,
            newest: answer.sequence.newest,
            oldest: answer.sequence.oldest,
            available: answer.sequence.events as u64,
            completeness: completeness(least.complete_through, query.as_of),
            coverage: coverage(revision, answer),
            truncated: answer.truncated,
            degraded: degraded(revision, least.applied_through, circumstances),
            deprecated: revision.plan().sunset.clone(),
            deep: answer.deep,
        }
    }

    /// Takes another entity of the same batch into account: the least of every freshness, the sum of every count. The revision stays
    /// that of the first.
    pub fn absorb(&mut self, other: &Self) {
        for ((_, mine), (_, theirs)) in self.signals.iter_mut().zip(&other.signals) {
            *mine = least(&[*mine, *theirs]);
        }
        self.least = least(&[self.least, other.least]);
        self.newest = self.newest.max(other.newest);
        self.oldest = [self.oldest, other.oldest].into_iter().flatten().min();
        self.available += other.available;
        self.completeness = completeness(self.least.complete_through, self.as_of);
        for theirs in &other.coverage {
            let mine = self.coverage.iter_mut().find(|c| c.signal == theirs.signal && c.enrichment == theirs.enrichment);
            match mine {
                Some(mine) => {
                    mine.found += theirs.found;
                    mine.events += theirs.events;
                }
                None => self.coverage.push(theirs.clone()),
            }
        }
        self.truncated |= other.truncated;
        self.deep |= other.deep;
        self.degraded.extend(&other.degraded);
        self.degraded.sort_unstable();
        self.degraded.dedup();
    }

    /// What a batch says of this entity.
    #[must_use]
    pub fn of_entity(&self) -> EntityProfile {
        EntityProfile {
            revision: self.revision.clone(),
            newest: self.newest,
            oldest: self.oldest,
            available: self.available,
            truncated: self.truncated,
            deep: self.deep,
        }
    }
}

/// The least of each; `None` where one of them has none, or there are none.
pub fn least(states: &[SignalState]) -> SignalState {
    let of = |field: fn(&SignalState) -> Option<i64>| -> Option<i64> {
        let values: Option<Vec<i64>> = states.iter().map(field).collect();
        values?.into_iter().min()
    };
    SignalState {
        applied_through: of(|s| s.applied_through),
        history_through: of(|s| s.history_through),
        complete_through: of(|s| s.complete_through),
    }
}

fn completeness(complete_through: Option<i64>, as_of: i64) -> Completeness {
    match complete_through {
        None => Completeness::Unknown,
        Some(through) if as_of < through => Completeness::Complete,
        Some(_) => Completeness::Open,
    }
}

fn degraded(revision: &Revision, applied_through: Option<i64>, circumstances: Circumstances) -> Vec<Degradation> {
    let promised = match circumstances.fresh_within {
        Promised::ByRoute(promised) => promised,
        Promised::AsLoaded => revision.about.freshness_p99.map(|d| d.micros()),
    };
    let mut degraded = match (applied_through, promised) {
        (None, _) => vec![Degradation::NotStarted],
        (Some(through), Some(promised)) if circumstances.now.saturating_sub(through) > promised => vec![Degradation::Stale],
        _ => Vec::new(),
    };
    if circumstances.stood_in {
        degraded.push(Degradation::TrialUnavailable);
    }
    degraded
}

fn coverage(revision: &Revision, answer: &Answer) -> Vec<CoverageProfile> {
    let named = answer.sequence.coverage.iter().filter_map(|c| {
        let signal = revision.signals().get(c.signal)?;
        let enrichment = signal.enrichments.get(c.enrichment)?;
        Some(CoverageProfile {
            signal: signal.name.to_string(),
            enrichment: enrichment.name.clone(),
            found: c.found as u64,
            events: c.events as u64,
        })
    });
    named.collect()
}
