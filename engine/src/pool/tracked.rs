//! What is known of every revision that is loaded or on its way, and which of two with the same contents readers are shown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tress_configs::name::QualifiedName;

use super::load::Loaded;
use crate::clock::Stopwatch;
use crate::error::ErrorKind;
use crate::serve::{Pinned, StateName};
use crate::store::ServedFeature;

/// A revision of a feature, by the digest of its plan.
pub type Key = (QualifiedName, String);
/// The same, exactly.
pub type Exact = (QualifiedName, Pinned);

/// All of them.
#[derive(Debug, Default)]
pub struct All {
    pub tracked: BTreeMap<Exact, Tracked>,
    /// What readers are shown.
    pub shown: BTreeMap<Key, Shown>,
}

/// The one of a key that readers are shown, by its UID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub uid: String,
    pub ready: bool,
}

/// One of them.
#[derive(Debug)]
pub struct Tracked {
    pub phase: Phase,
    /// Attempts that failed in a row.
    pub failures: u32,
    /// Since when nothing names it.
    pub unnamed: Option<Stopwatch>,
    /// Ends its load.
    pub cancel: CancellationToken,
}

/// How far it is.
#[derive(Debug)]
pub enum Phase {
    Loading {
        /// Why the attempt before failed.
        before: Option<(ErrorKind, String)>,
    },
    Ready(Loaded),
    Failed {
        kind: ErrorKind,
        reason: String,
        since: Stopwatch,
        pause: Duration,
    },
}

/// What is told of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub uid: String,
    /// Why it failed, or failed before it was tried again.
    pub reason: String,
    /// UIDs of its signals, in the plan's order; none before it is ready.
    pub signals: Vec<String>,
}

/// What is told of one that readers are not shown, for another one has its contents.
#[derive(Debug)]
pub struct Beside {
    pub pinned: Pinned,
    pub state: StateName,
    pub served: Option<Arc<ServedFeature>>,
    pub told: Told,
}

impl All {
    /// What nothing has named for a while. The one that readers have stays until the one that takes its place is ready.
    pub fn gone(&mut self, named: &[Exact], grace: Duration) -> Vec<Exact> {
        let wanted: BTreeSet<&Exact> = named.iter().collect();
        let keys: BTreeSet<Key> = named.iter().map(key_of).collect();
        let mut gone = Vec::new();
        for (exact, tracked) in &mut self.tracked {
            if wanted.contains(exact) {
                tracked.unnamed = None;
                continue;
            }
            let is_over = tracked.unnamed.get_or_insert_with(Stopwatch::start).elapsed() >= grace;
            let key = key_of(exact);
            let stands_in = keys.contains(&key) && self.shown.get(&key) == Some(&Shown { uid: exact.1.uid.clone(), ready: true });
            if is_over && !stands_in {
                gone.push(exact.clone());
            }
        }
        gone
    }

    /// Of each key the one that readers are to have: of those that are ready, or of all where none is, the one that counts most.
    pub fn chosen(&self, named: &[Exact]) -> BTreeMap<Key, Shown> {
        let ranks: BTreeMap<&Exact, usize> = named.iter().zip(0..).collect();
        let mut best: BTreeMap<Key, (bool, usize, &str)> = BTreeMap::new();
        for (exact, tracked) in &self.tracked {
            let candidate = (!tracked.is_ready(), ranks.get(exact).copied().unwrap_or(usize::MAX), exact.1.uid.as_str());
            let known = best.entry(key_of(exact)).or_insert(candidate);
            *known = (*known).min(candidate);
        }
        best.into_iter().map(|(key, (waits, _, uid))| (key, Shown { uid: uid.to_owned(), ready: !waits })).collect()
    }
}

impl Tracked {
    pub const fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready(_))
    }
}

impl Phase {
    pub fn told(&self, uid: String) -> Told {
        let (reason, signals) = match self {
            Self::Loading { before } => (before.as_ref().map(|(_, reason)| reason.clone()).unwrap_or_default(), Vec::new()),
            Self::Ready(Loaded { uses, .. }) => (String::new(), uses.iter().map(|used| used.signal.uid.clone()).collect()),
            Self::Failed { reason, .. } => (reason.clone(), Vec::new()),
        };
        Told { uid, reason, signals }
    }

    pub fn beside(&self, pinned: &Pinned) -> Beside {
        let (state, served) = match self {
            Self::Loading { .. } => (StateName::Loading, None),
            Self::Ready(loaded) => (StateName::Ready, Some(Arc::clone(&loaded.served))),
            Self::Failed { .. } => (StateName::Failed, None),
        };
        Beside { pinned: pinned.clone(), state, served, told: self.told(pinned.uid.clone()) }
    }
}

pub fn key_of((feature, pinned): &Exact) -> Key {
    (feature.clone(), pinned.digest.clone())
}
