//! What a change of definitions reaches: for review before it is applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::compatibility::{Change, Class, classify_with};
use crate::compile::{Kind, Outcome, QualifiedObject};
use crate::plan::SignalPlan;

/// One definition whose plan changes, appears or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Impact {
    Added(QualifiedObject),
    Removed(QualifiedObject),
    Changed {
        object: QualifiedObject,
        change: Change,
        /// Whether the signal's history has to be made again from raw events.
        backfill: bool,
    },
}

/// What differs between two outcomes of compile, signals first. What does not compile in one of them is left out.
#[must_use]
pub fn impact(live: &Outcome, new: &Outcome) -> Vec<Impact> {
    let mut signals: BTreeMap<&str, Arc<SignalPlan>> = BTreeMap::new();
    for compiled in live.values().chain(new.values()).flatten() {
        if let Some(signal) = compiled.plan.as_signal() {
            signals.insert(&compiled.digest, Arc::new(signal.clone()));
        }
    }
    let mut impacts = Vec::new();
    for (object, after) in new {
        match (live.get(object), after) {
            (None, Ok(_)) => impacts.push(Impact::Added(object.clone())),
            (Some(Ok(before)), Ok(after)) if before.digest != after.digest => {
                let change = classify_with(&before.plan, &after.plan, &|digest| signals.get(digest).cloned());
                // Rows of another revision are never mixed with these; what decides no row needs no new ones.
                let rows = change.differences.iter().any(|d| !matches!(d.path.as_str(), "latenessMs" | "onInvalid"));
                let backfill = object.kind == Kind::SignalDefinition && change.class > Class::None && rows;
                impacts.push(Impact::Changed { object: object.clone(), change, backfill });
            }
            _ => {}
        }
    }
    let gone = live.keys().filter(|object| !new.contains_key(*object));
    impacts.extend(gone.map(|object| Impact::Removed(object.clone())));
    impacts
}
