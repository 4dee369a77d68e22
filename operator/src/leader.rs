//! Who leads: the holder of a Lease of coordination.k8s.io, renewed with preconditions on its version.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::clock::Stopwatch;

/// How long this process may still count on leading. Cheap to clone; clones show the same.
#[derive(Debug, Clone, Default)]
pub struct Leadership(Arc<RwLock<Option<Term>>>);

/// Since when, and for how long.
#[derive(Debug, Clone, Copy)]
struct Term {
    since: Stopwatch,
    lasts: Duration,
}

impl Leadership {
    /// One that lasts so long from now on, whatever others do: for tests.
    #[must_use]
    pub fn for_a_while(lasts: Duration) -> Self {
        let leadership = Self::default();
        leadership.extend(Stopwatch::start(), lasts);
        leadership
    }

    /// What is left of it. Zero = this process does not lead.
    #[must_use]
    pub fn left(&self) -> Duration {
        let term = *self.0.read().unwrap_or_else(PoisonError::into_inner);
        term.map_or(Duration::ZERO, |term| term.lasts.saturating_sub(term.since.elapsed()))
    }

    fn extend(&self, since: Stopwatch, lasts: Duration) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Term { since, lasts });
    }
}
