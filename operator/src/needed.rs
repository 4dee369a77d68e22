//! Which revisions run, which are kept, which go. A revision goes when nothing needs it, not when its definition goes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tress_crds::revision::Use;

/// A sequence revision, by its UID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    pub uid: String,
    /// namespace/name of its feature.
    pub feature: String,
    /// How far it is needed whatever else: live, or target or previous of an attempt = Running; what is declared = Kept.
    pub least: Use,
    /// A consumer asked for it by its digest; it stays until then.
    pub pinned_until: Option<Timestamp>,
    pub made: Timestamp,
    /// UIDs of the signal revisions that it reads.
    pub signals: Vec<String>,
}

/// A signal revision, by its UID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    pub uid: String,
    /// namespace/name of its definition.
    pub signal: String,
    pub schema_version: i32,
    pub made: Timestamp,
    /// How far it is needed whatever else: it may be read by a revision that is read and that nobody knows any more.
    pub least: Use,
}

/// What is declared now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// Features, each with how many of its revisions are kept beside those that run.
    pub features: BTreeMap<String, usize>,
    /// Signals.
    pub signals: BTreeSet<String>,
    /// UIDs of the revisions that the signals' definitions are.
    pub accepted: BTreeSet<String>,
}

/// How far each revision is needed, by its UID.
#[must_use]
pub fn uses(declared: &Declared, sequences: &[Sequence], signals: &[Signal], now: Timestamp) -> BTreeMap<String, Use> {
    let mut uses = BTreeMap::new();
    let mut kept: BTreeMap<&str, usize> = BTreeMap::new();
    let mut newest_first: Vec<&Sequence> = sequences.iter().collect();
    newest_first.sort_by(|a, b| (b.made, &b.uid).cmp(&(a.made, &a.uid)));
    for sequence in newest_first {
        let runs = sequence.least == Use::Running || sequence.pinned_until.is_some_and(|until| until > now);
        let history = declared.features.get(&sequence.feature).copied().unwrap_or_default();
        let count = kept.entry(&sequence.feature).or_default();
        let needed = if runs {
            Use::Running
        } else if sequence.least == Use::Kept {
            Use::Kept
        } else if *count < history {
            *count += 1;
            Use::Kept
        } else {
            Use::Gone
        };
        uses.insert(sequence.uid.clone(), needed);
        for signal in &sequence.signals {
            let most = uses.get(signal).copied().unwrap_or(Use::Gone).max(needed);
            uses.insert(signal.clone(), most);
        }
    }
    let mut newest: BTreeMap<(&str, i32), &Signal> = BTreeMap::new();
    for signal in signals {
        let known = uses.entry(signal.uid.clone()).or_insert(Use::Gone);
        *known = (*known).max(signal.least);
        let best = newest.entry((&signal.signal, signal.schema_version)).or_insert(signal);
        if (best.made, &best.uid) < (signal.made, &signal.uid) {
            *best = signal;
        }
    }
    // What the next feature would read.
    let newest = newest.into_iter().filter(|((name, _), _)| declared.signals.contains(*name)).map(|(_, signal)| &signal.uid);
    for uid in newest.chain(&declared.accepted) {
        if let Some(needed) = uses.get_mut(uid) {
            *needed = (*needed).max(Use::Kept);
        }
    }
    uses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn sequence(uid: &str, made: i64, least: Use, signals: &[&str]) -> Sequence {
        let signals = signals.iter().map(|s| (*s).to_owned()).collect();
        Sequence { uid: uid.to_owned(), feature: "n/f".to_owned(), least, pinned_until: None, made: at(made), signals }
    }

    fn signal(uid: &str, made: i64) -> Signal {
        Signal { uid: uid.to_owned(), signal: "n/s".to_owned(), schema_version: 1, made: at(made), least: Use::Gone }
    }

    fn shown(uses: &BTreeMap<String, Use>) -> String {
        uses.iter().map(|(uid, needed)| format!("{uid} {needed:?}")).collect::<Vec<_>>().join(", ")
    }

    fn declared(features: &[(&str, usize)], signals: &[&str]) -> Declared {
        Declared {
            features: features.iter().map(|(name, history)| ((*name).to_owned(), *history)).collect(),
            signals: signals.iter().map(|s| (*s).to_owned()).collect(),
            accepted: BTreeSet::new(),
        }
    }

    #[test]
    fn a_signal_revision_is_as_much_needed_as_the_most_alive_that_reads_it() {
        let sequences = [
            sequence("q1", 1, Use::Gone, &["s1"]),
            sequence("q2", 2, Use::Gone, &["s1", "s2"]),
            sequence("q3", 3, Use::Running, &["s2", "s3"]),
        ];
        let signals = [signal("s1", 1), signal("s2", 2), signal("s3", 3)];
        let uses = uses(&declared(&[("n/f", 1)], &["n/s"]), &sequences, &signals, at(9));
        assert_eq!(shown(&uses), "q1 Gone, q2 Kept, q3 Running, s1 Kept, s2 Running, s3 Running");
    }

    #[test]
    fn the_newest_of_a_declared_signal_stays_and_the_rest_goes() {
        let signals = [signal("s1", 1), signal("s2", 2)];
        assert_eq!(shown(&uses(&declared(&[], &["n/s"]), &[], &signals, at(9))), "s1 Gone, s2 Kept");
        assert_eq!(shown(&uses(&declared(&[], &[]), &[], &signals, at(9))), "s1 Gone, s2 Gone");
    }

    #[test]
    fn what_a_definition_went_back_to_stays_though_it_is_not_the_newest() {
        let signals = [signal("s1", 1), signal("s2", 2), signal("s3", 3)];
        let back = Declared { accepted: ["s1".to_owned()].into(), ..declared(&[], &["n/s"]) };
        assert_eq!(shown(&uses(&back, &[], &signals, at(9))), "s1 Kept, s2 Gone, s3 Kept");
    }

    #[test]
    fn a_target_that_waits_for_its_turn_stays_without_a_place_in_the_history() {
        let sequences = [sequence("q1", 1, Use::Gone, &["s1"]), sequence("q2", 2, Use::Kept, &["s2"])];
        let uses = uses(&declared(&[("n/f", 1)], &[]), &sequences, &[signal("s1", 1), signal("s2", 2)], at(9));
        assert_eq!(shown(&uses), "q1 Kept, q2 Kept, s1 Kept, s2 Kept");
    }

    #[test]
    fn a_deleted_definition_does_not_end_what_is_read() {
        let sequences = [sequence("q1", 1, Use::Running, &["s1"])];
        assert_eq!(shown(&uses(&declared(&[], &[]), &sequences, &[signal("s1", 1)], at(9))), "q1 Running, s1 Running");
    }

    #[test]
    fn what_may_be_read_by_a_revision_that_is_lost_stays_as_it_was() {
        let signals = [Signal { least: Use::Running, ..signal("s1", 1) }, Signal { least: Use::Kept, ..signal("s2", 2) }, signal("s3", 3)];
        assert_eq!(shown(&uses(&declared(&[], &[]), &[], &signals, at(9))), "s1 Running, s2 Kept, s3 Gone");
    }

    #[test]
    fn a_pinned_revision_runs_until_its_time() {
        let pinned = Sequence { pinned_until: Some(at(10)), ..sequence("q1", 1, Use::Gone, &["s1"]) };
        let none = declared(&[], &[]);
        assert_eq!(shown(&uses(&none, std::slice::from_ref(&pinned), &[signal("s1", 1)], at(9))), "q1 Running, s1 Running");
        assert_eq!(shown(&uses(&none, &[pinned], &[signal("s1", 1)], at(10))), "q1 Gone, s1 Gone");
    }
}
