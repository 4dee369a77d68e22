//! Entity, time, identity and version of an event.

use std::collections::BTreeSet;

use super::report::{OneOf, Report, is_key};
use crate::column::Scalar;
use crate::definition::{AvailableAt, EntityField, Event, TimeUnit};
use crate::issue::IssueCode;
use crate::nearest::suggest;
use crate::path;
use crate::plan::{AvailableAtPlan, EntityPlan, FieldPlan, TimePlan};

/// The raw field called `name`, or an issue at `at`.
pub(super) fn field<'a>(name: &str, fields: &'a [FieldPlan], at: &str, report: &mut Report) -> Option<&'a FieldPlan> {
    let found = fields.iter().find(|f| f.name == name);
    if found.is_none() {
        let help = suggest(name, "fields", fields.iter().map(|f| f.name.as_str()));
        report.error(at, IssueCode::UnknownReference, format!("there is no field \"{name}\""), help);
    }
    found
}

pub(super) fn entity(entity: &EntityField, fields: &[FieldPlan], report: &mut Report) -> Option<EntityPlan> {
    let at = "definition.entity.field";
    let found = field(&entity.field, fields, at, report)?;
    if !found.column_type.is_scalar() || !matches!(found.column_type.scalar, Scalar::String | Scalar::Int64) {
        let message = format!("the entity \"{}\" has type {}", entity.field, found.column_type);
        report.error(at, IssueCode::TypeNotAllowed, message, "an entity is a string or an int64");
        return None;
    }
    Some(EntityPlan { field: entity.field.clone(), scalar: found.column_type.scalar })
}

/// A field that holds a time, whose type and unit fit. `at`: the object with both; `key`: of the field's name.
pub(super) fn time((name, unit): (&str, TimeUnit), fields: &[FieldPlan], (at, key): (&str, &str), report: &mut Report) -> Option<TimePlan> {
    let found = field(name, fields, &path::member(at, key), report)?;
    let scalar = found.column_type.scalar;
    let (fits, wanted) = match unit {
        TimeUnit::Seconds | TimeUnit::Millis | TimeUnit::Micros | TimeUnit::Nanos => {
            (matches!(scalar, Scalar::Int64) || (scalar, unit) == (Scalar::Int32, TimeUnit::Seconds), "int64")
        }
        TimeUnit::Rfc3339 => (scalar == Scalar::String, "string"),
        TimeUnit::Timestamp => (scalar == Scalar::Timestamp, "timestamp"),
    };
    if !fits || !found.column_type.is_scalar() {
        let message = format!("a time in {unit:?} is a field of type {wanted}, and \"{name}\" has type {}", found.column_type);
        let help = match scalar {
            Scalar::String => "use unit Rfc3339, or declare the field as int64",
            Scalar::Timestamp => "use unit Timestamp",
            Scalar::Int64 => "use unit Seconds, Millis, Micros or Nanos",
            _ => "declare the field as int64, string or timestamp",
        };
        report.error(path::member(at, "unit"), IssueCode::TypeNotAllowed, message, help);
        return None;
    }
    Some(TimePlan { field: name.to_owned(), unit })
}

pub(super) fn available_at(rule: &AvailableAt, fields: &[FieldPlan], report: &mut Report) -> Option<AvailableAtPlan> {
    let at = "definition.event.availableAt";
    let AvailableAt { record_timestamp, field, event_time } = rule;
    let keys = [("recordTimestamp", record_timestamp.is_some()), ("field", field.is_some()), ("eventTime", event_time.is_some())];
    let OneOf::One = report.one_of(at, &keys, "write recordTimestamp: {}, field: {name, unit} or eventTime: {delay}") else { return None };
    if let Some(field) = field {
        return time((&field.name, field.unit), fields, (&path::member(at, "field"), "name"), report).map(AvailableAtPlan::Field);
    }
    Some(match event_time {
        Some(rule) => AvailableAtPlan::EventTime { delay_ms: rule.delay.millis() },
        None => AvailableAtPlan::RecordTimestamp,
    })
}

/// The fields that with entity and time make an event itself.
pub(super) fn identity(event: &Event, entity: &EntityField, fields: &[FieldPlan], report: &mut Report) -> Vec<String> {
    let mut seen = BTreeSet::new();
    for (index, name) in event.id.iter().enumerate() {
        let at = path::item("definition.event.id", index);
        let Some(found) = field(name, fields, &at, report) else { continue };
        if *name == entity.field || *name == event.time.field {
            let message = format!("\"{name}\" is the entity or the time, which are part of every identity");
            report.error(&at, IssueCode::Duplicate, message, "remove it");
        } else if !seen.insert(name) {
            report.error(&at, IssueCode::Duplicate, format!("\"{name}\" is given twice"), "remove it");
        } else if !is_key(&found.column_type) {
            let message = format!("\"{name}\" has type {}", found.column_type);
            report.error(
                &at,
                IssueCode::TypeNotAllowed,
                message,
                "an identity is made of values that compare exactly: no floats, lists or vectors",
            );
        }
    }
    event.id.clone()
}

pub(super) fn version(event: &Event, fields: &[FieldPlan], report: &mut Report) -> Option<String> {
    let at = "definition.event.version.field";
    let name = &event.version.as_ref()?.field;
    let found = field(name, fields, at, report)?;
    if !found.column_type.is_scalar() || !matches!(found.column_type.scalar, Scalar::Int32 | Scalar::Int64 | Scalar::Timestamp) {
        let message = format!("the version \"{name}\" has type {}", found.column_type);
        report.error(at, IssueCode::TypeNotAllowed, message, "a version is an int32, an int64 or a timestamp");
    }
    Some(name.clone())
}
