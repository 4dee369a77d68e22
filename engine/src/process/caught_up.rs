//! Whether a stream has caught up with its topic for the first time. Being behind later is told by metrics, not punished.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::changelog::Published;

/// After so many looks at a goal that is not reached, what the topic holds by then is the goal: it is to be reached soon after it was set.
const LOOKS: u32 = 30;

/// After so many looks a member without partitions needs none: a broker may let one in before it has shared them out.
const NOTHING: u32 = 15;

/// What is looked at every now and then.
#[derive(Debug, Default)]
pub struct CaughtUp(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// It takes no input yet.
    #[default]
    Waiting,
    /// What each partition held that it reads.
    Behind {
        goal: BTreeMap<i32, i64>,
        looks: u32,
        records: i64,
    },
    Reached,
}

impl CaughtUp {
    /// Looks: how far it has `published` the partitions that it reads, and where they end now.
    pub fn look(&self, published: &[Published], ends: &[(i32, i64)]) {
        let mut state = self.0.lock();
        let end = |partition: i32| ends.iter().find(|(of, _)| *of == partition).map(|(_, end)| *end);
        let now: BTreeMap<i32, i64> = published.iter().filter_map(|p| Some((p.partition, end(p.partition)?))).collect();
        let records = |goal: &BTreeMap<i32, i64>| {
            // At the end there may be offsets without records.
            let missing = published.iter().filter(|p| p.at_end_as_of.is_none()).filter_map(|p| Some(goal.get(&p.partition)? - p.offset));
            missing.map(|missing| missing.max(0)).sum()
        };
        let next = match &*state {
            State::Reached => return,
            State::Behind { goal, looks, .. } if goal.keys().eq(now.keys()) => match records(goal) {
                0 if !goal.is_empty() || *looks >= NOTHING => State::Reached,
                left if *looks < LOOKS => State::Behind { goal: goal.clone(), looks: looks + 1, records: left },
                _ => State::Behind { records: records(&now), goal: now, looks: 0 },
            },
            // Partitions were shared out anew.
            State::Waiting | State::Behind { .. } => State::Behind { records: records(&now), goal: now, looks: 0 },
        };
        *state = next;
    }

    /// It takes no input for now: what it reads may be another's afterwards.
    pub fn waits(&self) {
        let mut state = self.0.lock();
        if !matches!(*state, State::Reached) {
            *state = State::Waiting;
        }
    }

    /// Why it has not caught up; `None` = it has, or had once.
    pub fn why_not(&self) -> Option<String> {
        match &*self.0.lock() {
            State::Reached => None,
            State::Waiting => Some("it has not begun to read its topic".to_owned()),
            State::Behind { records, .. } => Some(format!("it has not caught up with its topic yet: {records} records to go")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32, offset: i64) -> Published {
        Published { partition, offset, timestamp: None, at_end_as_of: None }
    }

    fn behind(caught_up: &CaughtUp) -> Option<i64> {
        let why = caught_up.why_not()?;
        why.split_whitespace().find_map(|word| word.parse().ok())
    }

    #[test]
    fn it_has_caught_up_when_what_was_there_a_look_ago_is_published() {
        let caught_up = CaughtUp::default();
        assert!(caught_up.why_not().unwrap().contains("not begun"));
        caught_up.look(&[at(0, 5), at(1, 0)], &[(0, 10), (1, 3), (2, 99)]);
        assert_eq!(behind(&caught_up), Some(8));
        // More came meanwhile: it counts for the next goal only.
        caught_up.look(&[at(0, 10), at(1, 2)], &[(0, 20), (1, 3)]);
        assert_eq!(behind(&caught_up), Some(1));
        caught_up.look(&[at(0, 12), at(1, 3)], &[(0, 20), (1, 3)]);
        assert_eq!(caught_up.why_not(), None);
        // Later it may be behind, or wait.
        caught_up.look(&[at(0, 12)], &[(0, 2000)]);
        caught_up.waits();
        assert_eq!(caught_up.why_not(), None);
    }

    #[test]
    fn a_member_without_partitions_and_an_end_without_records_need_nothing() {
        let caught_up = CaughtUp::default();
        for _ in 0..=NOTHING {
            caught_up.look(&[], &[(0, 10)]);
            assert_eq!(behind(&caught_up), Some(0), "it may be given some in a moment");
        }
        caught_up.look(&[], &[(0, 10)]);
        assert_eq!(caught_up.why_not(), None);
        let caught_up = CaughtUp::default();
        let end = Published { at_end_as_of: Some(7), ..at(0, 9) };
        caught_up.look(&[end], &[(0, 10)]);
        caught_up.look(&[end], &[(0, 10)]);
        assert_eq!(caught_up.why_not(), None);
    }

    #[test]
    fn a_goal_is_set_anew_when_partitions_are_and_when_it_took_long() {
        let caught_up = CaughtUp::default();
        caught_up.look(&[at(0, 5)], &[(0, 5), (1, 8)]);
        caught_up.look(&[at(0, 5), at(1, 0)], &[(0, 5), (1, 8)]);
        assert_eq!(behind(&caught_up), Some(8));
        caught_up.waits();
        assert!(behind(&caught_up).is_none() && caught_up.why_not().is_some());
        caught_up.look(&[at(1, 1)], &[(1, 8)]);
        for _ in 0..LOOKS {
            caught_up.look(&[at(1, 2)], &[(1, 1000)]);
            assert_eq!(behind(&caught_up), Some(6));
        }
        caught_up.look(&[at(1, 2)], &[(1, 1000)]);
        assert_eq!(behind(&caught_up), Some(998));
    }
}
