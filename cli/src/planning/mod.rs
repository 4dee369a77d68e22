//! What a change of definitions does.

mod cost;
pub mod live;
pub mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tress_configs::Plan;
use tress_configs::SignalPlan;
use tress_configs::compatibility::{Class, classify_with};
use tress_configs::plan::{BatchPlan, ColumnPlan};

use crate::definitions::Workspace;
use cost::Cost;
use live::Plans;

/// One definition: what becomes of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// `Kind/namespace/name`
    pub object: String,
    pub status: Status,
    /// `None` for what is new or unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    pub differences: Vec<Difference>,
    /// The change of the output schema, a line each: `+ name type`, `- name type`, `~ name type → type`.
    pub schema: Vec<String>,
    /// What is built anew, in a sentence.
    pub rebuild: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    New,
    Changed,
    Unchanged,
    Removed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub class: &'static str,
    /// Where in the plan.
    pub path: String,
    pub reason: String,
}

/// Compares all definitions with what was before.
pub fn plan(workspace: &Workspace, before: &Plans) -> Vec<Planned> {
    let plans = workspace.compiled().map(|(_, c)| &c.plan).chain(before.plans.values().map(|r| &r.plan));
    let signals: BTreeMap<String, Arc<SignalPlan>> =
        plans.filter_map(|plan| Some((plan.digest(), Arc::new(plan.as_signal()?.clone())))).collect();
    let mut planned: Vec<Planned> = Vec::new();
    for (object, compiled) in workspace.compiled() {
        let object = object.to_string();
        let old = before.plans.get(&object);
        let unchanged = old.is_some_and(|old| old.source_hash == compiled.source_hash || old.plan == compiled.plan);
        let mut entry = Planned {
            object,
            status: if old.is_none() { Status::New } else { Status::Changed },
            class: None,
            digest: Some(compiled.digest.clone()),
            before: old.map(|old| old.plan.digest()),
            differences: Vec::new(),
            schema: schema_change(old.map(|old| columns(&old.plan)), columns(&compiled.plan)),
            rebuild: rebuild(&compiled.plan),
            cost: Some(Cost::of(&compiled.plan, workspace)),
        };
        if let Some(old) = old.filter(|_| unchanged) {
            entry.status = Status::Unchanged;
            entry.before = Some(old.plan.digest());
            entry.schema = Vec::new();
            entry.rebuild = "nothing".into();
        } else if let Some(old) = old {
            let change = classify_with(&old.plan, &compiled.plan, &|digest| signals.get(digest).cloned());
            entry.class = Some(name(change.class));
            entry.differences =
                change.differences.into_iter().map(|d| Difference { class: name(d.class), path: d.path, reason: d.reason }).collect();
        }
        planned.push(entry);
    }
    for (object, old) in &before.plans {
        if !planned.iter().any(|p| p.object == *object) {
            planned.push(Planned {
                object: object.clone(),
                status: Status::Removed,
                class: None,
                digest: None,
                before: Some(old.plan.digest()),
                differences: Vec::new(),
                schema: Vec::new(),
                rebuild: "nothing; it is read no more, and its data stays until it is deleted".into(),
                cost: None,
            });
        }
    }
    planned
}

const fn name(class: Class) -> &'static str {
    match class {
        Class::None => "None",
        Class::Compatible => "Compatible",
        Class::Behavioural => "Behavioural",
        Class::Breaking => "Breaking",
    }
}

fn columns(plan: &Plan) -> &[ColumnPlan] {
    match plan {
        Plan::Signal(plan) => &plan.columns,
        Plan::Feature(plan) => &plan.columns,
    }
}

fn schema_change(before: Option<&[ColumnPlan]>, after: &[ColumnPlan]) -> Vec<String> {
    let shown = |c: &ColumnPlan| format!("{}{}", c.column_type, if c.nullable { " or null" } else { "" });
    let before = before.unwrap_or_default();
    let mut lines = Vec::new();
    for column in after {
        match before.iter().find(|b| b.name == column.name) {
            None => lines.push(format!("+ {} {}", column.name, shown(column))),
            Some(old) if shown(old) != shown(column) => lines.push(format!("~ {} {} → {}", column.name, shown(old), shown(column))),
            Some(_) => {}
        }
    }
    let gone = before.iter().filter(|b| !after.iter().any(|a| a.name == b.name));
    lines.extend(gone.map(|column| format!("- {} {}", column.name, shown(column))));
    lines
}

fn rebuild(plan: &Plan) -> String {
    match plan {
        Plan::Signal(signal) => match &signal.source.batch {
            BatchPlan::Archive => format!("stream, history and base, from the archive of topic {}", signal.source.stream.topic),
            BatchPlan::External(log) => format!("stream, history and base, from the external log {}", log.path),
        },
        Plan::Feature(feature) => {
            let signals: Vec<String> = feature.signals.iter().map(|s| s.name.to_string()).collect();
            format!("nothing: it is a read of {}; base is extended if it asks for more than others do", signals.join(", "))
        }
    }
}
