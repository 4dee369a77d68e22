//! Which phase may follow which, how long one may last, and how an attempt that goes back ends.

use jiff::{SignedDuration, Timestamp};
use tress_crds::rollout::{Phase, PhaseReason, RolloutStatus};

/// Every legal transition: from (`None` = it was just made) to.
pub const LEGAL: &[(Option<Phase>, &[Phase])] = &[
    // Its status was lost after readers were sent to the target.
    (None, &[Phase::Pending, Phase::Retiring]),
    (Some(Phase::Pending), &[Phase::Preparing, Phase::Aborting]),
    (Some(Phase::Preparing), &[Phase::Shadowing, Phase::Backfilling, Phase::Aborting]),
    (Some(Phase::Shadowing), &[Phase::Backfilling, Phase::Aborting]),
    (Some(Phase::Backfilling), &[Phase::Loading, Phase::Aborting]),
    (Some(Phase::Loading), &[Phase::CuttingOver, Phase::Aborting]),
    (Some(Phase::CuttingOver), &[Phase::Retiring, Phase::Aborting]),
    (Some(Phase::Retiring), &[Phase::Succeeded]),
    (Some(Phase::Aborting), &[Phase::Aborted, Phase::Superseded, Phase::Failed, Phase::Inconclusive]),
    (Some(Phase::Succeeded), &[]),
    (Some(Phase::Failed), &[]),
    (Some(Phase::Inconclusive), &[]),
    (Some(Phase::Aborted), &[]),
    (Some(Phase::Superseded), &[]),
];

/// Whether `to` may follow `from`. To stay is always legal.
#[must_use]
pub fn is_legal(from: Option<Phase>, to: Option<Phase>) -> bool {
    from == to || LEGAL.iter().any(|(phase, next)| *phase == from && to.is_some_and(|to| next.contains(&to)))
}

/// How long a phase may last; `None` = as long as it takes.
pub fn lasts(phase: Phase) -> Option<SignedDuration> {
    match phase {
        Phase::Preparing | Phase::Loading => Some(SignedDuration::from_hours(1)),
        Phase::Shadowing => Some(SignedDuration::from_hours(24)),
        Phase::Backfilling => Some(SignedDuration::from_hours(7 * 24)),
        _ => None,
    }
}

/// Whether a phase has lasted too long.
pub fn is_over(status: &RolloutStatus, now: Timestamp) -> bool {
    status.deadline.as_ref().is_some_and(|deadline| deadline.0 <= now)
}

/// What a phase that lasted too long means: too little was seen, or it does not work.
pub const fn too_late(phase: Phase) -> PhaseReason {
    match phase {
        Phase::Shadowing => PhaseReason::NotCaughtUp,
        _ => PhaseReason::DeadlineExceeded,
    }
}

/// The end of an attempt that goes back for this reason.
pub const fn end(reason: Option<PhaseReason>) -> (Phase, PhaseReason) {
    match reason {
        Some(reason @ (PhaseReason::Asked | PhaseReason::FeatureDeleted)) => (Phase::Aborted, reason),
        Some(reason @ PhaseReason::NewTarget) => (Phase::Superseded, reason),
        Some(reason @ (PhaseReason::NotCompared | PhaseReason::NotCaughtUp)) => (Phase::Inconclusive, reason),
        Some(reason) => (Phase::Failed, reason),
        None => (Phase::Aborted, PhaseReason::Asked),
    }
}
