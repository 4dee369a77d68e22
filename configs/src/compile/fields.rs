//! The raw event's schema.

use std::collections::BTreeMap;

use super::report::Report;
use crate::column::{ColumnType, MAX_DIM, Scalar};
use crate::definition::{RawField, TypedColumn};
use crate::issue::IssueCode;
use crate::path;
use crate::plan::FieldPlan;

/// Fields in the order written; of a name given twice the first.
pub(super) fn fields(fields: &[RawField], at: &str, report: &mut Report) -> Vec<FieldPlan> {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let mut plans = Vec::with_capacity(fields.len());
    for (index, field) in fields.iter().enumerate() {
        let RawField { name, scalar, list, dim, scale, nullable, path: location } = field;
        let at = path::item(at, index);
        report.column_name(&path::member(&at, "name"), name);
        let column_type = column_type(Written { scalar: *scalar, list: *list, dim: *dim, scale: scale.as_deref() }, &at, report);
        let location: Vec<String> = match location {
            None => vec![name.clone()],
            Some(text) => text.split('.').map(str::to_owned).collect(),
        };
        if location.iter().any(String::is_empty) {
            let help = "write keys from the outermost on, separated by dots: context.surface";
            report.error(path::member(&at, "path"), IssueCode::InvalidName, "a key of the path is empty", help);
        }
        if let Some(first) = known.insert(name, index) {
            let message = format!("fields[{first}] has the name \"{name}\" already");
            report.error(path::member(&at, "name"), IssueCode::Duplicate, message, "give each field its own name; `path` says where it is");
            known.insert(name, first);
            continue;
        }
        plans.push(FieldPlan { name: name.clone(), column_type, nullable: nullable.unwrap_or(false), path: location });
    }
    plans
}

/// A type as it is written, in its parts.
pub(super) struct Written<'a> {
    pub scalar: Scalar,
    pub list: Option<bool>,
    pub dim: Option<i32>,
    pub scale: Option<&'a str>,
}

impl<'a> Written<'a> {
    pub(super) fn of(column: &'a TypedColumn) -> Self {
        Self { scalar: column.scalar, list: column.list, dim: column.dim, scale: column.scale.as_deref() }
    }
}

/// The type of the field or column at `at`.
pub(super) fn column_type(written: Written<'_>, at: &str, report: &mut Report) -> ColumnType {
    let Written { scalar, list, dim, scale } = written;
    let list = list.unwrap_or(false);
    if list && dim.is_some() {
        let help = "a variable list has `list: true`, a vector of fixed length has `dim`";
        report.error(path::member(at, "dim"), IssueCode::Conflict, "both list and dim are given", help);
    }
    if dim.is_some() && scalar.packed_width().is_none() {
        let message = format!("{scalar} cannot be an element of a vector");
        report.error(
            path::member(at, "type"),
            IssueCode::TypeNotAllowed,
            message,
            "vectors are of int8, float16 or float32; use list: true",
        );
    }
    if scalar == Scalar::Int8 && dim.is_none() {
        let help = "give a dim, or use int32";
        report.error(path::member(at, "type"), IssueCode::TypeNotAllowed, "int8 exists only in vectors", help);
    }
    match (scalar, scale) {
        (Scalar::Int8, None) if dim.is_some() => {
            let help = "add scale: what one unit stands for, such as \"0.0078125\"";
            report.error(path::member(at, "scale"), IssueCode::MissingField, "an int8 vector needs a scale", help);
        }
        (Scalar::Int8, Some(text)) if text.parse::<f32>().is_ok_and(|s| s.is_finite() && s > 0.0) => {}
        (Scalar::Int8, Some(text)) => {
            let help = "write a decimal number above zero, such as \"0.0078125\"";
            report.error(path::member(at, "scale"), IssueCode::OutOfRange, format!("\"{text}\" is not a scale"), help);
        }
        (_, Some(_)) => {
            report.error(
                path::member(at, "scale"),
                IssueCode::Conflict,
                format!("a scale is given for {scalar}"),
                "only int8 vectors have one",
            );
        }
        _ => {}
    }
    // Out of its bounds is reported by the schema.
    let dim = dim.map(|d| u32::try_from(d).unwrap_or(1).clamp(1, MAX_DIM));
    ColumnType { scalar, list: list && dim.is_none(), dim, scale: scale.map(str::to_owned) }
}
