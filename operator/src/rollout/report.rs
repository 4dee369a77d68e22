//! What an attempt says of itself, beside its phase.

use jiff::Timestamp;
use tress_crds::condition::{Condition, ConditionType, Reason, Says, Truth, conditions, shortened};
use tress_crds::rollout::{Phase, RolloutStatus};

/// The status with the conditions of its phase. `waiting`: for what, where it waits.
#[must_use]
pub fn told(status: &RolloutStatus, waiting: Option<&str>, generation: i64, now: Timestamp) -> RolloutStatus {
    let says = says(status, waiting);
    let conditions: Vec<Condition> = conditions(&status.conditions, &says, generation, now);
    // A job's reasons may be longer; a status that is refused would hold up the attempt.
    let message = status.message.as_deref().map(shortened);
    RolloutStatus { conditions, observed_generation: Some(generation), message, ..status.clone() }
}

fn says(status: &RolloutStatus, waiting: Option<&str>) -> Vec<Says> {
    let phase = status.phase.unwrap_or(Phase::Pending);
    let why = status.message.clone().unwrap_or_default();
    let (truth, reason, message) = match phase {
        Phase::Succeeded => (Truth::True, Reason::AsDeclared, why),
        // Something newer goes on in its place: nobody has to do anything.
        Phase::Superseded => (Truth::False, Reason::Unused, why),
        Phase::Failed | Phase::Inconclusive | Phase::Aborted => (Truth::False, Reason::AttemptFailed, why),
        Phase::Unknown => (Truth::False, Reason::OperatorTooOld, "it was written by a newer operator".to_owned()),
        _ if is_held(status) => (Truth::False, Reason::Paused, format!("{phase:?} is paused")),
        Phase::Pending => (Truth::False, Reason::Waiting, "for a slot".to_owned()),
        _ => (Truth::False, Reason::InProgress, waiting.unwrap_or_default().to_owned()),
    };
    let mut says = vec![Says::new(ConditionType::Ready, truth, reason, message.clone())];
    match reason {
        Reason::AttemptFailed | Reason::OperatorTooOld => says.push(Says::new(ConditionType::Stalled, Truth::True, reason, message)),
        Reason::InProgress | Reason::Waiting | Reason::Paused => {
            says.push(Says::new(ConditionType::Reconciling, Truth::True, reason, message));
        }
        _ => {}
    }
    says
}

/// Whether a person holds it, by an intent or by pausing its feature. An abort goes on all the same.
fn is_held(status: &RolloutStatus) -> bool {
    status.phase != Some(Phase::Aborting) && (status.paused == Some(true) || status.held_since.is_some())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    #[test]
    fn an_attempt_is_ready_when_it_succeeded_and_stalled_when_a_person_has_to_act() {
        let shown = |phase, paused: bool| {
            let status = RolloutStatus {
                phase: Some(phase),
                paused: paused.then_some(true),
                message: Some("why".to_owned()),
                ..RolloutStatus::default()
            };
            let told = told(&status, Some("for pods"), 3, Timestamp::UNIX_EPOCH);
            assert!(told.conditions.iter().all(|condition| condition.observed_generation == Some(3)));
            let one = |c: &Condition| format!("{}={} {}: {}", c.type_, c.status, c.reason, c.message);
            told.conditions.iter().map(one).collect::<Vec<_>>()
        };
        assert_eq!(shown(Phase::Succeeded, false), ["Ready=True AsDeclared: why"]);
        assert_eq!(shown(Phase::Superseded, false), ["Ready=False Unused: why"]);
        assert_eq!(shown(Phase::Loading, false), ["Ready=False InProgress: for pods", "Reconciling=True InProgress: for pods"]);
        assert_eq!(shown(Phase::Loading, true), ["Ready=False Paused: Loading is paused", "Reconciling=True Paused: Loading is paused"]);
        assert_eq!(shown(Phase::Pending, true)[0], "Ready=False Paused: Pending is paused");
        assert_eq!(shown(Phase::Aborting, true)[0], "Ready=False InProgress: for pods");
        // The feature is paused, not the attempt.
        let held = RolloutStatus { phase: Some(Phase::Loading), held_since: Some(Time(Timestamp::UNIX_EPOCH)), ..RolloutStatus::default() };
        assert_eq!(told(&held, Some("paused"), 1, Timestamp::UNIX_EPOCH).conditions[0].reason, "Paused");
        assert_eq!(shown(Phase::Inconclusive, false), ["Ready=False AttemptFailed: why", "Stalled=True AttemptFailed: why"]);
    }

    #[test]
    fn what_a_job_said_at_length_is_told_as_far_as_a_status_may_hold_it() {
        let status = RolloutStatus { phase: Some(Phase::Failed), message: Some("é".repeat(3000)), ..RolloutStatus::default() };
        let told = told(&status, None, 1, Timestamp::UNIX_EPOCH);
        let long = told.conditions.iter().map(|condition| condition.message.as_str()).chain(told.message.as_deref());
        assert_eq!(long.map(|message| message.chars().count()).collect::<Vec<_>>(), [1024; 3]);
    }
}
