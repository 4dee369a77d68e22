//! JSON Schema as schemars writes it, in the form that Kubernetes takes: no references, no unions, nothing nullable. What it does not
//! know is refused rather than left out.

use serde_json::{Map, Value, json};

/// Definitions do not nest deeper; a type that held itself would.
const MAX_DEPTH: usize = 40;

/// How the type of a one-of is described.
const ONE_OF: &str = "Exactly one of these.";

/// Keywords that mean the same in both.
const SAME: &[&str] = &[
    "description",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "required",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
];

/// The structural form of a root schema with its `$defs`.
///
/// # Errors
/// With the path, beginning with a dot or empty, of what has none.
pub fn structural(root: &Value) -> Result<Value, String> {
    Conversion { root }.schema(root, "", 0)
}

struct Conversion<'a> {
    root: &'a Value,
}

impl<'a> Conversion<'a> {
    fn schema(&self, schema: &'a Value, path: &str, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(format!("{path}: a type that holds itself"));
        }
        let own = schema.get("description");
        let target = self.resolve(schema, path)?;
        let Some(from) = target.as_object() else { return Err(format!("{path}: {target} allows anything")) };
        if let Some(mut choice) = choice(target) {
            if let (Some(own), Some(map)) = (own, choice.as_object_mut()) {
                map.insert("description".to_owned(), own.clone());
            }
            return Ok(choice);
        }
        let mut to = Map::new();
        for (key, value) in from {
            match key.as_str() {
                "type" => drop(to.insert("type".to_owned(), one_type(value).ok_or_else(|| format!("{path}: the type {value}"))?)),
                "format" if matches!(value.as_str(), Some("int32" | "int64" | "date-time")) => drop(to.insert(key.clone(), value.clone())),
                "properties" => drop(to.insert(key.clone(), self.properties(value, path, depth)?)),
                "items" => drop(to.insert(key.clone(), self.schema(value, &format!("{path}[]"), depth + 1)?)),
                // Unknown fields are pruned, or refused, by the server itself.
                "additionalProperties" if *value == json!(false) => {}
                "additionalProperties" => drop(to.insert(key.clone(), self.schema(value, &format!("{path}.*"), depth + 1)?)),
                // Where a type is named: of no use within. Defaults live in compile.
                "$schema" | "$defs" | "title" | "default" => {}
                same if SAME.contains(&same) => drop(to.insert(key.clone(), value.clone())),
                // The values of an object, by name.
                "enum" => drop(to.insert(key.clone(), value.clone())),
                other => return Err(format!("{path}: {other} has no structural form")),
            }
        }
        if let Some(own) = own.and_then(Value::as_str) {
            // What a field is said to be stands before what its type is said to be; that only one key may be set is told in any case.
            let is_one_of = from.get("description").and_then(Value::as_str).is_some_and(|d| d.starts_with(ONE_OF) && d != own);
            to.insert("description".to_owned(), if is_one_of { json!(format!("{own} {ONE_OF}")) } else { json!(own) });
        }
        Ok(Value::Object(to))
    }

    fn properties(&self, value: &'a Value, path: &str, depth: usize) -> Result<Value, String> {
        let fields = value.as_object().into_iter().flatten();
        let converted = fields.map(|(name, field)| Ok((name.clone(), self.schema(field, &format!("{path}.{name}"), depth + 1)?)));
        Ok(Value::Object(converted.collect::<Result<_, String>>()?))
    }

    /// Follows references; of "this or null" takes this: what is null is what is absent.
    fn resolve(&self, mut schema: &'a Value, path: &str) -> Result<&'a Value, String> {
        loop {
            schema = if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
                let target = reference.strip_prefix('#').and_then(|r| self.root.pointer(r));
                target.ok_or_else(|| format!("{path}: {reference} is not there"))?
            } else if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
                match any.iter().filter(|s| s.get("type").and_then(Value::as_str) != Some("null")).collect::<Vec<_>>().as_slice() {
                    [one] => one,
                    _ => return Err(format!("{path}: a union")),
                }
            } else {
                return Ok(schema);
            }
        }
    }
}

/// `T`, also of `[T, null]`.
fn one_type(value: &Value) -> Option<Value> {
    match value {
        Value::String(one) => Some(json!(one)),
        Value::Array(many) => match many.iter().filter(|t| t.as_str() != Some("null")).collect::<Vec<_>>().as_slice() {
            [one] => Some((*one).clone()),
            _ => None,
        },
        _ => None,
    }
}

/// An enum whose values are documented one by one, as one list of values; what they mean goes to the description.
fn choice(schema: &Value) -> Option<Value> {
    let variants = schema.get("oneOf")?.as_array()?;
    let mut values = Vec::new();
    let mut told: Vec<String> = schema.get("description").and_then(Value::as_str).map(str::to_owned).into_iter().collect();
    for variant in variants {
        match variant.get("const") {
            Some(one) => {
                let meaning = variant.get("description").and_then(Value::as_str).unwrap_or_default();
                told.push(format!("{}: {meaning}", one.as_str()?));
                values.push(one.clone());
            }
            None => values.extend(variant.get("enum")?.as_array()?.iter().cloned()),
        }
    }
    values.iter().all(Value::is_string).then(|| json!({"description": told.join(" "), "type": "string", "enum": values}))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::structural;

    #[test]
    fn references_nulls_and_documented_enums_are_resolved() {
        let root = json!({
            "$schema": "s", "title": "T", "type": "object", "additionalProperties": false, "required": ["a"],
            "properties": {
                "a": {"anyOf": [{"$ref": "#/$defs/Color"}, {"type": "null"}]},
                "b": {"$ref": "#/$defs/Inner", "description": "Here."},
                "c": {"type": ["array", "null"], "items": {"type": "integer", "format": "int32"}, "maxItems": 2},
                "d": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 3}, "maxProperties": 4},
                "e": {"type": "string", "enum": ["x"]},
                "f": {"$ref": "#/$defs/One", "description": "Some."}
            },
            "$defs": {
                "One": {"type": "object", "properties": {}, "description": "Exactly one of these."},
                "Color": {"description": "A color.", "oneOf": [
                    {"type": "string", "enum": ["Red", "Blue"]}, {"type": "string", "const": "Green", "description": "As grass."}]},
                "Inner": {"type": "object", "properties": {}, "description": "Elsewhere."}
            }
        });
        let wanted = json!({
            "type": "object", "required": ["a"],
            "properties": {
                "a": {"description": "A color. Green: As grass.", "type": "string", "enum": ["Red", "Blue", "Green"]},
                "b": {"type": "object", "properties": {}, "description": "Here."},
                "c": {"type": "array", "items": {"type": "integer", "format": "int32"}, "maxItems": 2},
                "d": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 3}, "maxProperties": 4},
                "e": {"type": "string", "enum": ["x"]},
                "f": {"type": "object", "properties": {}, "description": "Some. Exactly one of these."}
            }
        });
        assert_eq!(structural(&root), Ok(wanted));
    }

    #[test]
    fn what_has_no_structural_form_is_refused_with_its_path() {
        let refused = |field: serde_json::Value| {
            structural(
                &json!({"type": "object", "properties": {"f": field}, "$defs": {"L": {"type": "array", "items": {"$ref": "#/$defs/L"}}}}),
            )
            .unwrap_err()
        };
        assert_eq!(refused(json!({"anyOf": [{"type": "string"}, {"type": "integer"}]})), ".f: a union");
        assert_eq!(refused(json!({"type": ["string", "integer"]})), ".f: the type [\"string\",\"integer\"]");
        assert_eq!(refused(json!({"type": "integer", "format": "uint32"})), ".f: format has no structural form");
        assert_eq!(refused(json!({"type": "string", "not": {}})), ".f: not has no structural form");
        assert_eq!(refused(json!(true)), ".f: true allows anything");
        assert_eq!(refused(json!({"$ref": "#/$defs/M"})), ".f: #/$defs/M is not there");
        assert!(refused(json!({"$ref": "#/$defs/L"})).ends_with(": a type that holds itself"));
    }
}
