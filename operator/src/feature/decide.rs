//! What is done next for a feature: at most one write beside its status. Pure.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use tress_configs::definition::Lifecycle;
use tress_crds::condition::Reason;
use tress_crds::definition::{Class, Target as Accepted};
use tress_crds::rollout::{Phase, PhaseReason};
use tress_crds::{SequenceRevision, SequenceRollout};

use super::seen::{Observed, reference};
use super::target::{FORCE, Revision, attempt, is_forced, is_stranded, made, revision};
use crate::attempt::{Answer, Attempt, Facts, Target, begins};
use crate::compile;

/// How many attempts of a feature are kept.
const HISTORY: usize = 10;

/// What is done before the status is written.
#[derive(Debug, Clone)]
pub enum First {
    Nothing,
    /// The definition's revision.
    Create(Box<SequenceRevision>),
    /// A revision that is in the way of it.
    Remove(Arc<SequenceRevision>),
    /// What is read reads a signal revision that was deleted, and made anew with other data: so is this one. Readers keep what pods
    /// have until an attempt brings the new one.
    Renew {
        old: Arc<SequenceRevision>,
        new: Box<SequenceRevision>,
    },
}

/// What is done.
#[derive(Debug, Clone)]
pub struct Decision {
    pub first: First,
    /// What is declared and accepted from now on; `None` = what was before.
    pub accepted: Option<Accepted>,
    /// Whether an attempt begins, or why not.
    pub answer: Answer,
    /// Made after the status was written: an attempt compares its target with what is accepted.
    pub begin: Option<Box<SequenceRollout>>,
    /// Of long ago.
    pub forgotten: Vec<Arc<SequenceRollout>>,
}

/// Decides. The same again as long as nothing changes.
#[must_use]
pub fn decide(seen: &Observed, now: Timestamp) -> Decision {
    let waits = |reason, message: String| Answer::Wait { reason, message, until: None };
    let mut decision = Decision {
        first: First::Nothing,
        accepted: None,
        answer: waits(Reason::NotObserved, String::new()),
        begin: None,
        forgotten: forgotten(seen),
    };
    let (compiled, signals) = match &*seen.compiled {
        compile::Feature::Compiled { compiled, signals } => (compiled, signals),
        compile::Feature::Missing(why) => return Decision { answer: waits(Reason::ReferenceMissing, why.clone()), ..decision },
        compile::Feature::Invalid(issues) => return Decision { answer: waits(Reason::Invalid, compile::message(issues)), ..decision },
    };
    if let Some(why) = &seen.limits.features {
        return Decision { answer: waits(Reason::LimitReached, why.clone()), ..decision };
    }
    if let Some(change) = seen.change.as_ref().filter(|change| change.class == Class::Breaking) {
        let message = format!("readers would break on {}: give the feature a new name", change.paths.join(", "));
        return Decision { answer: waits(Reason::Breaking, message), ..decision };
    }
    let paused = seen.feature.spec.paused == Some(true);
    let target = match revision(&seen.feature, (compiled, signals), seen.revision.as_ref(), seen.live.as_ref()) {
        Revision::There(old) if !paused && is_stranded(&old, signals) => {
            let new = Box::new(made(&seen.feature, compiled, signals));
            let answer = waits(Reason::InProgress, "a signal revision that it reads was deleted; its own is made anew".to_owned());
            let accepted = Some(Accepted { revision: new.name_any(), since: Time(now) });
            return Decision { first: First::Renew { old, new }, accepted, answer, ..decision };
        }
        Revision::There(target) => target,
        _ if paused => return Decision { answer: waits(Reason::Paused, "spec.paused is true".to_owned()), ..decision },
        Revision::Create(made) => {
            let answer = waits(Reason::InProgress, "its revision is being made".to_owned());
            // Accepted at once: else nothing would need it.
            let accepted = Some(Accepted { revision: made.name_any(), since: Time(now) });
            return Decision { first: First::Create(made), accepted, answer, ..decision };
        }
        Revision::Replace(old) => {
            let answer = waits(Reason::InProgress, "a revision of other data goes first".to_owned());
            return Decision { first: First::Remove(old), answer, ..decision };
        }
        Revision::Blocked(why) => return Decision { answer: waits(Reason::Invalid, why), ..decision },
    };
    let since = seen.before().target.filter(|before| before.revision == target.name_any()).map(|before| before.since);
    let since = since.unwrap_or(Time(now));
    decision.answer = answer(seen, &target, since.0, now);
    decision.accepted = Some(Accepted { revision: target.name_any(), since });
    if let Answer::Begin { attempt: number } = decision.answer {
        decision.begin = Some(Box::new(attempt(seen, &target, number)));
    }
    decision
}

/// Whether an attempt begins: what the platform says first, then the gates.
fn answer(seen: &Observed, target: &SequenceRevision, changed: Timestamp, now: Timestamp) -> Answer {
    let facts = Facts {
        target: Some(Target { revision: reference(target), class: seen.change.as_ref().map(|change| change.class), changed }),
        live: seen.live.as_deref().map(reference),
        attempts: seen.attempts.iter().map(|attempt| gated(seen, attempt)).collect(),
        lost: lost(seen, target),
        greatest: seen.greatest,
        crowded: seen.limits.crowded.clone(),
        paused: seen.feature.spec.paused == Some(true),
    };
    let answer = begins(&facts, seen.quiet, now);
    if !matches!(answer, Answer::Begin { .. }) {
        return answer;
    }
    let limits = &seen.limits;
    let refused = [
        (Reason::Waiting, &limits.unsettled),
        (Reason::SemanticsUnsupported, &limits.semantics),
        (Reason::Invalid, &limits.pool),
        (Reason::LimitReached, &limits.running),
    ];
    let refused = refused.into_iter().find_map(|(reason, why)| Some((reason, why.clone()?)));
    refused.map_or(answer, |(reason, message)| Answer::Wait { reason, message, until: None })
}

/// Why no attempt begins though none of the target is there: one did not succeed, and was deleted.
fn lost(seen: &Observed, target: &SequenceRevision) -> Option<String> {
    let name = target.name_any();
    let is_held = seen.before().held.contains(&target.spec.compiled.source_hash) && !is_forced(&seen.feature, &name);
    is_held.then(|| {
        let what = "did not succeed and was deleted; change the definition, or annotate the feature with";
        format!("an attempt to bring {name} {what} {FORCE}={name}")
    })
}

/// An attempt, as the gates look at it.
fn gated(seen: &Observed, rollout: &SequenceRollout) -> Attempt {
    let status = rollout.status.clone().unwrap_or_default();
    Attempt {
        name: rollout.name_any(),
        source_hash: rollout.spec.target.source_hash.clone(),
        phase: status.phase,
        retried: status.retried == Some(true) || does_without(seen, rollout),
    }
}

/// Whether what an attempt ended for is waived now: it was held for want of a comparison, and a person does without one.
fn does_without(seen: &Observed, rollout: &SequenceRollout) -> bool {
    let spec = &rollout.spec;
    let is_forced_now = spec.forced != Some(true) && is_forced(&seen.feature, &spec.target.revision);
    let is_experiment = |lifecycle: Option<Lifecycle>| lifecycle == Some(Lifecycle::Experimental);
    let is_experiment_now = !is_experiment(spec.lifecycle) && is_experiment(seen.feature.spec.definition.lifecycle);
    was_held(rollout) && (is_forced_now || is_experiment_now)
}

/// Whether an attempt ended because a comparison is needed, and there is none.
pub(super) fn was_held(rollout: &SequenceRollout) -> bool {
    let status = rollout.status.as_ref();
    status.is_some_and(|s| s.phase == Some(Phase::Inconclusive) && s.reason == Some(PhaseReason::NotCompared))
}

/// Attempts that ended, but for the newest, and but for the last that succeeded.
fn forgotten(seen: &Observed) -> Vec<Arc<SequenceRollout>> {
    let phase = |rollout: &SequenceRollout| rollout.status.as_ref().and_then(|status| status.phase);
    let ended: Vec<&Arc<SequenceRollout>> = seen.attempts.iter().filter(|a| phase(a).is_some_and(Phase::is_end)).collect();
    let stable = ended.iter().rposition(|attempt| phase(attempt) == Some(Phase::Succeeded));
    let old = ended.len().saturating_sub(HISTORY);
    ended.iter().take(old).enumerate().filter(|(index, _)| Some(*index) != stable).map(|(_, attempt)| Arc::clone(attempt)).collect()
}

#[cfg(test)]
pub(super) mod tests;
