//! Whether an attempt begins. The list of gates is the documentation: the first that says something is the answer.

use jiff::{SignedDuration, Timestamp};
use tress_crds::condition::Reason;
use tress_crds::definition::Class;
use tress_crds::rollout::{Phase, RevisionRef};

/// What a feature declares, compiled, with every signal that it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub revision: RevisionRef,
    /// Against what is live; `None` = nothing is.
    pub class: Option<Class>,
    /// When any definition that it is made of changed last.
    pub changed: Timestamp,
}

/// An attempt of the feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub name: String,
    pub source_hash: String,
    /// `None` = it was just made.
    pub phase: Option<Phase>,
    /// A person wants its target to be attempted again.
    pub retried: bool,
}

/// Everything that is seen of a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// `None` = a definition that it needs is missing or has mistakes.
    pub target: Option<Target>,
    pub live: Option<RevisionRef>,
    /// Newest last.
    pub attempts: Vec<Attempt>,
    /// An attempt to bring this target did not succeed, and was deleted; a sentence.
    pub lost: Option<String>,
    /// The greatest number of an attempt, of those that are there and of the route.
    pub greatest: i32,
    /// Who runs the revisions of a signal of which no more may run.
    pub crowded: Option<String>,
    pub paused: bool,
}

/// Whether an attempt begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// With this number.
    Begin { attempt: i32 },
    /// Not before something changes, or before then.
    Wait { reason: Reason, message: String, until: Option<Timestamp> },
}

/// What all gates look at.
struct Question<'a> {
    facts: &'a Facts,
    quiet: SignedDuration,
    now: Timestamp,
}

type Gate = fn(&Question<'_>, &Target) -> Option<Answer>;

const GATES: &[Gate] = &[live_is_declared, one_at_a_time, held, breaking, still_changing, crowded, paused];

/// Decides. `quiet`: how long definitions have to be left alone, so that a commit of fifty files makes one attempt.
#[must_use]
pub fn begins(facts: &Facts, quiet: SignedDuration, now: Timestamp) -> Answer {
    let Some(target) = &facts.target else {
        return wait(Reason::Invalid, "a definition that it needs is missing, or has mistakes");
    };
    let question = Question { facts, quiet, now };
    GATES.iter().find_map(|gate| gate(&question, target)).unwrap_or(Answer::Begin { attempt: facts.greatest.saturating_add(1) })
}

/// A description, replicas, a policy, a newer compiler: none of them is a new target.
fn live_is_declared(q: &Question<'_>, target: &Target) -> Option<Answer> {
    let live = q.facts.live.as_ref()?;
    (live.source_hash == target.revision.source_hash).then(|| wait(Reason::AsDeclared, ""))
}

fn one_at_a_time(q: &Question<'_>, _: &Target) -> Option<Answer> {
    let going = q.facts.attempts.iter().find(|a| !a.phase.is_some_and(Phase::is_end))?;
    Some(wait(Reason::InProgress, &format!("the attempt {} goes on", going.name)))
}

/// What did not succeed is not tried again until somebody asks for it; who may delete attempts may not ask by that.
fn held(q: &Question<'_>, target: &Target) -> Option<Answer> {
    let Some(last) = q.facts.attempts.iter().rev().find(|a| a.source_hash == target.revision.source_hash) else {
        return q.facts.lost.as_ref().map(|why| wait(Reason::AttemptFailed, why));
    };
    let ended_badly = matches!(last.phase, Some(Phase::Failed | Phase::Inconclusive | Phase::Aborted));
    let message = || format!("the attempt {} did not succeed; Retry it, or change the definition", last.name);
    (ended_badly && !last.retried).then(|| wait(Reason::AttemptFailed, &message()))
}

fn breaking(_: &Question<'_>, target: &Target) -> Option<Answer> {
    (target.class == Some(Class::Breaking)).then(|| wait(Reason::Breaking, "readers would break: give the feature a new name"))
}

/// Nothing is waited for where nothing is live yet.
fn still_changing(q: &Question<'_>, target: &Target) -> Option<Answer> {
    q.facts.live.as_ref()?;
    let until = target.changed.checked_add(q.quiet).ok()?;
    let message = "definitions that it is made of changed just now".to_owned();
    (q.now < until).then_some(Answer::Wait { reason: Reason::Waiting, message, until: Some(until) })
}

fn crowded(q: &Question<'_>, _: &Target) -> Option<Answer> {
    let who = q.facts.crowded.as_ref()?;
    Some(wait(Reason::Waiting, &format!("no more revisions of a signal may run: {who}")))
}

fn paused(q: &Question<'_>, _: &Target) -> Option<Answer> {
    q.facts.paused.then(|| wait(Reason::Paused, "spec.paused is true"))
}

fn wait(reason: Reason, message: &str) -> Answer {
    Answer::Wait { reason, message: message.to_owned(), until: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: SignedDuration = SignedDuration::from_secs(30);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn revision(hash: &str) -> RevisionRef {
        RevisionRef { revision: hash.to_owned(), uid: hash.to_owned(), digest: hash.to_owned(), source_hash: hash.to_owned() }
    }

    fn declared() -> Facts {
        let target = Target { revision: revision("new"), class: Some(Class::Compatible), changed: at(100) };
        Facts {
            target: Some(target),
            live: Some(revision("old")),
            attempts: Vec::new(),
            lost: None,
            greatest: 4,
            crowded: None,
            paused: false,
        }
    }

    fn ended(hash: &str, phase: Phase) -> Attempt {
        Attempt { name: "f-4".to_owned(), source_hash: hash.to_owned(), phase: Some(phase), retried: false }
    }

    fn answer(facts: &Facts) -> Result<i32, Reason> {
        match begins(facts, QUIET, at(1000)) {
            Answer::Begin { attempt } => Ok(attempt),
            Answer::Wait { reason, .. } => Err(reason),
        }
    }

    #[test]
    fn each_gate_gives_its_reason_and_without_any_it_begins() {
        let with = |change: fn(&mut Facts)| {
            let mut facts = declared();
            change(&mut facts);
            answer(&facts)
        };
        assert_eq!(with(|_| {}), Ok(5));
        assert_eq!(with(|f| f.live = None), Ok(5));
        assert_eq!(with(|f| f.target = None), Err(Reason::Invalid));
        assert_eq!(with(|f| f.live = Some(revision("new"))), Err(Reason::AsDeclared));
        assert_eq!(with(|f| f.attempts = vec![Attempt { phase: None, ..ended("new", Phase::Failed) }]), Err(Reason::InProgress));
        assert_eq!(with(|f| f.attempts = vec![ended("other", Phase::Loading)]), Err(Reason::InProgress));
        assert_eq!(with(|f| f.target.as_mut().unwrap().class = Some(Class::Breaking)), Err(Reason::Breaking));
        assert_eq!(with(|f| f.crowded = Some("a, b, c".to_owned())), Err(Reason::Waiting));
        assert_eq!(with(|f| f.paused = true), Err(Reason::Paused));
    }

    #[test]
    fn what_did_not_succeed_waits_for_retry_and_what_was_overtaken_does_not() {
        let after = |attempts: Vec<Attempt>| answer(&Facts { attempts, ..declared() });
        for phase in [Phase::Failed, Phase::Inconclusive, Phase::Aborted] {
            assert_eq!(after(vec![ended("new", phase)]), Err(Reason::AttemptFailed), "{phase:?}");
            assert_eq!(after(vec![Attempt { retried: true, ..ended("new", phase) }]), Ok(5), "{phase:?}");
            assert_eq!(after(vec![ended("other", phase)]), Ok(5), "{phase:?}");
            // The newest of the same target counts.
            assert_eq!(after(vec![ended("new", phase), ended("new", Phase::Superseded)]), Ok(5), "{phase:?}");
        }
        // Who deletes the attempt does not ask for another.
        let lost = Facts { lost: Some("it was deleted".to_owned()), ..declared() };
        assert_eq!(answer(&lost), Err(Reason::AttemptFailed));
        assert_eq!(answer(&Facts { attempts: vec![ended("new", Phase::Superseded)], ..lost }), Ok(5));
        // Back to what was live once: a revert.
        assert_eq!(after(vec![ended("new", Phase::Succeeded), ended("old", Phase::Succeeded)]), Ok(5));
    }

    #[test]
    fn definitions_are_left_alone_for_a_while_before_what_is_live_is_changed() {
        let now = |second| begins(&declared(), QUIET, at(second));
        assert!(matches!(now(129), Answer::Wait { until, .. } if until == Some(at(130))));
        assert_eq!(now(130), Answer::Begin { attempt: 5 });
        let first = Facts { live: None, ..declared() };
        assert_eq!(begins(&first, QUIET, at(100)), Answer::Begin { attempt: 5 });
    }
}
