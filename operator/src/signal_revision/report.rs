//! What a revision says of itself.

use jiff::Timestamp;
use tress_crds::condition::{Condition, ConditionType, Reason, Says, Truth, conditions, said};
use tress_crds::revision::{SignalRevisionStatus, Use};

use super::observe::{Facts, Trouble};
use crate::jobs::{Observed, Seen};

/// The conditions that follow. `status`: as it is decided.
pub(super) fn conditions_of(facts: &Facts, status: &SignalRevisionStatus, now: Timestamp) -> Vec<Condition> {
    let before = facts.revision.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let mut says = vec![prepared(facts, status, before)];
    if status.needed == Some(Use::Running) {
        says.push(streaming(facts, status));
        says.push(backfilled(facts, status));
    }
    let ready = ready(facts, status, &says);
    says.extend(abnormal(&ready));
    says.push(ready);
    conditions(before, &says, facts.revision.metadata.generation.unwrap_or_default(), now)
}

fn prepared(facts: &Facts, status: &SignalRevisionStatus, before: &[Condition]) -> Says {
    let say = |truth, reason, message: String| Says::new(ConditionType::Prepared, truth, reason, message);
    let job = &facts.prepare;
    if status.prepared.is_some() {
        return say(Truth::True, Reason::AsDeclared, String::new());
    }
    if !facts.runs_here() {
        return say(Truth::False, Reason::SemanticsUnsupported, unsupported(facts));
    }
    if facts.is_paused() && job.seen == Seen::Missing {
        return say(Truth::False, Reason::Paused, "spec.paused is true".to_owned());
    }
    if job.is_contradicted() {
        return say(Truth::False, of_reasons(&job.reasons()), job.reasons());
    }
    // It is being looked at again: what was found stays said until something else is.
    let was_refused = |says: &Says| !matches!(says.reason, Reason::InProgress | Reason::Waiting | Reason::Paused);
    if job.attempt > 0
        && matches!(job.seen, Seen::Running)
        && let Some(refused) = said(before, ConditionType::Prepared).filter(was_refused)
    {
        return refused;
    }
    going(ConditionType::Prepared, job, "what is outside is being checked")
}

/// Of a job that is needed and has not succeeded.
fn going(what: ConditionType, job: &Observed, doing: &str) -> Says {
    let reasons = job.reasons();
    let reason = if matches!(job.seen, Seen::Failed(_)) { Reason::Waiting } else { Reason::InProgress };
    let message = if reasons.is_empty() { doing.to_owned() } else { format!("{doing}; it is tried again: {reasons}") };
    Says::new(what, Truth::False, reason, message)
}

fn streaming(facts: &Facts, status: &SignalRevisionStatus) -> Says {
    let say = |truth, reason, message: &str| Says::new(ConditionType::StreamingAvailable, truth, reason, message);
    match &facts.stream {
        _ if status.prepared.is_none() => say(Truth::False, Reason::Waiting, "it is not prepared yet"),
        None if facts.is_paused() => say(Truth::False, Reason::Paused, "spec.paused is true"),
        None => say(Truth::False, Reason::InProgress, "its stream is being started"),
        Some(stream) if stream.wanted == 0 => say(Truth::False, Reason::Paused, "runtime.stream.replicas is 0"),
        Some(stream) if stream.available > 0 => say(Truth::True, Reason::AsDeclared, ""),
        Some(stream) => match &stream.trouble {
            Some(Trouble::ForGood(why)) => say(Truth::False, of_reasons(why), why),
            Some(Trouble::ForNow(why)) => say(Truth::False, Reason::InProgress, &format!("no pod of the stream is ready: {why}")),
            None => say(Truth::False, Reason::InProgress, "no pod of the stream is ready yet"),
        },
    }
}

fn backfilled(facts: &Facts, status: &SignalRevisionStatus) -> Says {
    let say = |truth, reason, message: String| Says::new(ConditionType::BackfillComplete, truth, reason, message);
    let is_covered = status.demands.as_ref().is_some_and(|demands| facts.demands.is_empty() || demands.covered >= Some(demands.number));
    match &status.history {
        None if facts.folded(status).is_some() => say(Truth::True, Reason::AsDeclared, String::new()),
        None => say(Truth::False, Reason::InProgress, "it has no history yet".to_owned()),
        Some(_) if is_covered => say(Truth::True, Reason::AsDeclared, String::new()),
        Some(_) if facts.base.is_contradicted() => say(Truth::False, Reason::JobFailed, facts.base.reasons()),
        Some(_) => going(ConditionType::BackfillComplete, &facts.base, "base is being made for all features that read it"),
    }
}

fn ready(facts: &Facts, status: &SignalRevisionStatus, says: &[Says]) -> Says {
    let say = |truth, reason, message: String| Says::new(ConditionType::Ready, truth, reason, message);
    if status.dropping.is_some() {
        let failed = facts.drop.is_contradicted();
        let (reason, reasons) = if failed { (Reason::JobFailed, facts.drop.reasons()) } else { (Reason::Unused, String::new()) };
        let message = if reasons.is_empty() { "nothing needs it; its topics and tables are being dropped".to_owned() } else { reasons };
        return say(Truth::False, reason, message);
    }
    if status.prepared.is_some() && !facts.runs_here() {
        return say(Truth::False, Reason::SemanticsUnsupported, unsupported(facts));
    }
    // Base that is being extended for one more feature takes nothing from those that are there.
    let matters = |said: &&Says| said.what != ConditionType::BackfillComplete || facts.folded(status).is_none();
    match says.iter().filter(matters).find(|said| said.truth != Truth::True) {
        Some(first) => say(first.truth, first.reason, first.message.clone()),
        None if status.needed == Some(Use::Running) => say(Truth::True, Reason::AsDeclared, String::new()),
        None => say(Truth::True, Reason::Unused, "nobody reads it".to_owned()),
    }
}

/// By the rules of kstatus: only what is not as it should be is said.
fn abnormal(ready: &Says) -> Option<Says> {
    let what = match ready.reason {
        _ if ready.truth == Truth::True => return None,
        Reason::InProgress | Reason::Waiting | Reason::Paused | Reason::Unused | Reason::NotObserved => ConditionType::Reconciling,
        _ => ConditionType::Stalled,
    };
    Some(Says::new(what, Truth::True, ready.reason, &ready.message))
}

fn unsupported(facts: &Facts) -> String {
    let ([least, most], wanted) = (facts.semantics, facts.revision.spec.semantics);
    format!("its plan needs semantics {wanted}, and the platform's engine runs {least} to {most}: use an engine image that runs it")
}

/// What the engine's reasons come to: it names the one, and of the other it has a sentence of its own.
fn of_reasons(reasons: &str) -> Reason {
    if reasons.contains(&Reason::ConnectionNotAllowed.to_string()) {
        Reason::ConnectionNotAllowed
    } else if reasons.contains("when the revision was prepared and leads to") {
        Reason::ConnectionIdentityChanged
    } else {
        Reason::JobFailed
    }
}
