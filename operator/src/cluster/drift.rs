//! Whether an object is still as its manifest says. What the server or others add to it is not looked at, only what was asked for.

use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64;

use super::Watched;
use crate::apply::MANIFEST;

/// What the object looks like where it is not as its manifest says: a digest.
pub(super) fn of<K: Watched>(object: &K) -> Option<u64> {
    let text = object.meta().annotations.as_ref()?.get(MANIFEST)?;
    let found = serde_json::to_value(object).ok()?;
    // One that cannot be read has been meddled with.
    let manifest = serde_json::from_str(text).unwrap_or(Value::Null);
    differs(&manifest, &found).then(|| digest(&manifest, &found))
}

/// What of `object` its manifest speaks of, as a digest.
pub(crate) fn projection<K: Watched>(object: &K) -> Option<u64> {
    of(object)
}

/// Whether something that is asked for is not so.
fn differs(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            wanted.iter().any(|(key, value)| differs(value, found.get(key).unwrap_or(&Value::Null)))
        }
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() != found.len() || wanted.iter().zip(found).any(|(wanted, found)| differs(wanted, found))
        }
        (Value::String(wanted), Value::String(found)) => wanted != found && !is_same_quantity(wanted, found),
        (wanted, found) => wanted != found && !(is_nothing(wanted) && is_nothing(found)),
    }
}

/// Servers leave out what says nothing.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(n) => n.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(is_nothing),
        Value::Bool(true) => false,
    }
}

/// Servers write `1024Mi` as `1Gi`.
fn is_same_quantity(a: &str, b: &str) -> bool {
    matches!((crate::platform::quantity(a), crate::platform::quantity(b)), (Some(a), Some(b)) if a == b)
}

fn digest(wanted: &Value, found: &Value) -> u64 {
    xxh3_64(seen(wanted, found).to_string().as_bytes())
}

/// `found`, as far as `wanted` speaks of it.
fn seen(wanted: &Value, found: &Value) -> Value {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            let part = |(key, value): (&String, &Value)| found.get(key).map(|f| (key.clone(), seen(value, f)));
            Value::Object(wanted.iter().filter_map(part).collect::<Map<_, _>>())
        }
        (Value::Array(wanted), Value::Array(found)) => {
            let part = |(at, f): (usize, &Value)| wanted.get(at).map_or_else(|| f.clone(), |w| seen(w, f));
            Value::Array(found.iter().enumerate().map(part).collect())
        }
        (_, found) => found.clone(),
    }
}
