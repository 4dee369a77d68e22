//! What people declare in these tests.

use serde_json::{Value, json};
use tress_configs::source::{Foreign, parse};
use tress_configs::{Pins, Plan, compile};

/// A signal of an own topic that the engine archives.
pub fn signal(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"definition": {
        "entity": {"field": "user_id"},
        "event": {
            "time": {"field": "ts", "unit": "Seconds"},
            "availableAt": {"recordTimestamp": {}},
            "id": ["item_id"],
            "fields": [
                {"name": "user_id", "type": "string"},
                {"name": "item_id", "type": "int64"},
                {"name": "rating", "type": "float32", "nullable": true},
                {"name": "surface", "type": "string", "nullable": true},
                {"name": "ts", "type": "int64"},
            ],
        },
        "source": {"stream": {"connection": "main", "topic": name, "format": {"json": {}}}, "archive": true},
        "executor": {"declarative": {"filter": "rating >= 0.5"}},
        "columns": ["item_id", "rating"],
    }}})
}

/// A feature over signals of its own namespace.
pub fn feature(name: &str, signals: &[&str]) -> Value {
    let signals: Vec<Value> = signals.iter().map(|signal| json!({"name": signal})).collect();
    json!({"metadata": {"name": name}, "spec": {"definition": {"signals": signals, "length": 10}}})
}

/// `value`, with something else at the pointer; null = removed.
pub fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let mut at = &mut value;
    for part in parent.split('/').skip(1) {
        at = match at {
            Value::Array(items) => &mut items[part.parse::<usize>().unwrap()],
            other => other.as_object_mut().unwrap().entry(part).or_insert_with(|| json!({})),
        };
    }
    match (at, new) {
        (Value::Object(fields), Value::Null) => drop(fields.remove(key)),
        (at, new) => at[key] = new,
    }
    value
}

/// Readers see what they saw, or more.
pub fn wider(signal: Value) -> Value {
    with(signal, "/spec/definition/columns", json!(["item_id", "rating", "surface"]))
}

/// The schema holds, the data may differ.
pub fn filtered(signal: Value, least: &str) -> Value {
    with(signal, "/spec/definition/executor/declarative/filter", json!(format!("rating >= {least}")))
}

/// Readers would break.
pub fn narrower(signal: Value) -> Value {
    with(signal, "/spec/definition/columns", json!(["item_id"]))
}

/// It does not compile.
pub fn mistaken(signal: Value) -> Value {
    with(signal, "/spec/definition/executor/declarative/filter", json!("ratng >= 0.5"))
}

/// The plans of a signal, and of a feature that reads it.
pub fn plans() -> (Plan, Plan) {
    let text = include_str!("../../../configs/golden/minimal.yaml");
    let parsed = parse("minimal.yaml", text, Foreign::Report);
    assert!(parsed.issues.is_empty(), "{:?}", parsed.issues);
    let objects: Vec<_> = parsed.objects.into_iter().map(|o| o.item).collect();
    let mut plans = compile(&objects, &Pins::default()).into_values().map(|compiled| compiled.unwrap().plan);
    (plans.next().unwrap(), plans.next().unwrap())
}
