//! How far every revision is needed, over the caches; made anew when they change, and at most twice a second.
//!
//! A sequence revision runs while a route names it, while it is live in its feature's status, while an attempt that has not ended has
//! sent it beyond Preparing or came from it, and while a consumer pins it. A signal revision is as much needed as the most alive of those
//! that read it ([`crate::needed`]).

mod gather;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tress_configs::name::QualifiedName;
use tress_crds::revision::{PinnedSignal, Use};

use self::gather::Gathered;
use crate::cluster::Cluster;
use crate::needed;

/// What is needed, remembered. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Needs(Arc<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    needed: Mutex<Option<Made>>,
    named: Mutex<Option<Named>>,
}

/// The features that name each signal, as of this many changes of features.
#[derive(Debug)]
struct Named {
    changes: u64,
    by_signal: Arc<BTreeMap<QualifiedName, BTreeSet<String>>>,
}

/// How far each revision is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needed {
    uses: BTreeMap<String, Use>,
    readers: BTreeMap<String, Vec<Reader>>,
    /// The signal revisions that run, by their signal: names and UIDs.
    running: BTreeMap<QualifiedName, Vec<(String, String)>>,
}

/// A sequence revision that reads a signal revision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader {
    /// namespace/name of its feature.
    pub feature: String,
    /// Of its plan.
    pub digest: String,
    pub needed: Use,
    /// Its plan is recorded in the lake.
    pub prepared: bool,
}

/// What is needed, and whether it may be a little old.
#[derive(Debug, Clone)]
pub struct Look {
    pub needed: Arc<Needed>,
    /// Something changed since, or will have then: look again.
    pub again: Option<Timestamp>,
}

#[derive(Debug, Clone)]
struct Made {
    /// Of the caches, as it was made.
    changes: [u64; 6],
    at: Timestamp,
    /// When the next pin ends.
    until: Option<Timestamp>,
    needed: Arc<Needed>,
}

/// The most revisions of one signal that run at a time.
pub const MAX_RUNNING: usize = 3;
/// It is made anew no more often than this: a commit of a thousand definitions changes the caches ten thousand times.
const PAUSE: SignedDuration = SignedDuration::from_millis(500);

impl Needs {
    /// What is needed, at most [`PAUSE`] old: whoever is given an old one is told when to look again.
    #[must_use]
    pub fn look(&self, cluster: &Cluster, now: Timestamp) -> Look {
        let changes = changes(cluster);
        let mut made = self.0.needed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*made {
            let next = made.at.checked_add(PAUSE).unwrap_or(made.at);
            let is_over = made.until.is_some_and(|until| until <= now);
            if made.changes == changes && !is_over {
                return Look { needed: Arc::clone(&made.needed), again: made.until };
            }
            if made.at <= now && now < next {
                return Look { needed: Arc::clone(&made.needed), again: Some(next) };
            }
        }
        let (needed, until) = needed(cluster, now);
        let needed = Arc::new(needed);
        *made = Some(Made { changes, at: now, until, needed: Arc::clone(&needed) });
        Look { needed, again: until }
    }

    /// The features that name a signal in their specs, as namespace/name.
    #[must_use]
    pub fn named_by(&self, cluster: &Cluster, signal: &QualifiedName) -> BTreeSet<String> {
        let changes = cluster.features.changes();
        let mut named = self.0.named.lock().unwrap_or_else(PoisonError::into_inner);
        let by_signal = match &*named {
            Some(named) if named.changes == changes => Arc::clone(&named.by_signal),
            _ => {
                let by_signal = Arc::new(gather::named(cluster));
                *named = Some(Named { changes, by_signal: Arc::clone(&by_signal) });
                by_signal
            }
        };
        drop(named);
        by_signal.get(signal).cloned().unwrap_or_default()
    }
}

impl Needed {
    /// How far a revision is needed, by its UID. One that nobody has seen is kept: it was made just now.
    #[must_use]
    pub fn of(&self, uid: &str) -> Use {
        self.uses.get(uid).copied().unwrap_or(Use::Kept)
    }

    /// The sequence revisions that read a signal revision, by its UID.
    #[must_use]
    pub fn readers(&self, uid: &str) -> &[Reader] {
        self.readers.get(uid).map(Vec::as_slice).unwrap_or_default()
    }

    /// The digests of all features' plans that the base of a signal revision has to be made for, sorted: those that run and whose plans
    /// are in the lake.
    #[must_use]
    pub fn demands(&self, uid: &str) -> Vec<String> {
        let counts = |reader: &&Reader| reader.needed == Use::Running && reader.prepared;
        let mut digests: Vec<String> = self.readers(uid).iter().filter(counts).map(|reader| reader.digest.clone()).collect();
        digests.sort();
        digests.dedup();
        digests
    }

    /// Whether the signals of a target would have more revisions running than may; who runs them.
    #[must_use]
    pub fn crowded(&self, target: &[(QualifiedName, PinnedSignal)]) -> Option<String> {
        target.iter().find_map(|(signal, pin)| {
            let running = self.running.get(signal)?;
            if running.len() < MAX_RUNNING || running.iter().any(|(_, uid)| *uid == pin.uid) {
                return None;
            }
            let held = |(name, uid): &(String, String)| {
                let runs = |reader: &&Reader| reader.needed == Use::Running;
                let mut by: Vec<&str> = self.readers(uid).iter().filter(runs).map(|reader| reader.feature.as_str()).collect();
                by.dedup();
                let more = by.len().saturating_sub(3);
                by.truncate(3);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("{name} for {}{more}", by.join(", "))
            };
            Some(format!("of {signal} run {}", running.iter().map(held).collect::<Vec<_>>().join("; ")))
        })
    }
}

fn changes(cluster: &Cluster) -> [u64; 6] {
    let Cluster { features, signals, sequence_revisions, signal_revisions, rollouts, maps, .. } = cluster;
    [features.changes(), signals.changes(), sequence_revisions.changes(), signal_revisions.changes(), rollouts.changes(), maps.changes()]
}

/// With the time when the next pin ends.
fn needed(cluster: &Cluster, now: Timestamp) -> (Needed, Option<Timestamp>) {
    let Gathered { declared, sequences, signals, digests, names } = gather::all(cluster);
    let uses = needed::uses(&declared, &sequences, &signals, now);
    let mut readers: BTreeMap<String, Vec<Reader>> = BTreeMap::new();
    for sequence in &sequences {
        let needed = uses.get(&sequence.uid).copied().unwrap_or(Use::Kept);
        let Some((digest, prepared)) = digests.get(&sequence.uid) else { continue };
        for signal in &sequence.signals {
            let reader = Reader { feature: sequence.feature.clone(), digest: digest.clone(), needed, prepared: *prepared };
            readers.entry(signal.clone()).or_default().push(reader);
        }
    }
    readers.values_mut().for_each(|all| all.sort());
    let mut running: BTreeMap<QualifiedName, Vec<(String, String)>> = BTreeMap::new();
    for (uid, (signal, name)) in names {
        if uses.get(&uid) == Some(&Use::Running) {
            running.entry(signal).or_default().push((name, uid));
        }
    }
    running.values_mut().for_each(|all| all.sort());
    let until = sequences.iter().filter_map(|s| s.pinned_until).filter(|until| *until > now).min();
    (Needed { uses, readers, running }, until)
}
