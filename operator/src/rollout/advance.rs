//! From phase to phase.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tress_configs::definition::Lifecycle;
use tress_crds::definition::Class;
use tress_crds::rollout::{Phase, PhaseReason, RolloutStatus, SequenceRolloutSpec};

use super::{Decision, Declared, Effect, Facts, Progress, entered, intent, table};
use crate::window;

/// The first status: of an attempt that was just made, or whose status was lost.
pub fn first(spec: &SequenceRolloutSpec, facts: &Facts, now: Timestamp) -> RolloutStatus {
    let phase = if facts.route.live.as_ref() == Some(&spec.target.uid) { Phase::Retiring } else { Phase::Pending };
    entered(&RolloutStatus::default(), phase, PhaseReason::Created, "", now)
}

/// What the phase wants, and where it leads.
struct Step<'a> {
    effect: Effect,
    progress: &'a Progress,
    next: Phase,
    /// Of a failure.
    failed: PhaseReason,
    waiting: &'static str,
}

/// Of a phase that is no end.
pub fn decide(phase: Phase, spec: &SequenceRolloutSpec, status: &RolloutStatus, facts: &Facts, now: Timestamp) -> Decision {
    let to = |phase, reason, message: &str| Decision::Write(entered(status, phase, reason, message, now));
    let is_forward_only = intent::is_past_return(phase, spec, facts);
    if !is_forward_only && phase != Phase::Aborting {
        match facts.declared {
            Declared::Target => {}
            Declared::Another => return to(Phase::Aborting, PhaseReason::NewTarget, "another target is declared"),
            Declared::Lost => {
                return to(Phase::Aborting, PhaseReason::NewTarget, "its revision was deleted; the next attempt brings it anew");
            }
            Declared::Nothing => return to(Phase::Aborting, PhaseReason::FeatureDeleted, "the feature is deleted"),
        }
    }
    let paused = status.paused == Some(true) && phase != Phase::Aborting;
    match (paused, &status.held_since) {
        (true, Some(_)) => return act(Effect::Nothing, "paused", None),
        (true, None) => return Decision::Write(RolloutStatus { held_since: Some(Time(now)), ..status.clone() }),
        (false, Some(since)) => return Decision::Write(resumed(status, since.0, now)),
        (false, None) => {}
    }
    let is_live = facts.route.live.as_ref() == Some(&spec.target.uid);
    let has_slot = if facts.slot { Progress::Done } else { Progress::Going };
    let switched = if is_live && facts.route.acknowledged { Progress::Done } else { Progress::Going };
    let is_alone = facts.route.trial.is_none() && facts.route.loaded.is_empty() && facts.route.mounted;
    let retired = if is_live && is_alone { Progress::Done } else { Progress::Going };
    let dropped = facts.trial_stopped && facts.route.trial.as_ref() != Some(&spec.target.uid);
    let dropped = if dropped { Progress::Done } else { Progress::Going };
    let (end, end_reason) = table::end(status.reason);
    let shadows = spec.changed.as_ref().is_some_and(|changed| !changed.is_empty());
    let step = |effect, progress, next, failed, waiting| Step { effect, progress, next, failed, waiting };
    let step = match phase {
        Phase::Pending => step(Effect::Nothing, &has_slot, Phase::Preparing, PhaseReason::WaitingForSlot, "for a slot"),
        Phase::Preparing => {
            let next = if shadows { Phase::Shadowing } else { Phase::Backfilling };
            step(Effect::Prepare, &facts.prepared, next, PhaseReason::PrepareFailed, "for new revisions to be checked and recorded")
        }
        Phase::Shadowing => {
            step(Effect::Shadow, &facts.caught_up, Phase::Backfilling, PhaseReason::StreamFailed, "for streams to catch up")
        }
        Phase::Backfilling => {
            step(Effect::Backfill, &facts.backfilled, Phase::Loading, PhaseReason::BackfillFailed, "for history and base")
        }
        Phase::Loading => step(Effect::Load, &facts.loaded, Phase::CuttingOver, PhaseReason::LoadFailed, "for pods to load the target"),
        Phase::CuttingOver => step(Effect::CutOver, &switched, Phase::Retiring, PhaseReason::PodsBehind, "for pods to take the new route"),
        // The route was lost, and made again from what was seen before.
        Phase::Retiring if !is_live => step(Effect::CutOver, &retired, Phase::Succeeded, PhaseReason::PodsBehind, "for the route"),
        Phase::Retiring => {
            step(Effect::Retire, &retired, Phase::Succeeded, PhaseReason::PodsBehind, "for pods to unload what was read before")
        }
        Phase::Aborting => step(Effect::DropTrial, &dropped, end, end_reason, "for the trial to stop"),
        Phase::Succeeded | Phase::Failed | Phase::Inconclusive | Phase::Aborted | Phase::Superseded | Phase::Unknown => {
            return Decision::Rest;
        }
    };
    match step.progress {
        Progress::Failed(why) => to(Phase::Aborting, step.failed, why),
        // Evidence is asked for before pods load it: no data is never a pass.
        Progress::Done if phase == Phase::Backfilling && needs_comparison(spec) => to(
            Phase::Aborting,
            PhaseReason::NotCompared,
            "a behavioural change needs a comparison, which this version does not make; force it, or declare the feature Experimental",
        ),
        Progress::Done if phase == Phase::Loading && !window::is_open(windows(spec), now) => {
            act(step.effect, "for a window of its rollout policy", None)
        }
        Progress::Done if phase == Phase::Aborting => to(end, end_reason, status.message.as_deref().unwrap_or_default()),
        Progress::Done => to(step.next, PhaseReason::Done, if is_forced(spec) { FORCED } else { "" }),
        Progress::Going if table::is_over(status, now) && !waited(phase, spec, now) => {
            to(Phase::Aborting, table::too_late(phase), "it took longer than it may")
        }
        Progress::Going => act(step.effect, step.waiting, status.deadline.as_ref().map(|d| d.0)),
    }
}

/// Whether its time went by while its windows were closed: who was loaded, and is being loaded again when one opens, has a phase's time from then.
fn waited(phase: Phase, spec: &SequenceRolloutSpec, now: Timestamp) -> bool {
    let is_open = |at| window::is_open(windows(spec), at);
    let begin = table::lasts(phase).and_then(|span| now.checked_sub(span).ok());
    phase == Phase::Loading && !(is_open(now) && begin.is_none_or(is_open))
}

/// It has as much time left as it had when it was held.
fn resumed(status: &RolloutStatus, since: Timestamp, now: Timestamp) -> RolloutStatus {
    let held = now.duration_since(since).max(SignedDuration::ZERO);
    let later = |deadline: &Time| Time(deadline.0.saturating_add(held).unwrap_or(Timestamp::MAX));
    RolloutStatus { held_since: None, deadline: status.deadline.as_ref().map(later), ..status.clone() }
}

/// What an attempt says of itself that a person sent to readers.
pub const FORCED: &str = "readers get other data without a comparison: it was forced";

/// Whether readers may only see the target after a comparison with what they read now.
fn needs_comparison(spec: &SequenceRolloutSpec) -> bool {
    differs(spec) && spec.forced != Some(true)
}

/// Whether a person does without the comparison that it needs.
fn is_forced(spec: &SequenceRolloutSpec) -> bool {
    differs(spec) && spec.forced == Some(true)
}

fn differs(spec: &SequenceRolloutSpec) -> bool {
    let is_behavioural = spec.class.is_some_and(|class| class >= Class::Behavioural);
    let is_gated = spec.lifecycle != Some(Lifecycle::Experimental);
    spec.previous.is_some() && is_behavioural && is_gated
}

fn windows(spec: &SequenceRolloutSpec) -> Option<&[tress_configs::definition::Window]> {
    spec.policy.as_ref()?.windows.as_deref()
}

fn act(effect: Effect, waiting: &str, until: Option<Timestamp>) -> Decision {
    Decision::Act { effect, waiting: waiting.to_owned(), until }
}
