//! What a change of a plan means for those who read it. The worst change counts; what is not known to be less is Behavioural.

mod feature;
mod project;
mod signal;

use std::sync::Arc;

use crate::column::{ColumnType, Scalar};
use crate::plan::{ColumnPlan, Plan, SignalPlan};

/// How far a change reaches, from nothing to readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The plans are the same.
    None,
    /// Readers see what they saw, or more: rolls out without comparison.
    Compatible,
    /// The schema holds, the data may differ: shadow and compare.
    Behavioural,
    /// Readers would break: a new schema version of a signal, a new name of a feature.
    Breaking,
}

/// One difference between two plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub class: Class,
    /// Where in the plan: `columns.rating.type`.
    pub path: String,
    /// What changed, in a sentence.
    pub reason: String,
}

/// All differences, and the class of the worst.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub class: Class,
    pub differences: Vec<Difference>,
}

/// Compares `new` with the plan that is `live`. Of a feature that reads another revision of a signal, the signal counts as changed in
/// every respect: [`classify_with`] knows better.
#[must_use]
pub fn classify(live: &Plan, new: &Plan) -> Change {
    classify_with(live, new, &|_| None)
}

/// As [`classify`]; `signals` gives the plan of a signal by its digest, so that a change of a signal counts for a feature only as far
/// as the feature reads it.
#[must_use]
pub fn classify_with(live: &Plan, new: &Plan, signals: &dyn Fn(&str) -> Option<Arc<SignalPlan>>) -> Change {
    let mut differences = match (live, new) {
        (Plan::Signal(live), Plan::Signal(new)) => signal::differences(live, new),
        (Plan::Feature(live), Plan::Feature(new)) => feature::differences(live, new, signals),
        _ => vec![difference(Class::Breaking, "kind", "a signal cannot become a feature, nor a feature a signal")],
    };
    // A plan that differs in nothing that is looked at still differs.
    if differences.is_empty() && live.digest() != new.digest() {
        differences.push(difference(Class::Behavioural, "", "the plans differ"));
    }
    let class = differences.iter().map(|d| d.class).max().unwrap_or(Class::None);
    Change { class, differences }
}

/// Where differences are put as they are found.
#[derive(Default)]
struct Found(Vec<Difference>);

impl Found {
    fn put(&mut self, differs: bool, class: Class, path: &str, reason: &str) {
        if differs {
            self.0.push(difference(class, path, reason));
        }
    }
}

/// Whether the columns that both have come in the same order.
fn reordered(live: &[ColumnPlan], new: &[ColumnPlan]) -> bool {
    let shared = |of: &[ColumnPlan], with: &[ColumnPlan]| -> Vec<String> {
        of.iter().filter(|c| with.iter().any(|w| w.name == c.name)).map(|c| c.name.clone()).collect()
    };
    shared(live, new) != shared(new, live)
}

/// The schema that readers see.
fn schema(live: &[ColumnPlan], new: &[ColumnPlan]) -> Vec<Difference> {
    let mut found = Vec::new();
    for before in live {
        let path = format!("columns.{}", before.name);
        let Some(after) = new.iter().find(|c| c.name == before.name) else {
            found.push(difference(Class::Breaking, path, "the column is dropped or renamed"));
            continue;
        };
        if before.column_type != after.column_type {
            let reason = format!("the type changes from {} to {}", before.column_type, after.column_type);
            let class = if widens(&before.column_type, &after.column_type) { Class::Compatible } else { Class::Breaking };
            found.push(difference(class, format!("{path}.type"), reason));
        }
        match (before.nullable, after.nullable) {
            (false, true) => found.push(difference(Class::Breaking, format!("{path}.nullable"), "the column may now be null")),
            (true, false) => found.push(difference(Class::Compatible, format!("{path}.nullable"), "the column is no longer null")),
            _ => {}
        }
    }
    for after in new.iter().filter(|c| live.iter().all(|l| l.name != c.name)) {
        let (class, reason) = match after.nullable {
            true => (Class::Compatible, "a nullable column is added"),
            false => (Class::Behavioural, "a column that is never null is added"),
        };
        found.push(difference(class, format!("columns.{}", after.name), reason));
    }
    found
}

fn widens(from: &ColumnType, to: &ColumnType) -> bool {
    let wider = matches!((from.scalar, to.scalar), (Scalar::Int32, Scalar::Int64) | (Scalar::Float32, Scalar::Float64));
    wider && from.is_scalar() && to.is_scalar()
}

fn difference(class: Class, path: impl Into<String>, reason: impl Into<String>) -> Difference {
    Difference { class, path: path.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests;
