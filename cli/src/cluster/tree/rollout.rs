//! A SequenceRollout: where it is, since when, until when, and why.

use tress_crds::SequenceRollout;
use tress_crds::rollout::{Phase, RolloutStatus};

use super::{Item, State, View, advice, feature, signal};
use crate::time;

/// With the revision that it is about, and the signals that are new to it.
pub fn item(view: &View<'_>, rollout: &SequenceRollout) -> Item {
    let mut item = line(view, rollout);
    let namespace = item.namespace.clone();
    item.children.push(feature::revision(view, (&namespace, &rollout.spec.target.revision), "target"));
    for changed in rollout.spec.changed.iter().flatten() {
        item.children.push(signal::revision(view, (&changed.namespace, &changed.revision), "changed"));
    }
    item
}

/// Alone.
pub fn line(view: &View<'_>, rollout: &SequenceRollout) -> Item {
    let (metadata, spec) = (&rollout.metadata, &rollout.spec);
    let (namespace, name) = (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
    let none = RolloutStatus::default();
    let RolloutStatus { phase, since, deadline, reason, message, paused, .. } = rollout.status.as_ref().unwrap_or(&none);
    let mut item = Item::new("SequenceRollout", "rollout", (namespace, name));
    let is_paused = *paused == Some(true);
    item.state = state(*phase);
    item.reason = match phase {
        _ if is_paused && item.state == State::Going => Some("Paused".to_owned()),
        Some(Phase::Succeeded) => None,
        Some(phase) => Some(format!("{phase:?}")),
        None => Some("NotObserved".to_owned()),
    };
    if let Some(phase) = phase {
        item.facts.put("phase", format!("{phase:?}"), if is_paused { format!("in {phase:?}") } else { String::new() });
    }
    if let Some(reason) = reason {
        item.facts.put(
            "phaseReason",
            format!("{reason:?}"),
            if item.state == State::Failed { format!("{reason:?}") } else { String::new() },
        );
    }
    let since = since.as_ref().map(|since| since.0.as_microsecond());
    let ends = |ago: String| if item.state == State::Going { format!("for {ago}") } else { format!("{ago} ago") };
    item.facts.ago("since", (since, view.now), ends);
    if let Some(deadline) = deadline.as_ref().filter(|_| item.state == State::Going) {
        let shown = time::shown(deadline.0.as_microsecond());
        item.facts.put("deadline", shown.clone(), format!("until {shown} at the latest"));
    }
    if let Some(class) = spec.class {
        item.facts.put("class", format!("{class:?}"), format!("{class:?} change"));
    }
    if spec.forced == Some(true) {
        item.facts.put("forced", true, "forced");
    }
    let pending = spec.intent.as_ref().filter(|intent| rollout.status.as_ref().is_none_or(|s| s.handled.as_ref() != Some(&intent.nonce)));
    if let Some(intent) = pending {
        item.facts.put("asked", format!("{:?}", intent.action), format!("{:?} is asked for and not heeded yet", intent.action));
    }
    item.message = message.clone().filter(|_| item.state != State::Ready);
    item.next = advice::attempt(view, &item, &spec.feature);
    item
}

const fn state(phase: Option<Phase>) -> State {
    match phase {
        None | Some(Phase::Unknown) => State::Unknown,
        Some(Phase::Succeeded) => State::Ready,
        Some(Phase::Failed | Phase::Inconclusive) => State::Failed,
        Some(Phase::Aborted | Phase::Superseded) => State::Idle,
        Some(
            Phase::Pending
            | Phase::Preparing
            | Phase::Shadowing
            | Phase::Backfilling
            | Phase::Loading
            | Phase::CuttingOver
            | Phase::Retiring
            | Phase::Aborting,
        ) => State::Going,
    }
}
