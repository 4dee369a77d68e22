//! What is remembered of features between looks. Lost with the process, which only makes it slower.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tress_crds::definition::Change;

use super::contract::Others;

/// So many changes are remembered; then it begins anew.
const REMEMBERED: usize = 2_000;

/// Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    contracts: Others,
    /// By what is read and what is declared.
    changes: Mutex<HashMap<String, Change>>,
    /// By the UID of an attempt, the route that it has written last, and since when this process knows.
    routed: Mutex<HashMap<String, (u64, Timestamp)>>,
}

impl Memory {
    /// Since when contracts are otherwise than what is told.
    pub(super) fn contracts(&self) -> &Others {
        &self.0.contracts
    }

    /// How far a change reaches that was looked at before.
    pub(super) fn change(&self, of: &str) -> Option<Change> {
        self.0.changes.lock().unwrap_or_else(PoisonError::into_inner).get(of).cloned()
    }

    pub(super) fn remember(&self, of: String, change: Change) {
        let mut changes = self.0.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if changes.len() >= REMEMBERED {
            changes.clear();
        }
        changes.insert(of, change);
    }

    /// Since when a route of this epoch is there, as far as this process knows.
    pub fn routed(&self, attempt: &str, epoch: u64, now: Timestamp) -> Timestamp {
        let mut routed = self.0.routed.lock().unwrap_or_else(PoisonError::into_inner);
        if routed.len() >= REMEMBERED {
            routed.clear();
        }
        let known = routed.entry(attempt.to_owned()).or_insert((epoch, now));
        if known.0 != epoch {
            *known = (epoch, now);
        }
        known.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_counts_from_when_it_was_first_seen() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let memory = Memory::default();
        let routed = |epoch, second| memory.routed("u", epoch, at(second)).as_second();
        assert_eq!((routed(3, 10), routed(3, 20), routed(4, 30), routed(4, 40)), (10, 10, 30, 30));
    }
}
