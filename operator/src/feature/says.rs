//! The conditions of a feature, one function each. Pure.

use jiff::Timestamp;
use tress_configs::definition::ReportProgressUntil;
use tress_crds::SequenceRollout;
use tress_crds::condition::{ConditionType, Reason, Says, Truth};
use tress_crds::definition::{Class, ContractStatus, FeatureStatus, Kept};

use super::decide::{Decision, was_held};
use super::seen::{Observed, Pool, Signal};
use super::target::FORCE;
use crate::attempt::Answer;
use crate::compile;
use crate::pool::entry::Pinned;
use crate::pool::told::Heard;
use crate::pool::{is_available, pinned};

/// A condition: whether, why, and a sentence.
type Verdict = (Truth, Reason, String);

/// All of them. `status`: the rest of it, as it is now.
pub(super) fn says(seen: &Observed, decision: &Decision, status: &FeatureStatus, now: Timestamp) -> Vec<Says> {
    let available = available(seen, decision, now);
    let updated = updated(seen, decision);
    let mut says: Vec<(ConditionType, Verdict)> = vec![
        (ConditionType::Compiled, compiled(seen)),
        (ConditionType::SchemaCompatible, compatible(seen)),
        (ConditionType::StreamingAvailable, streaming(seen)),
        (ConditionType::ServingAvailable, serving(seen, now)),
        (ConditionType::BackfillComplete, backfilled(seen)),
        (ConditionType::Available, available.clone()),
        (ConditionType::Updated, updated.clone()),
    ];
    if let Some(ContractStatus { freshness, completeness }) = &status.contract {
        says.push((ConditionType::Fresh, kept(*freshness)));
        says.push((ConditionType::Complete, kept(*completeness)));
    }
    let ready = ready(seen, decision, &available, &updated);
    let (truth, reason, message) = &ready;
    if *truth != Truth::True {
        let what = if needs_a_person(*reason) { ConditionType::Stalled } else { ConditionType::Reconciling };
        says.push((what, (Truth::True, *reason, message.clone())));
    }
    says.push((ConditionType::Ready, ready));
    says.into_iter().map(|(what, (truth, reason, message))| Says::new(what, truth, reason, message)).collect()
}

fn yes() -> Verdict {
    (Truth::True, Reason::AsDeclared, String::new())
}

fn compiled(seen: &Observed) -> Verdict {
    match &*seen.compiled {
        compile::Feature::Compiled { .. } => yes(),
        compile::Feature::Missing(why) => (Truth::Unknown, Reason::ReferenceMissing, why.clone()),
        compile::Feature::Invalid(issues) => (Truth::False, Reason::Invalid, compile::message(issues)),
    }
}

fn compatible(seen: &Observed) -> Verdict {
    let is_compiled = matches!(&*seen.compiled, compile::Feature::Compiled { .. });
    match &seen.change {
        _ if !is_compiled => (Truth::Unknown, Reason::NotObserved, "it does not compile".to_owned()),
        Some(change) if change.class == Class::Breaking => {
            (Truth::False, Reason::Breaking, format!("readers would break on {}: give the feature a new name", change.paths.join(", ")))
        }
        _ => yes(),
    }
}

/// Streams of what is read, or will be.
fn streaming(seen: &Observed) -> Verdict {
    if seen.signals.is_empty() {
        return (Truth::Unknown, Reason::NotObserved, "nothing is known of its signals yet".to_owned());
    }
    let silent = seen.signals.iter().find(|signal| !signal.stream.as_deref().is_some_and(is_available));
    silent.map_or_else(yes, |signal| {
        (
            Truth::False,
            Reason::InProgress,
            format!("the stream of signal revision {}/{} is not ready", signal.pinned.namespace, signal.pinned.revision),
        )
    })
}

fn serving(seen: &Observed, now: Timestamp) -> Verdict {
    let Some(read) = seen.live.as_deref().map(pinned) else {
        return (Truth::False, Reason::InProgress, "no revision is read yet".to_owned());
    };
    match heard(seen, seen.pool(), now).heard().answering(&read) {
        Some(0) => (Truth::False, Reason::InProgress, format!("no pod of pool {} has what is read ready", seen.pool().name)),
        Some(_) => yes(),
        None => unheard(seen, ConditionType::ServingAvailable),
    }
}

/// What was said before: a new leader has heard of no pod yet.
fn unheard(seen: &Observed, what: ConditionType) -> Verdict {
    let before = seen.before();
    let was = before.conditions.iter().find(|condition| condition.type_ == what.to_string());
    match was.map(|was| was.status.as_str()) {
        Some("True") => yes(),
        Some("False") => (Truth::False, Reason::InProgress, was.map(|was| was.message.clone()).unwrap_or_default()),
        _ => (Truth::Unknown, Reason::NotObserved, "no pod has answered yet".to_owned()),
    }
}

fn backfilled(seen: &Observed) -> Verdict {
    if seen.signals.is_empty() {
        return (Truth::Unknown, Reason::NotObserved, "nothing is known of its signals yet".to_owned());
    }
    let sealed = |signal: &&Signal| signal.revision.as_ref().and_then(|r| r.status.as_ref()?.history.as_ref()).is_some();
    seen.signals.iter().find(|signal| !sealed(signal)).map_or_else(yes, |signal| {
        (
            Truth::False,
            Reason::InProgress,
            format!("signal revision {}/{} has no history yet", signal.pinned.namespace, signal.pinned.revision),
        )
    })
}

/// Readers get answers of some revision.
fn available(seen: &Observed, decision: &Decision, now: Timestamp) -> Verdict {
    if seen.live.is_some() {
        return serving(seen, now);
    }
    match &decision.answer {
        Answer::Wait { reason, message, .. } if needs_a_person(*reason) => (Truth::False, *reason, message.clone()),
        _ => (Truth::False, Reason::InProgress, "no revision is read yet".to_owned()),
    }
}

/// What is declared is what is read.
fn updated(seen: &Observed, decision: &Decision) -> Verdict {
    match &decision.answer {
        Answer::Begin { .. } => (Truth::False, Reason::InProgress, "an attempt begins".to_owned()),
        Answer::Wait { reason: Reason::AsDeclared, .. } => yes(),
        Answer::Wait { reason: Reason::AttemptFailed, message, .. } => match attempt(seen, decision) {
            Some(last) if was_held(last) => (Truth::False, Reason::BehaviouralChangeHeld, held_message(seen, &last.spec.target.revision)),
            last => (Truth::False, Reason::AttemptFailed, failed_message(last, message)),
        },
        Answer::Wait { reason, message, .. } => (Truth::False, *reason, message.clone()),
    }
}

/// The newest attempt to bring what is declared: newer ones may have been for something else.
fn attempt<'a>(seen: &'a Observed, decision: &Decision) -> Option<&'a SequenceRollout> {
    let declared = decision.accepted.as_ref()?;
    seen.attempts.iter().rev().map(|attempt| &**attempt).find(|attempt| attempt.spec.target.revision == declared.revision)
}

fn held_message(seen: &Observed, target: &str) -> String {
    let paths = seen.change.as_ref().map(|change| change.paths.join(", ")).filter(|paths| !paths.is_empty());
    let changed = paths.map(|paths| format!(" ({paths})")).unwrap_or_default();
    format!(
        "readers would get other data{changed}, and this version makes no comparison: to send it to them without one, annotate the feature \
         with {FORCE}={target}, or declare it Experimental; to keep what is read, change the definition back"
    )
}

/// With why the attempt ended.
fn failed_message(attempt: Option<&SequenceRollout>, message: &str) -> String {
    let why = attempt.and_then(|last| last.status.as_ref()?.message.clone()).filter(|why| !why.is_empty());
    why.map_or_else(|| message.to_owned(), |why| format!("{message}: {why}"))
}

fn kept(kept: Kept) -> Verdict {
    match kept {
        Kept::Met => yes(),
        Kept::Missed => (Truth::False, Reason::ContractMissed, "readers do not get what the contract promises: see its metrics".to_owned()),
        Kept::Unknown => (Truth::Unknown, Reason::NotObserved, "no pod says".to_owned()),
    }
}

/// The summary: readers get answers and this generation is accepted; or, where it is asked for, it is what they read.
fn ready(seen: &Observed, decision: &Decision, available: &Verdict, updated: &Verdict) -> Verdict {
    let not = |(_, reason, message): &Verdict| (Truth::False, *reason, message.clone());
    if let Answer::Wait { reason, message, .. } = &decision.answer
        && (is_refused(*reason) || *reason == Reason::ReferenceMissing)
    {
        return (Truth::False, *reason, message.clone());
    }
    // What is read needs an engine that is not here.
    if let Some(why) = &seen.limits.stranded {
        return (Truth::False, Reason::SemanticsUnsupported, why.clone());
    }
    if available.0 != Truth::True {
        // Why nothing is read says more than that nothing is.
        let is_first = seen.live.is_none() && updated.0 != Truth::True;
        return not(if is_first { updated } else { available });
    }
    let until = seen.feature.spec.rollout.as_ref().and_then(|rollout| rollout.report_progress_until);
    if until == Some(ReportProgressUntil::Complete) && updated.0 != Truth::True {
        return not(updated);
    }
    yes()
}

/// The declared generation is not accepted.
const fn is_refused(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Invalid
            | Reason::Breaking
            | Reason::ConnectionNotAllowed
            | Reason::SemanticsUnsupported
            | Reason::LimitReached
            | Reason::OperatorTooOld
    )
}

/// Nothing happens any more before a person does something.
const fn needs_a_person(reason: Reason) -> bool {
    is_refused(reason) || matches!(reason, Reason::AttemptFailed | Reason::BehaviouralChangeHeld)
}

pub(super) fn heard<'a>(seen: &Observed, pool: &'a Pool, now: Timestamp) -> Here<'a> {
    Here { pool, name: seen.name(), now }
}

/// A pool's pods and the feature's name, together.
pub(super) struct Here<'a> {
    pool: &'a Pool,
    name: String,
    now: Timestamp,
}

impl Here<'_> {
    pub fn heard(&self) -> Heard<'_> {
        Heard { pods: &self.pool.pods, feature: &self.name, now: self.now }
    }

    pub fn waits_for(&self, pinned: &Pinned, since: Timestamp) -> Option<String> {
        self.heard().waits_for(pinned, since)
    }
}
