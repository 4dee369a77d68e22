//! What is remembered of features between looks. Lost with the process, which only makes it slower.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tress_crds::definition::{Change, ContractStatus};

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
}

impl Memory {
    /// See [`Others::tell`].
    pub(super) fn tell(
        &self,
        uid: &str,
        before: Option<&ContractStatus>,
        seen: &ContractStatus,
        now: Timestamp,
    ) -> (ContractStatus, Option<Timestamp>) {
        self.0.contracts.tell(uid, before, seen, now)
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
}
