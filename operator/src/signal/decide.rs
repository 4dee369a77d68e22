//! What becomes of a definition: an ordered list of questions, the first that is not passed is the answer.

use std::sync::Arc;

use kube::ResourceExt;
use kube::api::ObjectMeta;
use tress_configs::Compiled;
use tress_configs::compatibility::{self, Class};
use tress_configs::plan::{BatchPlan, Plan, SignalPlan, canonical};
use tress_crds::condition::Reason;
use tress_crds::definition;
use tress_crds::revision::{ArchivedTopic, CompiledSource, SignalRevisionSpec};
use tress_crds::{SignalDefinition, SignalRevision};

use super::observe::Facts;
use crate::{compile, label, name};

/// What becomes of it.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It makes no plan, or the platform does not allow it.
    Refused {
        reason: Reason,
        message: String,
    },
    /// Readers would break.
    Breaking {
        change: definition::Change,
        message: String,
    },
    /// It cannot be judged here: what was accepted before is a newer operator's, or damaged.
    Unknown(String),
    /// A revision of its name is on its way out: it is made anew after that.
    Leaving(String),
    /// `spec.paused` holds it.
    Paused,
    /// It is a revision that is there already.
    Is(Arc<SignalRevision>),
    Make(Box<SignalRevision>),
}

/// Decides. Pure, total.
#[must_use]
pub fn decide(facts: &Facts) -> Verdict {
    let Facts { definition, compiled, refused, named, last, readers: _ } = facts;
    let compiled = match &**compiled {
        Ok(compiled) => compiled,
        Err(issues) => return Verdict::Refused { reason: Reason::Invalid, message: compile::message(issues) },
    };
    let Some(plan) = compiled.plan.as_signal() else {
        return Verdict::Refused { reason: Reason::Invalid, message: "its plan is no signal's".to_owned() };
    };
    if let Some(first) = refused.first() {
        let all: Vec<&str> = refused.iter().map(|refused| refused.message.as_str()).collect();
        return Verdict::Refused { reason: first.reason, message: all.join("; ") };
    }
    if let Some(named) = named {
        return match named.spec.compiled.source_hash == compiled.source_hash {
            _ if is_leaving(named) => Verdict::Leaving(named.name_any()),
            // It was accepted once: going back to it breaks nobody, for features stay on what they read until they compile against it.
            true => Verdict::Is(Arc::clone(named)),
            false => {
                let message = format!("a revision {} of another definition has its name: give the signal another name", named.name_any());
                Verdict::Refused { reason: Reason::Invalid, message }
            }
        };
    }
    if let Some(last) = last {
        match &last.plan {
            Err(why) => return Verdict::Unknown(why.clone()),
            Ok(before) => {
                let change = changed(before, &compiled.plan);
                if change.class == definition::Class::Breaking {
                    return breaking(definition, change);
                }
            }
        }
    }
    if definition.spec.paused == Some(true) {
        return Verdict::Paused;
    }
    Verdict::Make(Box::new(revision(definition, compiled, plan)))
}

/// How far the change from one plan to the next reaches, with the paths of the worst differences.
pub(super) fn changed(before: &Arc<SignalPlan>, after: &Plan) -> definition::Change {
    let change = compatibility::classify(&Plan::Signal(SignalPlan::clone(before)), after);
    let worst = change.differences.iter().filter(|d| d.class == change.class && change.class > Class::Compatible);
    let told = worst.map(|d| format!("{}: {}", d.path, d.reason).chars().take(512).collect());
    definition::Change { class: class(change.class), paths: told.take(20).collect() }
}

fn breaking(definition: &SignalDefinition, change: definition::Change) -> Verdict {
    let next = definition.spec.definition.schema_version.unwrap_or(1).saturating_add(1);
    let message = format!(
        "readers would break: {}; raise definition.schemaVersion to {next}, and both versions run side by side",
        change.paths.join("; ")
    );
    Verdict::Breaking { change, message }
}

fn revision(definition: &SignalDefinition, compiled: &Compiled, plan: &SignalPlan) -> SignalRevision {
    let signal = definition.name_any();
    let archive = match &plan.source.batch {
        BatchPlan::Archive => {
            let stream = &plan.source.stream;
            Some(ArchivedTopic { connection: stream.connection.clone(), topic: stream.topic.clone() })
        }
        BatchPlan::External(_) => None,
    };
    let spec = SignalRevisionSpec {
        signal: signal.clone(),
        schema_version: definition.spec.definition.schema_version.unwrap_or(1),
        semantics: i32::try_from(plan.semantics).unwrap_or(i32::MAX),
        archive,
        compiled: CompiledSource {
            source_hash: compiled.source_hash.clone(),
            digest: compiled.digest.clone(),
            plan: compiled.plan.canonical_json(),
            source: canonical(&serde_json::to_value(&definition.spec.definition).unwrap_or_default()),
        },
    };
    let labels = [(label::OF, signal.as_str()), label::MANAGED].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut revision = SignalRevision::new(&name::revision(&signal, &compiled.source_hash), spec);
    revision.metadata = ObjectMeta { namespace: definition.namespace(), labels: Some(labels.into()), ..revision.metadata };
    revision
}

fn is_leaving(revision: &SignalRevision) -> bool {
    revision.metadata.deletion_timestamp.is_some() || revision.status.as_ref().is_some_and(|status| status.dropping.is_some())
}

const fn class(class: Class) -> definition::Class {
    match class {
        Class::None => definition::Class::None,
        Class::Compatible => definition::Class::Compatible,
        Class::Behavioural => definition::Class::Behavioural,
        Class::Breaking => definition::Class::Breaking,
    }
}
