//! What is done about a record.

use jiff::{SignedDuration, Timestamp};

use crate::jobs::{Observed, Seen};

/// What is seen of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Facts {
    /// The revision is there, or is being deleted.
    pub there: bool,
    /// A sequence revision in some namespace reads it.
    pub read: bool,
    pub drop: Observed,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    /// The job that deletes what belongs to it.
    Drop,
    /// That is done; the record goes.
    Forget,
    /// It cannot be done as things are; what is left is told.
    Tell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decision {
    pub action: Action,
    pub next: Option<Timestamp>,
}

/// What the caches do not show is looked for again after this.
const LOOK: SignedDuration = SignedDuration::from_mins(10);

/// Decides. Pure, total.
pub(super) fn decide(facts: &Facts, now: Timestamp) -> Decision {
    let rest = |action| Decision { action, next: None };
    if facts.there || facts.read {
        return Decision { action: Action::Nothing, next: now.checked_add(LOOK).ok() };
    }
    match (&facts.drop.seen, facts.drop.again()) {
        (Seen::Missing, _) => rest(Action::Drop),
        (Seen::Succeeded(Some(_)), _) => rest(Action::Forget),
        (_, Some(at)) if at <= now => rest(Action::Drop),
        (Seen::Failed(_), at) => Decision { action: Action::Tell, next: at },
        (_, at) => Decision { action: Action::Nothing, next: at },
    }
}

#[cfg(test)]
mod tests {
    use tress_configs::job::{Outcome, Report, Role};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn job(seen: Seen) -> Observed {
        Observed { seen, ended: Some(at(0)), ..Observed::missing() }
    }

    #[test]
    fn nothing_is_dropped_while_it_is_there_or_read() {
        for (there, read) in [(true, false), (false, true), (true, true)] {
            for seen in [Seen::Missing, Seen::Succeeded(Some(Report::new(Role::Drop, Outcome::Succeeded, None)))] {
                assert_eq!(decide(&Facts { there, read, drop: job(seen) }, at(0)).action, Action::Nothing);
            }
        }
    }

    #[test]
    fn what_is_gone_is_dropped_until_that_is_done_and_what_is_left_is_told() {
        let act = |seen: Seen, now| {
            let Decision { action, next } = decide(&Facts { there: false, read: false, drop: job(seen) }, at(now));
            (action, next)
        };
        let report = |outcome| Some(Report::new(Role::Drop, outcome, None));
        assert_eq!(act(Seen::Missing, 0), (Action::Drop, None));
        assert_eq!(act(Seen::Running, 0), (Action::Nothing, None));
        assert_eq!(act(Seen::Failed(report(Outcome::FailedForNow)), 9), (Action::Tell, Some(at(10))));
        assert_eq!(act(Seen::Failed(report(Outcome::FailedForNow)), 10), (Action::Drop, None));
        assert_eq!(act(Seen::Failed(report(Outcome::Failed)), 59), (Action::Tell, Some(at(60))));
        assert_eq!(act(Seen::Succeeded(None), 10), (Action::Drop, None));
        assert_eq!(act(Seen::Succeeded(report(Outcome::UpToDate)), 0), (Action::Forget, None));
    }
}
