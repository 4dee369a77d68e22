//! The schema of a kind as an API server wants it: structural, bounded, with rules.

mod rules;
mod structural;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

pub use rules::{RULES, Rule, rules};
pub use structural::structural;

/// The schema of objects with this spec and status.
///
/// # Errors
/// With the path of what cannot be said structurally; a rule for a place that is not there.
pub fn object<Spec: JsonSchema, Status: JsonSchema>(kind: &str, description: &str) -> Result<Value, String> {
    let mut status = of::<Status>().map_err(|e| format!("status{e}"))?;
    // What has never been looked at says so, to whoever waits for it.
    status["default"] = json!({"observedGeneration": -1});
    let mut root = json!({
        "description": description,
        "type": "object",
        "required": ["spec"],
        "properties": {"spec": of::<Spec>().map_err(|e| format!("spec{e}"))?, "status": status},
    });
    for rule in rules(kind) {
        let place = at(&mut root, rule.at).ok_or_else(|| format!("a rule stands at {}, which is not there", rule.at))?;
        let said = json!({"rule": rule.cel, "message": rule.message});
        match place.get_mut("x-kubernetes-validations").and_then(Value::as_array_mut) {
            Some(all) => all.push(said),
            None => place["x-kubernetes-validations"] = json!([said]),
        }
    }
    Ok(root)
}

fn of<T: JsonSchema>() -> Result<Value, String> {
    structural(&SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value())
}

/// The schema at a path such as `spec.definition.enrichments[].lookup`; the root's is empty.
fn at<'a>(root: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('.').filter(|step| !step.is_empty()).try_fold(root, |schema, step| {
        let (name, is_list) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
        let field = schema.get_mut("properties")?.get_mut(name)?;
        if is_list { field.get_mut("items") } else { Some(field) }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{RULES, at};
    use crate::generate;

    /// Every schema within, with its path.
    fn every<'a>(schema: &'a Value, path: &str, seen: &mut dyn FnMut(&str, &'a Value)) {
        seen(path, schema);
        for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            every(field, format!("{path}.{name}").trim_start_matches('.'), seen);
        }
        if let Some(item) = schema.get("items") {
            every(item, &format!("{path}[]"), seen);
        }
        if let Some(value) = schema.get("additionalProperties") {
            every(value, &format!("{path}.*"), seen);
        }
    }

    #[test]
    fn everything_is_bounded() {
        let mut unbounded = Vec::new();
        for kind in generate::kinds().unwrap() {
            every(&kind.schema, "", &mut |path, schema| {
                let has = |key: &str| schema.get(key).is_some();
                let bounded = match schema.get("type").and_then(Value::as_str) {
                    Some("string") => has("maxLength") || has("enum") || schema["format"] == "date-time",
                    Some("array") => has("maxItems"),
                    Some("object") => !has("additionalProperties") || has("maxProperties"),
                    Some("integer") => schema["format"] == "int32" || schema["format"] == "int64",
                    Some("boolean") => true,
                    _ => false,
                };
                if !bounded {
                    unbounded.push(format!("{} {path}: {schema}", kind.name));
                }
            });
        }
        assert!(unbounded.is_empty(), "{unbounded:#?}");
    }

    #[test]
    fn every_one_of_has_its_rule() {
        let mut seen = 0;
        for kind in generate::kinds().unwrap() {
            every(&kind.schema, "", &mut |path, schema| {
                if schema.get("description").and_then(Value::as_str).is_some_and(|d| d.contains("xactly one of")) {
                    seen += 1;
                    assert!(schema.get("x-kubernetes-validations").is_some(), "{} {path}", kind.name);
                }
            });
        }
        assert!(seen >= 7, "{seen}");
    }

    /// A field that is added later is immutable too, or named here.
    #[test]
    fn every_field_of_what_is_immutable_is_in_its_rule() {
        for (name, free) in [("Backfill", &["parallelism", "suspend"][..]), ("SequenceRollout", &["intent"][..])] {
            let mut kind = generate::kinds().unwrap().into_iter().find(|k| k.name == name).unwrap();
            let spec = at(&mut kind.schema, "spec").unwrap();
            let required: Vec<_> = spec["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            let rule = RULES.iter().find(|r| r.kind == name && r.at == "spec").unwrap();
            for field in spec["properties"].as_object().unwrap().keys().filter(|field| !free.contains(&field.as_str())) {
                assert!(rule.cel.contains(&format!("self.{field} == oldSelf.{field}")), "{name}.{field}");
                let both = format!("has(self.{field}) == has(oldSelf.{field})");
                assert_eq!(rule.cel.contains(&both), !required.contains(&field.as_str()), "{name}.{field}");
            }
        }
    }
}
