//! What a person wants of an attempt. Each nonce is heeded once, by a write of status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tress_crds::rollout::{Action, Phase, PhaseReason, RolloutStatus, SequenceRolloutSpec};

use super::{Facts, entered};

/// The status that heeds an intent; `None` = there is none that is new, or it is a newer operator's.
pub fn heed(spec: &SequenceRolloutSpec, status: &RolloutStatus, facts: &Facts, now: Timestamp) -> Option<RolloutStatus> {
    let intent = spec.intent.as_ref().filter(|intent| status.handled.as_ref() != Some(&intent.nonce))?;
    let phase = status.phase?;
    let heeded = RolloutStatus { handled: Some(intent.nonce.clone()), ..status.clone() };
    let why = |told: &str| Some(told.to_owned());
    Some(match intent.action {
        Action::Unknown => return None,
        Action::Abort if phase.is_end() => RolloutStatus { message: why("Abort came after its end"), ..heeded },
        Action::Abort if is_past_return(phase, spec, facts) => {
            RolloutStatus { message: why("Abort came after readers were sent to the target; it goes forward"), ..heeded }
        }
        Action::Abort if phase == Phase::Aborting => heeded,
        Action::Abort => entered(&heeded, Phase::Aborting, PhaseReason::Asked, intent.reason.as_deref().unwrap_or_default(), now),
        Action::Retry if phase == Phase::Succeeded => RolloutStatus { message: why("Retry has nothing to do: it succeeded"), ..heeded },
        Action::Retry if phase.is_end() => RolloutStatus { retried: Some(true), ..heeded },
        Action::Retry => RolloutStatus { message: why("Retry is for an attempt that has ended"), ..heeded },
        Action::Pause if phase.is_end() => heeded,
        Action::Pause => RolloutStatus { paused: Some(true), held_since: status.held_since.clone().or(Some(Time(now))), ..heeded },
        Action::Resume => RolloutStatus { paused: None, ..heeded },
    })
}

/// Whether readers may have been sent to the target already.
pub fn is_past_return(phase: Phase, spec: &SequenceRolloutSpec, facts: &Facts) -> bool {
    let is_live = facts.route.live.as_ref() == Some(&spec.target.uid);
    phase == Phase::Retiring || (phase == Phase::CuttingOver && is_live)
}
