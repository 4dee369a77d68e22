//! What can be said of definitions without data: warnings, sizes, and what a change reaches.

mod impact;
mod size;
mod usage;

use std::collections::BTreeMap;

use crate::compile::{Outcome, QualifiedObject};
use crate::definition::{Lifecycle, Object};
use crate::issue::{Issue, IssueCode};
use crate::name::QualifiedName;
use crate::path;
use crate::plan::{AvailableAtPlan, FeaturePlan, Plan, SignalPlan};

pub use impact::{Impact, impact};
pub use size::{Estimate, estimate_feature, estimate_signal};

/// Adds to every definition that compiled what is allowed and probably not meant.
pub(crate) fn warn(definitions: &[Object], outcome: &mut Outcome) {
    let plans = |outcome: &Outcome| -> Vec<Plan> { outcome.values().flatten().map(|c| c.plan.clone()).collect() };
    let plans = plans(outcome);
    let reads = usage::reads(&plans);
    let deprecated: BTreeMap<QualifiedName, Option<&str>> = definitions
        .iter()
        .filter_map(|object| match object {
            Object::SignalDefinition(s) if s.spec.definition.lifecycle == Some(Lifecycle::Deprecated) => {
                Some((object.name(), s.spec.definition.sunset.as_deref()))
            }
            _ => None,
        })
        .collect();
    for object in definitions {
        let Some(Ok(compiled)) = outcome.get_mut(&QualifiedObject::of(object)) else { continue };
        let warnings = match (object, &compiled.plan) {
            (Object::SignalDefinition(signal), Plan::Signal(plan)) => {
                let mut warnings = signal_warnings(plan);
                warnings.extend(usage::unused(&signal.spec.definition, plan, &reads));
                warnings
            }
            (Object::SequenceFeature(feature), Plan::Feature(plan)) => {
                let place = |name: &QualifiedName| {
                    let uses = &feature.spec.definition.signals;
                    let same = |u: &crate::definition::SignalUse| {
                        u.name == name.name && u.namespace.as_deref().unwrap_or(&plan.name.namespace) == name.namespace
                    };
                    let index = uses.iter().position(same).unwrap_or_default();
                    path::member(&path::item("definition.signals", index), "name")
                };
                feature_warnings(plan, &deprecated, &place)
            }
            _ => Vec::new(),
        };
        compiled.warnings.extend(warnings);
    }
}

fn signal_warnings(plan: &SignalPlan) -> Vec<Issue> {
    let mut warnings = Vec::new();
    let tells_apart = |name: &String| plan.field(name).is_some_and(|f| f.column_type.scalar != crate::column::Scalar::Bool);
    if !plan.event.id.iter().any(tells_apart) {
        let message = "nothing but the time tells two events of an entity apart, and one of them would be dropped";
        warnings.push(Issue::warning(
            "definition.event.id",
            IssueCode::WeakIdentity,
            message,
            "add the field that makes an event unique, such as the item",
        ));
    }
    if plan.event.available_at == (AvailableAtPlan::EventTime { delay_ms: 0 }) {
        let message = "events count as known the moment they happen, so training sees what serving could not";
        let help = "write the delay that events really have, or use recordTimestamp";
        warnings.push(Issue::warning("definition.event.availableAt.eventTime.delay", IssueCode::NoDelay, message, help));
    }
    warnings.extend(size::large_embeddings(plan));
    warnings
}

fn feature_warnings(
    plan: &FeaturePlan,
    deprecated: &BTreeMap<QualifiedName, Option<&str>>,
    place: &dyn Fn(&QualifiedName) -> String,
) -> Vec<Issue> {
    let mut warnings = Vec::new();
    for read in &plan.signals {
        if let (Some(window), Some(retention)) = (plan.window_ms, read.retention_ms)
            && retention < window
        {
            let days = |ms: i64| crate::duration::Duration::from_millis(ms);
            let message = format!("the window is {}, and the signal {} keeps {}", days(window), read.name, days(retention));
            let help = "shorten the window, or keep the signal for longer";
            warnings.push(Issue::warning("definition.window", IssueCode::RetentionTooShort, message, help));
        }
        if let Some(sunset) = deprecated.get(&read.name) {
            let until = sunset.map(|day| format!(" and goes on {day}")).unwrap_or_default();
            let message = format!("the signal {} is deprecated{until}", read.name);
            warnings.push(Issue::warning(place(&read.name), IssueCode::DeprecatedSignal, message, "move to the signal that replaces it"));
        }
    }
    warnings
}

#[cfg(test)]
mod tests;
