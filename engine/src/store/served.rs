//! A feature that is loaded: its compiled read and the signals it reads from.

use std::sync::Arc;

use super::{SignalStore, deep};
use crate::error::{Error, Result};
use crate::read::{Feature, MAX_LIMIT, Outcome, Query, Sequence, Source, assemble};
use crate::tail::Held;

/// A feature, ready to be read.
#[derive(Debug)]
pub struct ServedFeature {
    pub feature: Feature,
    /// Digest of the feature's plan: which revision this is.
    pub digest: String,
    /// One per signal of the feature, in the plan's order.
    stores: Vec<Arc<SignalStore>>,
}

/// A sequence and how complete and fresh it is.
#[derive(Debug, Clone)]
pub struct Answer {
    pub sequence: Sequence,
    /// One per signal of the feature, in the plan's order.
    pub signals: Vec<SignalState>,
    /// Whether retention has dropped events that the read would have reached.
    pub truncated: bool,
    /// Whether history was asked.
    pub deep: bool,
}

/// How far a signal is. Microseconds, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalState {
    /// The point up to which the source has been applied; `None` = nothing yet.
    pub applied_through: Option<i64>,
    /// The newest event_time up to which history is sealed; `None` = no history.
    pub history_through: Option<i64>,
    /// The end of the newest bucket that counts as complete.
    pub complete_through: Option<i64>,
}

impl ServedFeature {
    /// `stores`: one per signal of the feature, in the plan's order.
    ///
    /// # Errors
    /// As [`Feature::new`].
    pub fn new(plan: Arc<tress_configs::FeaturePlan>, digest: String, stores: Vec<Arc<SignalStore>>) -> Result<Self> {
        let feature = Feature::new(plan, stores.iter().map(|store| Arc::clone(store.plan())).collect())?;
        Ok(Self { feature, digest, stores })
    }

    /// Reads one entity: from memory, and from history where memory cannot answer exactly.
    ///
    /// # Errors
    /// `Unavailable` when history is needed and does not answer; `Invalid` for a query that names what is not there.
    pub async fn read(&self, query: &Query) -> Result<Answer> {
        self.read_admitted(query, || Ok(())).await
    }

    /// As [`ServedFeature::read`]. `admit` is asked before history is; what it gives is held until the answer is there.
    ///
    /// # Errors
    /// Those of `admit`, too.
    pub async fn read_admitted<P>(&self, query: &Query, admit: impl FnOnce() -> Result<P>) -> Result<Answer> {
        let hash = query.entity.hash();
        let held: Vec<Held> = self.stores.iter().map(|store| store.hold(&query.entity, hash)).collect();
        // Base keeps only what won; what was known earlier is in history and tail.
        let resident = if query.known_by.is_none() { self.resident(&held, query)? } else { None };
        let deep = resident.is_none();
        let sequence = match resident {
            Some(sequence) => sequence,
            None => {
                let _permit = admit()?;
                deep::read(&self.feature, &self.stores, &held, query).await?
            }
        };
        let signals = self.stores.iter().map(|store| store.state(hash)).collect();
        let truncated = self.truncated(&held, query, &sequence);
        Ok(Answer { sequence, signals, truncated, deep })
    }

    /// Reads one entity from memory alone; `None` when history would have to be asked.
    ///
    /// # Errors
    /// `Invalid` for a query that names what is not there.
    pub fn read_resident(&self, query: &Query) -> Result<Option<Sequence>> {
        let hash = query.entity.hash();
        let held: Vec<Held> = self.stores.iter().map(|store| store.hold(&query.entity, hash)).collect();
        self.resident(&held, query)
    }

    /// How far its signals are now.
    #[must_use]
    pub fn signal_states(&self) -> Vec<SignalState> {
        self.stores.iter().map(|store| store.least_state()).collect()
    }

    #[must_use]
    pub fn stores(&self) -> &[Arc<SignalStore>] {
        &self.stores
    }

    fn resident(&self, held: &[Held], query: &Query) -> Result<Option<Sequence>> {
        if query.known_by.is_some() {
            return Err(Error::internal("read from memory: what was known earlier is not there"));
        }
        let sources: Vec<Source<'_>> = held.iter().map(Held::source).collect();
        Ok(match assemble(&self.feature, &sources, query)? {
            Outcome::Complete(sequence) => Some(sequence),
            Outcome::NeedMore => None,
        })
    }

    /// Retention cuts a read short when the read was not full and reaches below what retention keeps at the newest sealed event.
    fn truncated(&self, held: &[Held], query: &Query, sequence: &Sequence) -> bool {
        let plan = self.feature.plan();
        let limit = (query.limit.unwrap_or(plan.length) as usize).min(MAX_LIMIT);
        if sequence.events >= limit {
            return false;
        }
        let wanted =
            plan.window_ms.map_or(i64::MIN, |w| query.as_of.saturating_sub(w.saturating_mul(1000))).max(query.since.unwrap_or(i64::MIN));
        held.iter().zip(&self.stores).any(|(held, store)| {
            let newest = held.history().and_then(|snapshot| snapshot.newest());
            let kept = store.plan().retention_ms.zip(newest).map(|(keep, newest)| newest.saturating_sub(keep.saturating_mul(1000)));
            kept.is_some_and(|kept| wanted < kept)
        })
    }
}
