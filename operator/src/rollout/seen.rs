//! From what the caches and the pods say to the facts of an attempt.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use tress_crds::backfill::BackfillPhase;
use tress_crds::revision::{PinnedSignal, Prepared};
use tress_crds::rollout::{Phase, SequenceRolloutSpec};
use tress_crds::{Backfill, SequenceFeature, SequenceRevision, SequenceRollout, SignalRevision};

use super::{Declared, Facts, Progress, Route};
use crate::pool::entry::{Entry, Pinned};
use crate::pool::is_available;
use crate::pool::told::{Heard, Told};

/// Everything that is read of an attempt.
#[derive(Debug, Clone)]
pub struct Observed {
    pub rollout: Arc<SequenceRollout>,
    /// `None` = it is gone, or another one has its name.
    pub feature: Option<Arc<SequenceFeature>>,
    pub target: Option<Arc<SequenceRevision>>,
    /// When the target's record was refused, and why.
    pub refused: Option<(Timestamp, String)>,
    /// What the target reads, in the order of its plan.
    pub signals: Vec<Signal>,
    /// Whether it may use one of the slots.
    pub slot: bool,
    /// Of the feature, in the attempt's pool.
    pub entry: Option<Entry>,
    /// What consumers asked for by digest.
    pub asked: Vec<Pinned>,
    pub pods: Vec<Told>,
}

/// A signal revision that the target reads.
#[derive(Debug, Clone)]
pub struct Signal {
    pub pinned: PinnedSignal,
    /// `None` = it is gone.
    pub revision: Option<Arc<SignalRevision>>,
    pub stream: Option<Arc<Deployment>>,
    /// Its first backfill.
    pub first: Option<Arc<Backfill>>,
    /// Whether its base is made for the target, too.
    pub is_covered: bool,
    /// When what it needs outside was found to contradict its plan, and how.
    pub refused: Option<(Timestamp, String)>,
    /// Whether it is new to the feature.
    pub is_changed: bool,
}

impl Observed {
    pub fn spec(&self) -> &SequenceRolloutSpec {
        &self.rollout.spec
    }

    /// `namespace/name`
    pub fn name(&self) -> String {
        format!("{}/{}", self.rollout.namespace().unwrap_or_default(), self.spec().feature)
    }

    /// Since when it is in its phase.
    pub fn since(&self) -> Timestamp {
        self.rollout.status.as_ref().and_then(|status| status.since.as_ref()).map_or(Timestamp::MAX, |since| since.0)
    }

    /// What only matters for a while is held by a person.
    pub fn is_paused(&self) -> bool {
        self.feature.as_ref().is_some_and(|feature| feature.spec.paused == Some(true))
    }
}

/// The facts.
#[must_use]
pub fn facts(seen: &Observed, now: Timestamp) -> Facts {
    let name = seen.name();
    let heard = Heard { pods: &seen.pods, feature: &name, now };
    let target = Pinned::from(&seen.spec().target);
    let route = route(seen, &heard);
    let streams_run = seen.signals.iter().all(|signal| signal.stream.as_deref().is_some_and(is_available));
    let loaded = if streams_run { heard.loaded(&target, seen.since()) } else { Progress::Going };
    let is_named = seen.entry.as_ref().is_some_and(|entry| entry.trial.as_ref() == Some(&target));
    Facts {
        declared: declared(seen),
        slot: seen.slot,
        prepared: prepared(seen),
        caught_up: caught_up(seen),
        backfilled: backfilled(seen),
        loaded,
        trial_stopped: !is_named,
        route,
    }
}

/// What a phase waits for, more exactly than its name says; `None` = nothing is known.
#[must_use]
pub fn waits_for(seen: &Observed, now: Timestamp) -> Option<String> {
    let name = seen.name();
    let heard = Heard { pods: &seen.pods, feature: &name, now };
    let without =
        |lacks: fn(&Signal) -> bool| seen.signals.iter().find(|s| lacks(s)).map(|s| format!("signal revision {}", place(&s.pinned)));
    match seen.rollout.status.as_ref()?.phase? {
        Phase::Preparing => without(|s| recorded(s).is_none()).or_else(|| Some(format!("revision {}", seen.spec().target.revision))),
        Phase::Shadowing => without(|s| s.is_changed && !s.stream.as_deref().is_some_and(is_available)),
        Phase::Backfilling => without(|s| history(s) != Progress::Done || !is_covered(s)),
        Phase::Loading => {
            let stream = without(|s| !s.stream.as_deref().is_some_and(is_available)).map(|signal| format!("the stream of {signal}"));
            stream.or_else(|| heard.waits_for(&Pinned::from(&seen.spec().target), seen.since()))
        }
        _ => None,
    }
}

fn declared(seen: &Observed) -> Declared {
    let Some(feature) = seen.feature.as_deref().filter(|feature| feature.metadata.deletion_timestamp.is_none()) else {
        return Declared::Nothing;
    };
    match feature.status.as_ref().and_then(|status| status.target.as_ref()) {
        Some(target) if target.revision != seen.spec().target.revision => Declared::Another,
        _ if seen.target.is_none() => Declared::Lost,
        // What is declared has mistakes, or is not looked at yet: what was accepted before goes on.
        Some(_) | None => Declared::Target,
    }
}

fn prepared(seen: &Observed) -> Progress {
    let own = seen.target.as_ref().and_then(|target| target.status.as_ref()?.prepared.as_ref());
    let own = (seen.spec().target.revision.clone(), own, &seen.refused);
    let signals = seen.signals.iter().map(|signal| (place(&signal.pinned), recorded(signal), &signal.refused));
    let mut progress = Progress::Done;
    for (name, prepared, refused) in signals.chain([own]) {
        if prepared.is_some() {
            continue;
        }
        // What was found before this attempt is looked at again.
        if let Some((_, why)) = refused.as_ref().filter(|(at, _)| *at >= seen.since()) {
            return Progress::Failed(format!("{name}: {why}"));
        }
        progress = Progress::Going;
    }
    progress
}

fn recorded(signal: &Signal) -> Option<&Prepared> {
    signal.revision.as_ref()?.status.as_ref()?.prepared.as_ref()
}

/// A stream's pod is ready for the first time when it has published what its topic held: see `tress-engine stream`.
fn caught_up(seen: &Observed) -> Progress {
    let all = seen.signals.iter().filter(|signal| signal.is_changed).all(|signal| signal.stream.as_deref().is_some_and(is_available));
    if all { Progress::Done } else { Progress::Going }
}

fn backfilled(seen: &Observed) -> Progress {
    for signal in &seen.signals {
        if let failed @ Progress::Failed(_) = history(signal) {
            // One that failed before this attempt is made anew.
            let ended = signal.first.as_ref().and_then(|first| first.status.as_ref()?.ended.clone());
            if ended.is_some_and(|ended| ended.0 >= seen.since()) {
                return failed;
            }
        }
    }
    let all = seen.signals.iter().all(|signal| history(signal) == Progress::Done && is_covered(signal));
    if all { Progress::Done } else { Progress::Going }
}

/// Whether a signal has a sealed history.
pub(super) fn history(signal: &Signal) -> Progress {
    if signal.revision.as_ref().is_some_and(|r| r.status.as_ref().is_some_and(|status| status.history.is_some())) {
        return Progress::Done;
    }
    let status = signal.first.as_ref().and_then(|first| first.status.as_ref());
    match status.and_then(|status| status.phase) {
        Some(BackfillPhase::Succeeded) => Progress::Done,
        Some(BackfillPhase::Failed) => Progress::Failed(format!("the first backfill of {} failed: see its status", place(&signal.pinned))),
        _ => Progress::Going,
    }
}

/// Whether base is made for the target; of what nothing was ever sealed, everything is in the tail.
fn is_covered(signal: &Signal) -> bool {
    let has_history =
        signal.revision.as_ref().is_some_and(|revision| revision.status.as_ref().is_some_and(|status| status.history.is_some()));
    signal.is_covered || (!has_history && history(signal) == Progress::Done)
}

fn route(seen: &Observed, heard: &Heard<'_>) -> Route {
    let Entry { live, trial, loaded, epoch, .. } = seen.entry.clone().unwrap_or_default();
    let uid = |pinned: Pinned| pinned.uid;
    let is_there = seen.entry.is_some();
    Route {
        live: live.map(uid),
        trial: trial.map(uid),
        // What consumers asked for stays, whatever becomes of the attempt.
        loaded: loaded.into_iter().filter(|pinned| !seen.asked.contains(pinned)).map(uid).collect(),
        epoch,
        acknowledged: is_there && heard.acknowledged(epoch),
        mounted: is_there && heard.mounted(epoch),
    }
}

/// `namespace/name` of a signal revision.
pub(super) fn place(pinned: &PinnedSignal) -> String {
    format!("{}/{}", pinned.namespace, pinned.revision)
}

#[cfg(test)]
mod tests;
