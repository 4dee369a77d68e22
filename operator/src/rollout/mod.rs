//! One attempt to bring a feature to a target: from what is seen of it to what is done next.
//!
//! ```text
//! Pending ─▶ Preparing ─▶ Shadowing ─▶ Backfilling ─▶ Loading ─▶ CuttingOver ─▶ Retiring ─▶ Succeeded
//!    ╰──────────┴────────────┴─────────────┴─────────────┴──▶ Aborting ─▶ Aborted | Superseded | Failed | Inconclusive
//! ```
//! A phase is entered by a write of status before its effects; effects can be repeated. What is live is touched in CuttingOver only, and
//! from then on an attempt goes forward.

mod advance;
mod controller;
mod intent;
mod observe;
mod report;
mod seen;
pub mod slots;
mod table;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tress_crds::rollout::{Phase, PhaseReason, RolloutStatus, SequenceRolloutSpec};

pub use controller::{reconcile, triggers};
pub use table::{LEGAL, is_legal};

/// How far a piece of work is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    Going,
    Done,
    /// Trying again changes nothing; why.
    Failed(String),
}

/// What the feature declares now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// This attempt's target.
    Target,
    /// Another one, compiled and accepted.
    Another,
    /// This one, and its revision was deleted: it is made anew.
    Lost,
    /// The feature is gone.
    Nothing,
}

/// What the route says of the feature, and who has heard of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// UID of the revision that is read.
    pub live: Option<String>,
    /// UID of the one beside it.
    pub trial: Option<String>,
    /// UIDs of what else stays loaded.
    pub loaded: Vec<String>,
    /// Of this feature's entry.
    pub epoch: u64,
    /// Every running pod of the pool reports this epoch.
    pub acknowledged: bool,
    /// The same, from the file that it mounts.
    pub mounted: bool,
}

/// Everything that is seen of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub declared: Declared,
    /// Whether it may use one of the slots.
    pub slot: bool,
    /// New revisions are checked and recorded.
    pub prepared: Progress,
    /// Streams of changed signals have caught up.
    pub caught_up: Progress,
    /// Changed signals have a sealed history; base covers the target; streams began at or before its cut.
    pub backfilled: Progress,
    /// Every running pod of the pool has the target warm and caught up.
    pub loaded: Progress,
    /// What only the trial needed has stopped.
    pub trial_stopped: bool,
    pub route: Route,
}

/// What an attempt brings about while it is in a phase. Each may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    Nothing,
    /// `prepare` jobs of the new revisions.
    Prepare,
    /// Streams of the changed signals.
    Shadow,
    /// Backfills of the changed signals; base for the target's demands.
    Backfill,
    /// Route: trial = target, weight 0.
    Load,
    /// Route: live = target, no trial, epoch + 1.
    CutOver,
    /// Route: nothing but live; what nothing references stops.
    Retire,
    /// Route: no trial; what only the trial needed stops.
    DropTrial,
}

/// What is done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Write this status, and decide again.
    Write(RolloutStatus),
    /// Bring this about; decide again when something changes, or then.
    Act { effect: Effect, waiting: String, until: Option<Timestamp> },
    /// Nothing: it has ended, or is a newer operator's.
    Rest,
}

/// Decides. Total, pure; the same again as long as nothing changes.
///
/// Guarantees: every status that is written is a legal successor (table.rs); an end stays an end; Abort is heeded also while paused,
/// until readers are sent to the target.
#[must_use]
pub fn decide(spec: &SequenceRolloutSpec, status: &RolloutStatus, facts: &Facts, now: Timestamp) -> Decision {
    let newer = status.phase == Some(Phase::Unknown) || status.reason == Some(PhaseReason::Unknown);
    if newer {
        return Decision::Rest;
    }
    let Some(phase) = status.phase else {
        return Decision::Write(advance::first(spec, facts, now));
    };
    if let Some(heeded) = intent::heed(spec, status, facts, now) {
        return Decision::Write(heeded);
    }
    if phase.is_end() {
        return Decision::Rest;
    }
    advance::decide(phase, spec, status, facts, now)
}

/// The status of entering a phase.
fn entered(before: &RolloutStatus, phase: Phase, reason: PhaseReason, message: &str, now: Timestamp) -> RolloutStatus {
    RolloutStatus {
        phase: Some(phase),
        since: Some(Time(now)),
        deadline: table::lasts(phase).and_then(|span| now.checked_add(span).ok()).map(Time),
        reason: Some(reason),
        message: Some(message.to_owned()).filter(|m| !m.is_empty()),
        held_since: None,
        ..before.clone()
    }
}
