//! Filter, derivations, and executors of other kinds.

use std::collections::BTreeSet;

use super::fields::{Written, column_type};
use super::report::{OneOf, Report};
use crate::definition::{Builtin, Declarative, Executor};
use crate::expression::{Column, Wanted};
use crate::issue::IssueCode;
use crate::path;
use crate::plan::{DerivePlan, ExecutorPlan, FieldPlan, NamedType};

/// An executor, and the columns that it adds.
pub(super) struct Executed {
    pub plan: ExecutorPlan,
    pub columns: Vec<Column>,
}

pub(super) fn executor(executor: Option<&Executor>, fields: &[FieldPlan], report: &mut Report) -> Option<Executed> {
    let at = "definition.executor";
    let none = Declarative { filter: None, derive: None };
    let Some(Executor { declarative, builtin }) = executor else { return Some(declared(&none, fields, report)) };
    let keys = [("declarative", declarative.is_some()), ("builtin", builtin.is_some())];
    let OneOf::One = report.one_of(at, &keys, "write declarative: {filter, derive} or builtin: {name}") else {
        let derived = declarative.iter().flat_map(|d| d.derive.iter().flatten()).map(|d| d.name.clone());
        report.broken.extend(derived.chain(builtin.iter().flat_map(|b| b.columns.iter().map(|c| c.name.clone()))));
        return None;
    };
    Some(match builtin {
        Some(builtin) => built_in(builtin, fields, report),
        None => declared(declarative.as_ref().unwrap_or(&none), fields, report),
    })
}

fn declared(declarative: &Declarative, fields: &[FieldPlan], report: &mut Report) -> Executed {
    let at = "definition.executor.declarative";
    let filter = declarative.filter.as_ref().and_then(|sql| condition(&path::member(at, "filter"), sql, fields, report));
    let mut scope: Vec<Column> = fields.iter().map(declared_column).collect();
    let mut derive = Vec::new();
    for (index, derived) in declarative.derive.iter().flatten().enumerate() {
        let at = path::item(&path::member(at, "derive"), index);
        report.column_name(&path::member(&at, "name"), &derived.name);
        let fresh = !scope.iter().any(|c| c.name == derived.name);
        if !fresh {
            let message = format!("\"{}\" is the name of a raw field or an earlier derivation", derived.name);
            report.error(path::member(&at, "name"), IssueCode::Duplicate, message, "give the derivation a name of its own");
        }
        let typed = report.expression(&path::member(&at, "expr"), &derived.expr, &scope, Wanted::Value);
        if typed.is_none() {
            report.broken.insert(derived.name.clone());
        }
        if let Some(typed) = typed.filter(|_| fresh) {
            let expr = typed.expression;
            scope.push(Column { name: derived.name.clone(), column_type: expr.column_type.clone(), nullable: expr.nullable });
            derive.push(DerivePlan { name: derived.name.clone(), expr });
        }
    }
    let columns = scope.split_off(fields.len());
    Executed { plan: ExecutorPlan::Declarative { filter: filter.map(|t| t.expression), derive }, columns }
}

fn built_in(builtin: &Builtin, fields: &[FieldPlan], report: &mut Report) -> Executed {
    let at = "definition.executor.builtin";
    report.object_name(&path::member(at, "name"), &builtin.name, 63);
    let mut taken: BTreeSet<&str> = fields.iter().map(|f| f.name.as_str()).collect();
    let mut columns = Vec::new();
    for (index, column) in builtin.columns.iter().enumerate() {
        let at = path::item(&path::member(at, "columns"), index);
        report.column_name(&path::member(&at, "name"), &column.name);
        let column_type = column_type(Written::of(column), &at, report);
        if column.default.is_some() {
            let help = "remove it; the executor decides what it gives";
            report.error(path::member(&at, "default"), IssueCode::Conflict, "a column of an executor has no default", help);
        }
        if taken.insert(&column.name) {
            columns.push(Column { name: column.name.clone(), column_type, nullable: true });
        } else {
            let message = format!("\"{}\" is the name of a raw field or an earlier column", column.name);
            report.error(path::member(&at, "name"), IssueCode::Duplicate, message, "give the column a name of its own");
        }
    }
    let named = columns.iter().map(|c| NamedType { name: c.name.clone(), column_type: c.column_type.clone() }).collect();
    let plan = ExecutorPlan::Builtin { name: builtin.name.clone(), options: builtin.options.clone().unwrap_or_default(), columns: named };
    Executed { plan, columns }
}

/// A condition over raw fields. All of them may be null in its sight, so that it means the same before and after validation.
pub(super) fn condition(at: &str, sql: &str, fields: &[FieldPlan], report: &mut Report) -> Option<crate::expression::Typed> {
    let columns: Vec<_> = fields.iter().map(|f| Column { nullable: true, ..declared_column(f) }).collect();
    report.expression(at, sql, &columns, Wanted::Condition)
}

fn declared_column(field: &FieldPlan) -> Column {
    Column { name: field.name.clone(), column_type: field.column_type.clone(), nullable: field.nullable }
}
