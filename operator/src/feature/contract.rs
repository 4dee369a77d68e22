//! Whether readers get what the contract promises. What is told changes only when it was otherwise for a while: figures are in metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tress_configs::definition::Contract;
use tress_crds::definition::{ContractStatus, Kept};

use super::seen::{Observed, Signal};

/// How long it has to be otherwise before it is told.
const HYSTERESIS: SignedDuration = SignedDuration::from_mins(5);

/// What is seen of what is promised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// The oldest that a pod gives; `None` = no pod says.
    pub freshness: Option<SignedDuration>,
    /// Since the least recent seal of a signal's history; `None` = one of them has none.
    pub sealed: Option<SignedDuration>,
}

/// Since when the least recently sealed history of its signals is; `None` = one has none.
pub fn sealed(seen: &Observed, now: Timestamp) -> Option<SignedDuration> {
    let of = |signal: &Signal| {
        let history = signal.revision.as_ref()?.status.as_ref()?.history.clone()?;
        Some(now.duration_since(history.sealed.0))
    };
    let all: Option<Vec<_>> = seen.signals.iter().map(of).collect();
    all?.into_iter().max()
}

/// As it is at this moment.
#[must_use]
pub fn now(contract: &Contract, figures: Figures) -> ContractStatus {
    let Contract { freshness, complete_within } = contract;
    let is_kept = |promised: Option<i64>, seen: Option<SignedDuration>| match (promised, seen) {
        // Nothing is promised.
        (None, _) => Kept::Met,
        (Some(_), None) => Kept::Unknown,
        (Some(promised), Some(seen)) if seen <= SignedDuration::from_millis(promised) => Kept::Met,
        (Some(_), Some(_)) => Kept::Missed,
    };
    ContractStatus {
        freshness: is_kept(freshness.as_ref().map(|freshness| freshness.p99.millis()), figures.freshness),
        completeness: is_kept(complete_within.map(tress_configs::duration::Duration::millis), figures.sealed),
    }
}

/// When completeness lapses though nothing changes.
#[must_use]
pub fn lapses(contract: &Contract, figures: Figures, now: Timestamp) -> Option<Timestamp> {
    let left = SignedDuration::from_millis(contract.complete_within?.millis()).checked_sub(figures.sealed?)?;
    now.checked_add(left).ok().filter(|at| *at > now)
}

/// Since when what is seen of features is otherwise than what is told, by UID.
#[derive(Debug, Default)]
pub struct Others(Mutex<BTreeMap<String, [Option<(Kept, Timestamp)>; 2]>>);

impl Others {
    /// What is told of the feature with this UID from now on, and when that may change.
    pub fn tell(
        &self,
        uid: &str,
        before: Option<&ContractStatus>,
        seen: &ContractStatus,
        now: Timestamp,
    ) -> (ContractStatus, Option<Timestamp>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let others = all.entry(uid.to_owned()).or_default();
        let mut until = None;
        let mut one = |index: usize, before: Option<Kept>, seen: Kept| {
            let Some(other) = others.get_mut(index) else { return seen };
            let Some(before) = before.filter(|before| *before != seen) else {
                *other = None;
                return seen;
            };
            let since = other.filter(|(kept, _)| *kept == seen).map_or(now, |(_, since)| since);
            let due = since.saturating_add(HYSTERESIS).unwrap_or(Timestamp::MAX);
            // What is not known any more, or for the first time, is no promise broken or kept: it waits as long.
            if due <= now {
                *other = None;
                return seen;
            }
            *other = Some((seen, since));
            until = Some(until.map_or(due, |until: Timestamp| until.min(due)));
            before
        };
        let freshness = one(0, before.map(|b| b.freshness), seen.freshness);
        let completeness = one(1, before.map(|b| b.completeness), seen.completeness);
        if others.iter().all(Option::is_none) {
            all.remove(uid);
        }
        (ContractStatus { freshness, completeness }, until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn contract() -> Contract {
        serde_json::from_str(r#"{"freshness": {"p99": "10s"}, "completeWithin": "24h"}"#).unwrap()
    }

    fn told(freshness: Kept) -> ContractStatus {
        ContractStatus { freshness, completeness: Kept::Met }
    }

    #[test]
    fn figures_are_held_against_what_is_promised() {
        let seconds = |s: Option<i64>| s.map(SignedDuration::from_secs);
        let kept = |freshness, sealed| {
            let status = now(&contract(), Figures { freshness: seconds(freshness), sealed: seconds(sealed) });
            (status.freshness, status.completeness)
        };
        assert_eq!(kept(Some(10), Some(86_400)), (Kept::Met, Kept::Met));
        assert_eq!(kept(Some(11), Some(86_401)), (Kept::Missed, Kept::Missed));
        assert_eq!(kept(None, None), (Kept::Unknown, Kept::Unknown));
        let nothing = Contract { freshness: None, complete_within: None };
        assert_eq!(now(&nothing, Figures::default()), told(Kept::Met));
        let lapse = |sealed| lapses(&contract(), Figures { freshness: None, sealed: seconds(sealed) }, at(100)).map(Timestamp::as_second);
        assert_eq!((lapse(Some(86_390)), lapse(Some(86_400)), lapse(None)), (Some(110), None, None));
    }

    #[test]
    fn what_is_told_changes_after_five_minutes_of_the_other() {
        let memory = Others::default();
        let tell = |before, seen, second| {
            let (status, until) = memory.tell("u", Some(&told(before)), &told(seen), at(second));
            (status.freshness, until.map(Timestamp::as_second))
        };
        assert_eq!(memory.tell("u", None, &told(Kept::Missed), at(0)).0.freshness, Kept::Missed);
        assert_eq!(tell(Kept::Met, Kept::Missed, 100), (Kept::Met, Some(400)));
        assert_eq!(tell(Kept::Met, Kept::Missed, 399), (Kept::Met, Some(400)));
        assert_eq!(tell(Kept::Met, Kept::Missed, 400), (Kept::Missed, None));
        // In between it was well: it begins anew.
        assert_eq!(tell(Kept::Met, Kept::Missed, 500), (Kept::Met, Some(800)));
        assert_eq!(tell(Kept::Met, Kept::Met, 700), (Kept::Met, None));
        assert_eq!(tell(Kept::Met, Kept::Missed, 800), (Kept::Met, Some(1100)));
        // Another of the others, too.
        assert_eq!(tell(Kept::Met, Kept::Unknown, 1099), (Kept::Met, Some(1399)));
        assert_eq!(tell(Kept::Met, Kept::Met, 1100), (Kept::Met, None));
        assert!(memory.0.lock().unwrap().is_empty(), "what is at rest is not remembered");
    }
}
