//! Who leads: the holder of a Lease of coordination.k8s.io, renewed with preconditions on its version.
//!
//! ```text
//! stand by ─(nobody holds it, or it was not renewed for as long as it lasts)─▶ lead ─(told to end)─▶ hand over: nobody holds it
//!    ▲                                                                          │
//!    ╰───────────────(somebody else holds it, or it could not be renewed)───────╯
//! ```
//! No clock of another machine is trusted: a Lease has ended when this process has watched it unchanged for as long as it lasts. Whoever
//! leads counts from before it asked for the renewal.

mod claim;
mod elect;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub use self::elect::{Elector, Lost};
use crate::clock::Stopwatch;

/// How long a Lease lasts that is not renewed.
pub const LASTS: Duration = Duration::from_secs(15);

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

    fn end(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
