//! What a backfill says of itself.

use jiff::Timestamp;
use tress_crds::backfill::{BackfillPhase, BackfillStatus};
use tress_crds::condition::{Condition, ConditionType, Reason, Says, Truth, conditions, said};

use super::observe::{Looked, Waits};

/// The conditions that follow. `status`: as it is decided.
pub(super) fn conditions_of(looked: &Looked, status: &BackfillStatus, now: Timestamp) -> Vec<Condition> {
    let before = looked.backfill.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let ready = ready(looked, status, before);
    let abnormal = match (ready.truth, ready.reason) {
        (Truth::True, _) => None,
        (_, Reason::InProgress | Reason::Waiting | Reason::Paused) => Some(ConditionType::Reconciling),
        _ => Some(ConditionType::Stalled),
    };
    let abnormal = abnormal.map(|what| Says::new(what, Truth::True, ready.reason, &ready.message));
    let says: Vec<Says> = abnormal.into_iter().chain([ready]).collect();
    conditions(before, &says, looked.backfill.metadata.generation.unwrap_or_default(), now)
}

fn ready(looked: &Looked, status: &BackfillStatus, before: &[Condition]) -> Says {
    let say = |truth, reason, message: String| Says::new(ConditionType::Ready, truth, reason, message);
    let suspended = looked.backfill.spec.suspend == Some(true);
    let going = |doing: &str| say(Truth::False, Reason::InProgress, doing.to_owned());
    let tried = |doing: &str, reasons: String| {
        let message = if reasons.is_empty() { doing.to_owned() } else { format!("{doing}; it is tried again: {reasons}") };
        say(Truth::False, Reason::InProgress, message)
    };
    match status.phase {
        Some(BackfillPhase::Succeeded) => say(Truth::True, Reason::AsDeclared, String::new()),
        Some(BackfillPhase::Failed) => failed(looked, before),
        Some(BackfillPhase::Unknown) => say(Truth::Unknown, Reason::OperatorTooOld, "its phase is a newer operator's".to_owned()),
        None | Some(BackfillPhase::Pending) => match &looked.waits {
            Some(waits) => waiting(waits, &looked.backfill.spec.revision),
            None if suspended => say(Truth::False, Reason::Paused, "spec.suspend is true".to_owned()),
            None => going("it begins"),
        },
        Some(_) if matches!(looked.waits, Some(Waits::Paused | Waits::Revision)) => {
            looked.waits.as_ref().map_or_else(|| going(""), |waits| waiting(waits, &looked.backfill.spec.revision))
        }
        Some(BackfillPhase::Planning) => tried("its inputs are being fixed", looked.plan.reasons()),
        Some(BackfillPhase::Working) if suspended => say(Truth::False, Reason::Paused, "spec.suspend is true".to_owned()),
        Some(BackfillPhase::Working) if looked.share == 0 => {
            say(Truth::False, Reason::Waiting, "other backfills of the namespace take all pods that the platform allows".to_owned())
        }
        Some(BackfillPhase::Working) => tried("its tasks are being done", looked.work.reasons()),
        Some(BackfillPhase::Sealing) => tried("it becomes part of history, and base is made", looked.seal.reasons()),
    }
}

/// What was said when it failed stays said: its jobs go in time.
fn failed(looked: &Looked, before: &[Condition]) -> Says {
    let failed = |reasons: String| Says::new(ConditionType::Ready, Truth::False, Reason::JobFailed, reasons);
    if let Some(told) = said(before, ConditionType::Ready).filter(|told| told.reason == Reason::JobFailed) {
        return told;
    }
    if looked.waits == Some(Waits::Revision) {
        return waiting(&Waits::Revision, &looked.backfill.spec.revision);
    }
    let named = [("plan", &looked.plan), ("work", &looked.work), ("seal", &looked.seal)];
    let wrong = named.into_iter().rev().find(|(_, job)| matches!(job.seen, crate::jobs::Seen::Failed(_)));
    failed(match wrong.map(|(name, job)| (name, job.reasons())) {
        Some((name, reasons)) if reasons.is_empty() => format!("its job {name} failed and left no report: look at its pods"),
        Some((_, reasons)) => reasons,
        None => "a job of it ended without what it was for".to_owned(),
    })
}

fn waiting(waits: &Waits, revision: &str) -> Says {
    let (reason, message) = match waits {
        Waits::Revision => (
            Reason::ReferenceMissing,
            format!("there is no signal revision {revision} in its namespace, or it was made after this backfill"),
        ),
        Waits::Prepared => (Reason::Waiting, format!("the signal revision {revision} is not prepared yet")),
        Waits::Unused => (Reason::Waiting, format!("nobody reads the signal revision {revision}: it begins when somebody does")),
        Waits::Other(name) => (Reason::Waiting, format!("the backfill {name} of the same revision is first")),
        Waits::Paused => (Reason::Paused, "spec.paused of the signal is true".to_owned()),
    };
    Says::new(ConditionType::Ready, Truth::False, reason, message)
}
