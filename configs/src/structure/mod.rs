//! The shape of a definition, held against the JSON schema of its types. Everything that is wrong is found at once, which
//! deserialising, that stops at the first mistake, cannot do. Editors and the reference are made from the same schema.

mod walk;

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::definition::{FeatureObject, Object, SignalObject};
use crate::issue::{Issue, IssueCode};

static SIGNAL: LazyLock<Value> = LazyLock::new(schema::<SignalObject>);
static FEATURE: LazyLock<Value> = LazyLock::new(schema::<FeatureObject>);

/// The JSON schema of one type, with its own definitions beside it.
pub(crate) fn schema<T: schemars::JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

/// The schema of a kind's objects, without `kind` itself.
pub(crate) fn schema_of(kind: &str) -> &'static Value {
    if kind == "SignalDefinition" { &SIGNAL } else { &FEATURE }
}

/// The object that `value` (with a known `kind`) is, or every reason why it is none. Paths begin at `spec`.
pub(crate) fn object(value: Value, issues: &mut Vec<Issue>) -> Option<Object> {
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut found = Vec::new();
    let mut body = value.clone();
    if let Some(map) = body.as_object_mut() {
        // Of an object read back from a cluster: not the user's.
        map.shift_remove("kind");
        map.shift_remove("status");
    }
    walk::check(schema_of(&kind), &body, &mut found);
    for issue in &mut found {
        if let Some(path) = issue.path.strip_prefix("spec.") {
            issue.path = path.to_owned();
        }
    }
    let shape_is_sound = found.is_empty();
    issues.append(&mut found);
    if !shape_is_sound {
        return None;
    }
    if let Some(map) = body.as_object_mut() {
        map.insert("kind".to_owned(), Value::String(kind));
    }
    match serde_json::from_value(body) {
        Ok(object) => Some(object),
        Err(error) => {
            issues.push(Issue::error(
                "",
                IssueCode::WrongType,
                format!("this is not a definition: {error}"),
                "compare it with the reference",
            ));
            None
        }
    }
}

/// Holds `value` against the schema of `T`, then reads it.
pub(crate) fn typed<T: serde::de::DeserializeOwned>(schema: &Value, value: Value, issues: &mut Vec<Issue>) -> Option<T> {
    let before = issues.len();
    walk::check(schema, &value, issues);
    if issues.len() > before {
        return None;
    }
    match serde_json::from_value(value) {
        Ok(typed) => Some(typed),
        Err(error) => {
            issues.push(Issue::error("", IssueCode::WrongType, error.to_string(), "compare it with the reference"));
            None
        }
    }
}

#[cfg(test)]
mod tests;
