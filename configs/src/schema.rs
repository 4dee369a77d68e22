//! The JSON schema of definitions and of files with tests, for editors.

use serde_json::{Map, Value, json};

use crate::definition::API_VERSION;
use crate::{structure, test_file};

/// One document for everything that may stand in a file: either kind of definition, or tests.
#[must_use]
pub fn schema() -> Value {
    let mut shared = Map::new();
    let mut forms = Vec::new();
    for kind in ["SignalDefinition", "SequenceFeature"] {
        let mut form = detached(structure::schema_of(kind), &mut shared);
        form["title"] = json!(kind);
        form["properties"]["apiVersion"] = json!({ "const": API_VERSION });
        form["properties"]["kind"] = json!({ "const": kind });
        if let Some(required) = form["required"].as_array_mut() {
            required.push(json!("kind"));
        }
        forms.push(form);
    }
    forms.push(detached(test_file::schema(), &mut shared));
    shared.sort_keys();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Definitions of Tress",
        "oneOf": forms,
        "$defs": shared,
    })
}

/// A root schema without its definitions, which go to `shared`.
fn detached(root: &Value, shared: &mut Map<String, Value>) -> Value {
    let mut form = root.clone();
    if let Some(map) = form.as_object_mut() {
        map.shift_remove("$schema");
        if let Some(Value::Object(definitions)) = map.shift_remove("$defs") {
            shared.extend(definitions);
        }
    }
    form
}
