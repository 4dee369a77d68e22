//! Who may work: so many attempts of a namespace at a time, in the order in which they were made.

use tress_crds::rollout::Phase;

/// An attempt of the namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub name: String,
    /// Seconds since 1970.
    pub made: i64,
    /// `None` = it was just made.
    pub phase: Option<Phase>,
    /// A person holds it: it waits without being waited for.
    pub paused: bool,
}

/// Whether the attempt `name` may use one of `most` slots.
#[must_use]
pub fn may_work(name: &str, attempts: &[Attempt], most: usize) -> bool {
    if attempts.iter().any(|attempt| attempt.name == name && works(attempt)) {
        return true;
    }
    let taken = attempts.iter().filter(|attempt| works(attempt)).count();
    let mut waiting: Vec<&Attempt> = attempts.iter().filter(|attempt| waits(attempt)).collect();
    waiting.sort_by(|a, b| (a.made, &a.name).cmp(&(b.made, &b.name)));
    waiting.iter().take(most.saturating_sub(taken)).any(|attempt| attempt.name == name)
}

/// What works for it costs pods.
const fn works(attempt: &Attempt) -> bool {
    matches!(attempt.phase, Some(Phase::Preparing | Phase::Shadowing | Phase::Backfilling | Phase::Loading))
}

const fn waits(attempt: &Attempt) -> bool {
    matches!(attempt.phase, None | Some(Phase::Pending)) && !attempt.paused
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(name: &str, made: i64, phase: Phase) -> Attempt {
        Attempt { name: name.to_owned(), made, phase: Some(phase), paused: false }
    }

    #[test]
    fn slots_go_to_those_that_wait_longest_and_nobody_waits_for_who_is_held() {
        use Phase::{CuttingOver, Loading, Pending, Shadowing, Succeeded};
        let all = [
            attempt("a", 1, Loading),
            attempt("b", 2, CuttingOver),
            attempt("c", 3, Succeeded),
            Attempt { paused: true, ..attempt("d", 4, Pending) },
            attempt("f", 6, Pending),
            attempt("e", 6, Pending),
            Attempt { phase: None, ..attempt("g", 5, Pending) },
            attempt("h", 9, Shadowing),
        ];
        let working = |most| ["a", "d", "e", "f", "g", "h"].into_iter().filter(|name| may_work(name, &all, most)).collect::<String>();
        // Those that work go on, however few slots there are now.
        assert_eq!((working(0), working(2), working(3), working(4)), ("ah".into(), "ah".into(), "agh".into(), "aegh".into()));
        assert_eq!(working(9), "aefgh");
    }
}
