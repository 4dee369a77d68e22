//! The columns that a signal gives.

use std::collections::BTreeMap;

use super::report::Report;
use crate::definition::{OnMissing, SignalDefinition};
use crate::expression::Column;
use crate::issue::IssueCode;
use crate::nearest::suggest;
use crate::path;
use crate::plan::{ColumnPlan, EnrichmentPlan, FieldPlan, Origin, field_id};

/// The most columns of a signal or a feature.
pub(super) const MAX_COLUMNS: usize = 200;

/// `executor`: the columns that the executor adds.
pub(super) fn columns(
    definition: &SignalDefinition,
    fields: &[FieldPlan],
    executor: &[Column],
    enrichments: &[EnrichmentPlan],
    report: &mut Report,
) -> Vec<ColumnPlan> {
    let available = available(fields, executor, enrichments);
    let at = "definition.columns";
    let chosen: Vec<ColumnPlan> = match &definition.columns {
        None => {
            let own = [&definition.entity.field, &definition.event.time.field];
            available.into_iter().filter(|c| c.origin != Origin::Raw || !own.contains(&&c.name)).collect()
        }
        Some(names) => {
            let mut chosen: Vec<ColumnPlan> = Vec::new();
            for (index, name) in names.iter().enumerate() {
                let at = path::item(at, index);
                match available.iter().find(|c| c.name == *name) {
                    None if report.broken.contains(name) => {}
                    None => {
                        let help = suggest(name, "columns", available.iter().map(|c| c.name.as_str()));
                        report.error(at, IssueCode::UnknownReference, format!("there is no column \"{name}\""), help);
                    }
                    Some(_) if chosen.iter().any(|c| c.name == *name) => {
                        report.error(at, IssueCode::Duplicate, format!("\"{name}\" is given twice"), "remove one");
                    }
                    Some(column) => chosen.push(column.clone()),
                }
            }
            chosen
        }
    };
    for (index, column) in chosen.iter().enumerate() {
        let (at, help) = match &definition.columns {
            Some(names) => (path::item(at, names.iter().position(|n| *n == column.name).unwrap_or(index)), "derive it under another name"),
            None => {
                (place_of(column, definition), "list `columns` without it, or give it another name (`path` says where it is in the record)")
            }
        };
        report.output_name(&at, &column.name, help);
    }
    count_and_ids(&chosen, at, report);
    chosen
}

/// Bounds and ids of any list of output columns.
pub(super) fn count_and_ids(columns: &[ColumnPlan], at: &str, report: &mut Report) {
    if columns.len() > MAX_COLUMNS {
        let message = format!("there are {} columns", columns.len());
        report.error(at, IssueCode::OutOfRange, message, format!("at most {MAX_COLUMNS} are allowed: choose with `columns`"));
    }
    let mut ids: BTreeMap<i32, &str> = BTreeMap::new();
    for column in columns {
        if let Some(other) = ids.insert(column.field_id, &column.name) {
            let message = format!("\"{}\" and \"{other}\" have the same field id", column.name);
            report.error(at, IssueCode::FieldIdCollision, message, "rename one of them");
        }
    }
}

fn available(fields: &[FieldPlan], executor: &[Column], enrichments: &[EnrichmentPlan]) -> Vec<ColumnPlan> {
    let plan = |name: &str, column_type: &crate::column::ColumnType, nullable, origin| ColumnPlan {
        name: name.to_owned(),
        column_type: column_type.clone(),
        nullable,
        field_id: field_id(name),
        origin,
    };
    let raw = fields.iter().map(|f| plan(&f.name, &f.column_type, f.nullable, Origin::Raw));
    let executor = executor.iter().map(|c| plan(&c.name, &c.column_type, c.nullable, Origin::Executor));
    let fetched = (0u32..).zip(enrichments).flat_map(|(index, enrichment)| {
        enrichment.columns.iter().map(move |c| {
            let always = enrichment.on_missing == OnMissing::Default && c.default.is_some();
            plan(&c.name, &c.column_type, !always, Origin::Enrichment(index))
        })
    });
    raw.chain(executor).chain(fetched).collect()
}

/// Where a column that is output by default was named.
fn place_of(column: &ColumnPlan, definition: &SignalDefinition) -> String {
    match column.origin {
        Origin::Raw => {
            let index = definition.event.fields.iter().position(|f| f.name == column.name);
            index.map_or_else(|| "definition.columns".to_owned(), |i| format!("definition.event.fields[{i}].name"))
        }
        Origin::Executor => {
            let executor = definition.executor.as_ref();
            let derived = executor.and_then(|e| e.declarative.as_ref()).and_then(|d| d.derive.as_ref());
            let built_in = executor.and_then(|e| e.builtin.as_ref());
            if let Some(i) = derived.and_then(|d| d.iter().position(|d| d.name == column.name)) {
                return format!("definition.executor.declarative.derive[{i}].name");
            }
            let index = built_in.and_then(|b| b.columns.iter().position(|c| c.name == column.name));
            index.map_or_else(|| "definition.executor".to_owned(), |i| format!("definition.executor.builtin.columns[{i}].name"))
        }
        Origin::Enrichment(_) | Origin::Signals => {
            let all = definition.enrichments.iter().flatten().enumerate();
            let place =
                all.flat_map(|(i, e)| e.columns.iter().enumerate().map(move |(j, c)| (i, j, c))).find(|(.., c)| c.name == column.name);
            place.map_or_else(|| "definition.enrichments".to_owned(), |(i, j, _)| format!("definition.enrichments[{i}].columns[{j}].name"))
        }
    }
}
