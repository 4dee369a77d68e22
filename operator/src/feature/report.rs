//! What a feature says of itself: its status, with conditions. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use tress_configs::definition::ReportProgressUntil;
use tress_crds::condition::{ConditionType, Reason, Says, Truth, conditions};
use tress_crds::definition::{Attempt, Class, ContractStatus, FeatureStatus, Kept, Live, Moved};
use tress_crds::rollout::Phase;

use super::decide::{Decision, was_held};
use super::seen::{Observed, Pool};
use super::target::{FORCE, made_at};
use crate::attempt::Answer;
use crate::compile;
use crate::pool::told::Heard;
use crate::pool::{endpoint, is_available, pinned};

/// The most source hashes that are told to be held.
const MAX_HELD: usize = 10;

/// A condition: whether, why, and a sentence.
type Verdict = (Truth, Reason, String);

/// The status that is true now. `contract`: what is told of it.
#[must_use]
pub fn status(seen: &Observed, decision: &Decision, contract: Option<ContractStatus>, now: Timestamp) -> FeatureStatus {
    let before = seen.before();
    let mut status = FeatureStatus {
        observed_generation: seen.feature.metadata.generation,
        conditions: Vec::new(),
        source_hash: before.source_hash.clone(),
        live: live(seen, now),
        target: decision.accepted.clone().or_else(|| before.target.clone()),
        last_stable: before.last_stable.clone(),
        held: held(seen),
        change: seen.change.clone(),
        warnings: Vec::new(),
        rollout: seen.attempts.last().map(|attempt| {
            let status = attempt.status.clone().unwrap_or_default();
            Attempt { name: attempt.name_any(), phase: status.phase.unwrap_or(Phase::Pending), deadline: status.deadline }
        }),
        contract,
        ..before.clone()
    };
    if let compile::Feature::Compiled { compiled, .. } = &*seen.compiled {
        status.warnings = compile::warnings(&compiled.warnings);
        if decision.accepted.is_some() {
            status.source_hash = Some(compiled.source_hash.clone());
        }
    }
    let succeeded = seen.attempts.iter().rev().find(|a| a.status.as_ref().is_some_and(|s| s.phase == Some(Phase::Succeeded)));
    if let Some(succeeded) = succeeded {
        status.last_stable = Some(succeeded.spec.target.revision.clone());
    }
    place(seen, &mut status, now);
    status.conditions =
        conditions(&before.conditions, &says(seen, decision, &status, now), seen.feature.metadata.generation.unwrap_or_default(), now);
    status
}

/// What is read, as the route says. A route that is lost says nothing: what was told stays, for it is made again from it.
fn live(seen: &Observed, now: Timestamp) -> Option<Live> {
    let before = seen.before().live;
    let told = seen.pool().entry.as_ref().and_then(|entry| Some((entry.live.as_ref()?, entry.epoch)));
    let Some(((pinned, epoch), revision)) = told.zip(seen.live.as_deref()) else { return before };
    if revision.uid().as_deref() != Some(pinned.uid.as_str()) {
        return before;
    }
    let name = revision.name_any();
    let since = before.filter(|before| before.revision == name).map_or(Time(now), |before| before.since);
    Some(Live { revision: name, epoch, since })
}

/// Where readers are sent: to where something is read first, and to the declared pool as soon as it has what is read.
fn place(seen: &Observed, status: &mut FeatureStatus, now: Timestamp) {
    let namespace = seen.feature.namespace().unwrap_or_default();
    let read = |pool: &Pool| pool.entry.as_ref().and_then(|entry| entry.live.clone());
    let (declared, current) = (&seen.serving.declared, seen.pool());
    if status.endpoint.is_none() {
        status.endpoint = read(current).map(|_| endpoint(&namespace, &current.name));
        return;
    }
    let is_there = read(declared).is_some_and(|read| heard(seen, declared, now).waits_for(&read, Timestamp::UNIX_EPOCH).is_none());
    if declared.name != current.name && is_there {
        status.endpoint = Some(endpoint(&namespace, &declared.name));
        status.moved = Some(Moved { from: current.name.clone(), since: Time(now) });
    }
}

fn held(seen: &Observed) -> Vec<String> {
    let is_bad = |phase| matches!(phase, Some(Phase::Failed | Phase::Inconclusive | Phase::Aborted));
    let mut held: Vec<String> = Vec::new();
    for attempt in &seen.attempts {
        let hash = &attempt.spec.target.source_hash;
        held.retain(|other| other != hash);
        if attempt.status.as_ref().is_some_and(|s| is_bad(s.phase) && s.retried != Some(true)) {
            held.push(hash.clone());
        }
    }
    held.split_off(held.len().saturating_sub(MAX_HELD))
}

fn heard<'a>(seen: &Observed, pool: &'a Pool, now: Timestamp) -> Here<'a> {
    Here { pool, name: seen.name(), now }
}

/// A pool's pods and the feature's name, together.
struct Here<'a> {
    pool: &'a Pool,
    name: String,
    now: Timestamp,
}

impl Here<'_> {
    fn heard(&self) -> Heard<'_> {
        Heard { pods: &self.pool.pods, feature: &self.name, now: self.now }
    }

    fn waits_for(&self, pinned: &crate::pool::entry::Pinned, since: Timestamp) -> Option<String> {
        self.heard().waits_for(pinned, since)
    }
}

fn says(seen: &Observed, decision: &Decision, status: &FeatureStatus, now: Timestamp) -> Vec<Says> {
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
    let sealed = |signal: &&super::seen::Signal| signal.revision.as_ref().and_then(|r| r.status.as_ref()?.history.as_ref()).is_some();
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
        Answer::Wait { reason: Reason::AttemptFailed, message, .. } => match seen.attempts.last().filter(|last| was_held(last)) {
            Some(last) => (Truth::False, Reason::BehaviouralChangeHeld, held_message(seen, &last.spec.target.revision)),
            None => (Truth::False, Reason::AttemptFailed, failed_message(seen, message)),
        },
        Answer::Wait { reason, message, .. } => (Truth::False, *reason, message.clone()),
    }
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
fn failed_message(seen: &Observed, message: &str) -> String {
    let why = seen.attempts.last().and_then(|last| last.status.as_ref()?.message.clone()).filter(|why| !why.is_empty());
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

/// Since when the least recently sealed history of its signals is; `None` = one has none.
pub(super) fn sealed(seen: &Observed, now: Timestamp) -> Option<jiff::SignedDuration> {
    let of = |signal: &super::seen::Signal| {
        let history = signal.revision.as_ref()?.status.as_ref()?.history.clone()?;
        Some(now.duration_since(history.sealed.0))
    };
    let all: Option<Vec<_>> = seen.signals.iter().map(of).collect();
    all?.into_iter().max()
}

/// Who came first keeps its place: whether this feature is beyond the number that its namespace may have.
pub(super) fn is_beyond<'a>(
    own: &tress_crds::SequenceFeature,
    all: impl Iterator<Item = &'a tress_crds::SequenceFeature>,
    most: usize,
) -> bool {
    let key = |feature: &tress_crds::SequenceFeature| (made_at(feature), feature.name_any());
    all.filter(|other| key(other) < key(own)).count() >= most
}

#[cfg(test)]
mod tests;
