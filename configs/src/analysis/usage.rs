//! What is declared and used by nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::definition::{OnMissing, SignalDefinition};
use crate::expression::columns_of;
use crate::issue::{Issue, IssueCode};
use crate::name::QualifiedName;
use crate::plan::{AvailableAtPlan, ExecutorPlan, Plan, SignalPlan};

/// The columns of each signal that any feature reads.
pub(super) fn reads(plans: &[Plan]) -> BTreeMap<QualifiedName, BTreeSet<String>> {
    let mut reads: BTreeMap<QualifiedName, BTreeSet<String>> = BTreeMap::new();
    for read in plans.iter().filter_map(Plan::as_feature).flat_map(|f| &f.signals) {
        let columns = read.columns.iter().map(|c| c.source.clone()).chain(read.filter_columns.iter().cloned());
        reads.entry(read.name.clone()).or_default().extend(columns);
    }
    reads
}

/// Warnings about what no row, key or condition needs.
pub(super) fn unused(definition: &SignalDefinition, plan: &SignalPlan, reads: &BTreeMap<QualifiedName, BTreeSet<String>>) -> Vec<Issue> {
    let used = used(plan);
    let mut warnings = Vec::new();
    let mut unused = |at: String, message: String, help: &str| warnings.push(Issue::warning(at, IssueCode::UnusedColumn, message, help));
    for (index, field) in plan.event.fields.iter().enumerate().filter(|(_, f)| !used.contains(&f.name)) {
        unused(
            format!("definition.event.fields[{index}]"),
            format!("the field \"{}\" is used by nothing", field.name),
            "remove it, or add it to columns",
        );
    }
    let derived = definition.executor.iter().filter_map(|e| e.declarative.as_ref()).flat_map(|d| d.derive.iter().flatten());
    for (index, derived) in derived.enumerate().filter(|(_, d)| !used.contains(&d.name)) {
        let at = format!("definition.executor.declarative.derive[{index}]");
        unused(at, format!("\"{}\" is derived and used by nothing", derived.name), "remove it, or add it to columns");
    }
    let output = |name: &str| plan.columns.iter().any(|c| c.name == name);
    let mut idle = Vec::new();
    for (index, enrichment) in plan.enrichments.iter().enumerate() {
        let at = format!("definition.enrichments[{index}]");
        if !enrichment.columns.iter().any(|c| output(&c.name)) && enrichment.on_missing != OnMissing::Drop {
            let message = format!("no column of the enrichment \"{}\" is used", enrichment.name);
            idle.push(Issue::warning(at, IssueCode::UnusedEnrichment, message, "remove it, or add one of its columns to columns"));
            continue;
        }
        for (place, column) in enrichment.columns.iter().enumerate().filter(|(_, c)| !output(&c.name)) {
            let message = format!("\"{}\" is fetched and used by nothing", column.name);
            unused(format!("{at}.columns[{place}]"), message, "remove it, or add it to columns");
        }
    }
    // Who else reads a signal that is shared is not known here; nor of one that nobody here reads.
    if definition.shared_with.as_ref().is_none_or(Vec::is_empty)
        && let (Some(read), Some(columns)) = (reads.get(&plan.name), &definition.columns)
    {
        for (index, name) in columns.iter().enumerate().filter(|(_, name)| !read.contains(*name)) {
            unused(
                format!("definition.columns[{index}]"),
                format!("no feature reads \"{name}\""),
                "remove it, if nobody else reads the history",
            );
        }
    }
    warnings.extend(idle);
    warnings
}

/// Every name of a raw field or derivation that something needs.
fn used(plan: &SignalPlan) -> BTreeSet<String> {
    let mut used: BTreeSet<String> = [plan.entity.field.clone(), plan.event.time.field.clone()].into();
    used.extend(plan.event.id.iter().cloned());
    used.extend(plan.event.version.clone());
    if let AvailableAtPlan::Field(time) = &plan.event.available_at {
        used.insert(time.field.clone());
    }
    used.extend(plan.columns.iter().map(|c| c.name.clone()));
    used.extend(plan.enrichments.iter().flat_map(|e| e.lookup.key.iter().map(|k| k.ours.clone())));
    let mut expressions: Vec<&str> = plan.event.delete.iter().chain(&plan.source.filter).map(|e| e.sql.as_str()).collect();
    match &plan.executor {
        ExecutorPlan::Declarative { filter, derive } => {
            expressions.extend(filter.iter().map(|e| e.sql.as_str()));
            expressions.extend(derive.iter().map(|d| d.expr.sql.as_str()));
        }
        // Which fields it reads only the executor knows.
        ExecutorPlan::Builtin { .. } => used.extend(plan.event.fields.iter().map(|f| f.name.clone())),
    }
    used.extend(expressions.into_iter().flat_map(columns_of));
    used
}
