//! Columns that are fetched by key.

use std::collections::BTreeSet;

use super::fields::{Written, column_type};
use super::report::{OneOf, Report, is_key};
use crate::column::{ColumnType, Scalar};
use crate::definition::{Enrichment, Lookup, OnMissing, TableLookup, TypedColumn};
use crate::expression::Column;
use crate::issue::IssueCode;
use crate::nearest::suggest;
use crate::path;
use crate::plan::{EnrichmentColumn, EnrichmentPlan, LookupKey, TableLookupPlan};

/// `sight`: raw fields and columns of the executor, which may be keys.
pub(super) fn enrichments(enrichments: &[Enrichment], sight: &[Column], report: &mut Report) -> Vec<EnrichmentPlan> {
    let mut names = BTreeSet::new();
    let mut taken: BTreeSet<String> = sight.iter().map(|c| c.name.clone()).collect();
    let mut plans = Vec::new();
    for (index, enrichment) in enrichments.iter().enumerate() {
        let at = path::item("definition.enrichments", index);
        let Enrichment { name, lookup, on_missing, columns } = enrichment;
        report.column_name(&path::member(&at, "name"), name);
        if !names.insert(name) {
            let message = format!("an enrichment \"{name}\" is there already");
            report.error(path::member(&at, "name"), IssueCode::Duplicate, message, "give each enrichment its own name");
        }
        let columns = columns.iter().enumerate().filter_map(|(i, column)| {
            let at = path::item(&path::member(&at, "columns"), i);
            let plan = column_of(column, &at, report);
            if taken.insert(plan.name.clone()) {
                return Some(plan);
            }
            let message = format!("\"{}\" is the name of another column of this signal", plan.name);
            report.error(path::member(&at, "name"), IssueCode::Duplicate, message, "give the column a name of its own, or drop the other");
            None
        });
        let columns: Vec<_> = columns.collect();
        match table(lookup, &path::member(&at, "lookup"), sight, report) {
            Some(lookup) => {
                plans.push(EnrichmentPlan { name: name.clone(), lookup, on_missing: on_missing.unwrap_or(OnMissing::Null), columns });
            }
            None => report.broken.extend(columns.into_iter().map(|c| c.name)),
        }
    }
    plans
}

fn column_of(column: &TypedColumn, at: &str, report: &mut Report) -> EnrichmentColumn {
    report.column_name(&path::member(at, "name"), &column.name);
    let column_type = column_type(Written::of(column), at, report);
    if let Some(text) = &column.default {
        default(text, &column_type, &path::member(at, "default"), report);
    }
    EnrichmentColumn { name: column.name.clone(), column_type, default: column.default.clone() }
}

fn default(text: &str, column_type: &ColumnType, at: &str, report: &mut Report) {
    if column_type.list || column_type.scalar == Scalar::Binary {
        let message = format!("a {column_type} has no default");
        report.error(at, IssueCode::TypeNotAllowed, message, "remove it; what is not found is null");
        return;
    }
    let fits = match column_type.scalar {
        Scalar::Bool => matches!(text, "true" | "false"),
        Scalar::Int8 => text.parse::<i8>().is_ok(),
        Scalar::Int32 => text.parse::<i32>().is_ok(),
        Scalar::Int64 => text.parse::<i64>().is_ok(),
        // The greatest half float.
        Scalar::Float16 => text.parse::<f32>().is_ok_and(|f| f.abs() <= 65_504.0),
        Scalar::Float32 => text.parse::<f32>().is_ok_and(f32::is_finite),
        Scalar::Float64 => text.parse::<f64>().is_ok_and(f64::is_finite),
        Scalar::String | Scalar::Binary => true,
        Scalar::Timestamp => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
    };
    if !fits {
        let what = if column_type.dim.is_some() { "an element of " } else { "" };
        let help = match column_type.scalar {
            Scalar::Bool => "write \"true\" or \"false\"",
            Scalar::Timestamp => "write a time such as \"2024-05-01T12:00:00Z\"",
            _ => "write a number that fits the type, in quotes",
        };
        report.error(at, IssueCode::WrongType, format!("\"{text}\" is not {what}{column_type}"), help);
    }
}

fn table(lookup: &Lookup, at: &str, sight: &[Column], report: &mut Report) -> Option<TableLookupPlan> {
    let Lookup { table } = lookup;
    let OneOf::One = report.one_of(at, &[("table", table.is_some())], "write table: {connection, table, key}") else { return None };
    let TableLookup { connection, table, key, valid_from } = table.as_ref()?;
    let at = path::member(at, "table");
    report.object_name(&path::member(&at, "connection"), connection, 63);
    if table.starts_with('/') || table.contains("://") || table.split('/').any(|part| part == "..") {
        let help = "the connection says where it is: write a path below it";
        report.error(path::member(&at, "table"), IssueCode::InvalidName, "the path is not relative to its connection", help);
    }
    let keys_at = path::member(&at, "key");
    if key.is_empty() {
        report.error(&keys_at, IssueCode::MissingField, "the key is empty", "write {ours: column of the table}");
    }
    let mut theirs_taken = BTreeSet::new();
    let mut keys = Vec::new();
    for (ours, theirs) in key {
        let at = path::member(&keys_at, ours);
        if theirs.is_empty() || !theirs_taken.insert(theirs) {
            let message = format!("the column \"{theirs}\" is empty or given twice");
            report.error(&at, IssueCode::Duplicate, message, "name each column of the table once");
        }
        let Some(found) = sight.iter().find(|c| c.name == *ours) else {
            if report.broken.contains(ours) {
                continue;
            }
            let help = suggest(ours, "columns", sight.iter().map(|c| c.name.as_str()));
            report.error(&at, IssueCode::UnknownReference, format!("there is no field or derivation \"{ours}\""), help);
            continue;
        };
        if !is_key(&found.column_type) {
            let message = format!("\"{ours}\" has type {}", found.column_type);
            report.error(&at, IssueCode::TypeNotAllowed, message, "a key compares exactly: no floats, lists or vectors");
        }
        keys.push(LookupKey { ours: ours.clone(), theirs: theirs.clone(), column_type: found.column_type.clone() });
    }
    Some(TableLookupPlan { connection: connection.clone(), table: table.clone(), key: keys, valid_from: valid_from.clone() })
}
