//! From definitions to plans: pure, total, every issue at once. One bad definition does not hide the others.
//!
//! ```text
//! definitions ─▶ signals (fields ─▶ event ─▶ source ─▶ executor ─▶ enrichments ─▶ columns) ─▶ plans ─┐
//!                                                                     pins (signals that are held) ──┴▶ features ─▶ plans
//! ```

mod columns;
mod enrichment;
mod event;
mod executor;
mod feature;
mod fields;
mod lifecycle;
mod reads;
mod report;
mod runtime;
mod signal;
mod source;
mod source_hash;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::definition::{FeatureObject, Object, SignalObject};
use crate::issue::{Issue, IssueCode};
use crate::name::QualifiedName;
use crate::plan::{MAX_PLAN_BYTES, Plan, SignalPlan};
use crate::{analysis, structure};

pub use source_hash::{SCHEME, feature_source_hash, signal_source_hash};

/// The two kinds of definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    SignalDefinition,
    SequenceFeature,
}

/// A definition's name among all of a cluster: `Kind/namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QualifiedObject {
    pub kind: Kind,
    pub name: QualifiedName,
}

/// A definition that compiled.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    pub plan: Plan,
    /// Of the plan's bytes: what an engine runs.
    pub digest: String,
    /// Of the definition's data-determining fields: what a revision is. `h1:…`
    pub source_hash: String,
    /// What is allowed, and probably not meant.
    pub warnings: Vec<Issue>,
}

/// Which revision of a signal a feature stays on: by feature, signal and schema version.
#[derive(Debug, Clone, Default)]
pub struct Pins(BTreeMap<(QualifiedName, QualifiedName, u32), Pinned>);

/// A revision of a signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Pinned {
    pub plan: Arc<SignalPlan>,
    pub source_hash: String,
}

/// What became of each definition.
pub type Outcome = BTreeMap<QualifiedObject, Result<Compiled, Vec<Issue>>>;

/// Compiles all `definitions` together. The order they are given in does not matter.
#[must_use]
pub fn compile(definitions: &[Object], pins: &Pins) -> Outcome {
    compile_with(definitions, &BTreeSet::new(), pins)
}

/// As [`compile`], where `unreadable` signals are known to exist, but not what they are: features that read them need those
/// corrected, not others.
#[must_use]
pub fn compile_with(definitions: &[Object], unreadable: &BTreeSet<QualifiedName>, pins: &Pins) -> Outcome {
    let mut signals: BTreeMap<QualifiedName, Vec<&SignalObject>> = BTreeMap::new();
    let mut features: BTreeMap<QualifiedName, Vec<&FeatureObject>> = BTreeMap::new();
    for object in definitions {
        match object {
            Object::SignalDefinition(signal) => signals.entry(object.name()).or_default().push(signal),
            Object::SequenceFeature(feature) => features.entry(object.name()).or_default().push(feature),
        }
    }
    let mut outcome = Outcome::new();
    let mut known = feature::KnownSignals::new(unreadable);
    for (name, objects) in signals {
        let key = QualifiedObject { kind: Kind::SignalDefinition, name: name.clone() };
        let compiled = once(&objects, |signal| {
            let object = Object::SignalDefinition(signal.clone());
            finish(
                structural(&object),
                signal::compile(signal).map(|plan| (Plan::Signal(plan), signal_source_hash(&signal.spec.definition))),
            )
        });
        let pinned = compiled
            .as_ref()
            .ok()
            .and_then(|c| Some(Pinned { plan: Arc::new(c.plan.as_signal()?.clone()), source_hash: c.source_hash.clone() }));
        known.insert(name, feature::KnownSignal { definition: objects[0], current: pinned });
        outcome.insert(key, compiled);
    }
    for (name, objects) in features {
        let compiled = once(&objects, |feature| {
            let object = Object::SequenceFeature(feature.clone());
            finish(structural(&object), feature::compile(feature, &known, pins).map(|(plan, hash)| (Plan::Feature(plan), hash)))
        });
        outcome.insert(QualifiedObject { kind: Kind::SequenceFeature, name }, compiled);
    }
    analysis::warn(definitions, &mut outcome);
    for (key, compiled) in &mut outcome {
        let object = key.to_string();
        let issues = match compiled {
            Ok(compiled) => &mut compiled.warnings,
            Err(issues) => issues,
        };
        issues.iter_mut().for_each(|issue| issue.object.clone_from(&object));
    }
    outcome
}

/// Of a name given more than once nothing is compiled: which was meant?
fn once<T>(objects: &[&T], compile: impl FnOnce(&T) -> Result<Compiled, Vec<Issue>>) -> Result<Compiled, Vec<Issue>> {
    match objects {
        [one] => compile(one),
        many => {
            let message = format!("{} definitions have this kind, namespace and name", many.len());
            Err(vec![Issue::error("metadata.name", IssueCode::Duplicate, message, "give each its own name, or remove all but one")])
        }
    }
}

/// The bounds of the schema hold for objects from anywhere, not only from text.
fn structural(object: &Object) -> Vec<Issue> {
    let mut issues = Vec::new();
    match serde_json::to_value(object) {
        Ok(value) => drop(structure::object(value, &mut issues)),
        Err(error) => {
            issues.push(Issue::error("", IssueCode::WrongType, format!("not a definition: {error}"), "compare it with the reference"));
        }
    }
    issues
}

fn finish(mut issues: Vec<Issue>, compiled: Result<(Plan, String), Vec<Issue>>) -> Result<Compiled, Vec<Issue>> {
    match compiled {
        Ok((plan, source_hash)) if issues.is_empty() => {
            let bytes = plan.canonical_json().len();
            if bytes <= MAX_PLAN_BYTES {
                let digest = plan.digest();
                return Ok(Compiled { plan, digest, source_hash, warnings: Vec::new() });
            }
            let message = format!("the plan has {bytes} bytes; at most {MAX_PLAN_BYTES} are allowed");
            issues.push(Issue::error("definition", IssueCode::PlanTooLarge, message, "declare fewer fields, or shorten expressions"));
        }
        Ok(_) => {}
        Err(found) => {
            // What the schema says of a field says it better.
            let new: Vec<_> = found.into_iter().filter(|f| !issues.iter().any(|i| i.path == f.path)).collect();
            issues.extend(new);
        }
    }
    Err(issues)
}

impl Pins {
    /// Notes that `feature` reads this revision of the signal with that schema version.
    pub fn insert(&mut self, feature: QualifiedName, pinned: Pinned) {
        let key = (feature, pinned.plan.name.clone(), pinned.plan.schema_version);
        self.0.insert(key, pinned);
    }

    /// The revision of `signal` with `schema_version` that `feature` reads.
    #[must_use]
    pub fn get(&self, feature: &QualifiedName, signal: &QualifiedName, schema_version: u32) -> Option<&Pinned> {
        self.0.get(&(feature.clone(), signal.clone(), schema_version))
    }
}

impl Kind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignalDefinition => "SignalDefinition",
            Self::SequenceFeature => "SequenceFeature",
        }
    }
}

impl QualifiedObject {
    #[must_use]
    pub fn of(object: &Object) -> Self {
        let kind = match object {
            Object::SignalDefinition(_) => Kind::SignalDefinition,
            Object::SequenceFeature(_) => Kind::SequenceFeature,
        };
        Self { kind, name: object.name() }
    }
}

impl fmt::Display for QualifiedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name)
    }
}

#[cfg(test)]
mod tests;
