//! What a definition says of itself.

use jiff::Timestamp;
use kube::ResourceExt;
use tress_crds::SignalRevision;
use tress_crds::condition::{Condition, ConditionType, Reason, Says, Truth, conditions, said};
use tress_crds::definition::{SignalStatus, UsedBy};

use super::decide::{Verdict, changed};
use super::observe::Facts;
use crate::compile;

/// The most readers that are named.
const MAX_NAMES: usize = 20;

/// The status that follows. `accepted`: the revision that the definition is now; what was accepted before stays where it is none.
pub(super) fn status(facts: &Facts, verdict: &Verdict, accepted: Option<&SignalRevision>, now: Timestamp) -> SignalStatus {
    let before = facts.definition.status.clone().unwrap_or_default();
    let generation = facts.definition.metadata.generation.unwrap_or_default();
    let names: Vec<String> = facts.readers.iter().take(MAX_NAMES).cloned().collect();
    let used_by = UsedBy { count: i32::try_from(facts.readers.len()).unwrap_or(i32::MAX), names };
    let warnings = match &*facts.compiled {
        Ok(compiled) => compile::warnings(&compiled.warnings),
        Err(_) => Vec::new(),
    };
    let mut status = SignalStatus { observed_generation: Some(generation), warnings, used_by: Some(used_by), ..before.clone() };
    match (verdict, accepted) {
        (Verdict::Breaking { change, .. }, _) => status.change = Some(change.clone()),
        (_, Some(revision)) if before.revision.as_deref() != Some(revision.name_any().as_str()) => {
            status.revision = Some(revision.name_any());
            status.source_hash = Some(revision.spec.compiled.source_hash.clone());
            let last = facts.last.as_ref().and_then(|last| last.plan.as_ref().ok());
            status.change = last.zip(facts.compiled.as_ref().as_ref().ok()).map(|(last, compiled)| changed(last, &compiled.plan));
        }
        // What was refused is not declared any more.
        _ if before.change.as_ref().is_some_and(|c| c.class == tress_crds::definition::Class::Breaking) => status.change = None,
        _ => {}
    }
    let mirrored = accepted.and_then(|revision| revision.status.as_ref()).map(|status| status.conditions.as_slice()).unwrap_or_default();
    status.conditions = conditions(&before.conditions, &says(verdict, mirrored), generation, now);
    status
}

/// `mirrored`: what the revision says that the definition is.
fn says(verdict: &Verdict, mirrored: &[Condition]) -> Vec<Says> {
    let ready = |truth, reason, message: &str| Says::new(ConditionType::Ready, truth, reason, message);
    let stalled = |reason, message: &str| Says::new(ConditionType::Stalled, Truth::True, reason, message);
    let working = |message: &str| Says::new(ConditionType::Reconciling, Truth::True, Reason::InProgress, message);
    let compiled = Says::new(ConditionType::Compiled, Truth::True, Reason::AsDeclared, "");
    let fits = Says::new(ConditionType::SchemaCompatible, Truth::True, Reason::AsDeclared, "");
    match verdict {
        Verdict::Refused { reason, message } => vec![
            Says::new(ConditionType::Compiled, Truth::False, *reason, message),
            ready(Truth::False, *reason, message),
            stalled(*reason, message),
        ],
        Verdict::Breaking { message, .. } => vec![
            compiled,
            Says::new(ConditionType::SchemaCompatible, Truth::False, Reason::Breaking, message),
            ready(Truth::False, Reason::Breaking, message),
            stalled(Reason::Breaking, message),
        ],
        Verdict::Unknown(why) => vec![
            compiled,
            Says::new(ConditionType::SchemaCompatible, Truth::Unknown, Reason::OperatorTooOld, why),
            ready(Truth::False, Reason::OperatorTooOld, why),
            stalled(Reason::OperatorTooOld, why),
        ],
        Verdict::Leaving(name) => {
            let message = format!("the revision {name} was given up and is being dropped; it is made anew after that");
            vec![compiled, fits, ready(Truth::False, Reason::InProgress, &message), working(&message)]
        }
        Verdict::Paused => {
            let message = "spec.paused is true: no revision is made of it";
            let held = Says::new(ConditionType::Reconciling, Truth::True, Reason::Paused, message);
            vec![compiled, fits, ready(Truth::False, Reason::Paused, message), held]
        }
        Verdict::Is(_) | Verdict::Make(_) => {
            let mut all = vec![compiled, fits];
            all.extend(said(mirrored, ConditionType::Prepared));
            let not_yet = || ready(Truth::False, Reason::InProgress, "its revision was just made");
            let is_ready = said(mirrored, ConditionType::Ready).unwrap_or_else(not_yet);
            if is_ready.truth != Truth::True && said(mirrored, ConditionType::Stalled).is_none() {
                all.push(said(mirrored, ConditionType::Reconciling).unwrap_or_else(|| working(&is_ready.message)));
            }
            all.extend(said(mirrored, ConditionType::Stalled));
            all.push(is_ready);
            all
        }
    }
}
