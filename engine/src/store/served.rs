//! A feature that is loaded: its compiled read and the signals it reads from.

use std::sync::Arc;

use crate::error::Result;
use crate::read::{Feature, Query, Sequence};

/// A feature, ready to be read.
#[derive(Debug)]
pub struct ServedFeature {
    pub feature: Feature,
    /// Digest of the feature's plan: which revision this is.
    pub digest: String,
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
    /// Reads one entity: from memory, and from history where memory cannot answer exactly.
    ///
    /// # Errors
    /// `Unavailable` when history is needed and does not answer; `Invalid` for a query that names what is not there.
    pub async fn read(self: &Arc<Self>, _query: &Query) -> Result<Answer> {
        unimplemented!()
    }

    /// How far its signals are now.
    #[must_use]
    pub fn signal_states(&self) -> Vec<SignalState> {
        unimplemented!()
    }
}
