//! The page about all kinds, written from their schemas.

use std::fmt::Write;

use serde_json::Value;

use crate::generate::Kind;
use crate::schema::rules;

const HEAD: &str = "# Reference of kinds
Written from the code by `TRESS_BLESS=1 cargo test -p tress-crds`; a test fails when it is stale. Group `tress.dev`, version `v1alpha1`; all are namespaced
and in the category `tress`: `kubectl get tress` lists everything. What stands under `spec` of a SignalDefinition and of a SequenceFeature is in
[the reference of definitions](definitions.md). Every status begins as `{observedGeneration: -1}`.
";

/// Markdown.
pub fn page(kinds: &[Kind]) -> String {
    let mut page = HEAD.to_owned();
    for kind in kinds {
        let names = &kind.crd["spec"]["names"];
        let short = names["shortNames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
        let _ = write!(page, "\n## {}\n{} Short name `{short}`.\n", kind.name, kind.description);
        let rules: Vec<_> = rules(kind.name).collect();
        if !rules.is_empty() {
            page.push_str("\nChecked by the API server, besides types and bounds:\n");
            for rule in rules {
                let place = if rule.at.is_empty() { "" } else { &format!("`{}`: ", rule.at) };
                let _ = writeln!(page, "- {place}{}", rule.message);
            }
        }
        page.push_str("\n| field | type | needed | what it is |\n|---|---|---|---|\n");
        let is_definition = matches!(kind.name, "SignalDefinition" | "SequenceFeature");
        for part in if is_definition { &["status"][..] } else { &["spec", "status"] } {
            fields(&kind.schema["properties"][part], part, &mut page);
        }
    }
    page
}

fn fields(schema: &Value, path: &str, page: &mut String) {
    let needed: Vec<&str> = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{path}.{name}");
        let text = field.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        let marked = if needed.contains(&name.as_str()) { "yes" } else { "" };
        let _ = writeln!(page, "| `{path}` | {} | {marked} | {text} |", type_of(field));
        // The policy is the feature's own, which has its page.
        if path == "spec.policy" {
            continue;
        }
        fields(field, &path, page);
        if let Some(item) = field.get("items") {
            fields(item, &format!("{path}[]"), page);
        }
    }
}

fn type_of(schema: &Value) -> String {
    let text = |key: &str| schema.get(key).and_then(Value::as_str);
    let bound = |key: &str| schema.get(key).and_then(Value::as_i64);
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().filter_map(Value::as_str).map(|v| format!("`{v}`")).collect::<Vec<_>>().join(" \\| ");
    }
    match text("type").unwrap_or("any") {
        "string" if text("format") == Some("date-time") => "time".to_owned(),
        "string" => bound("maxLength").map_or("string".to_owned(), |most| format!("string, ≤ {most}")),
        "integer" => match (bound("minimum"), bound("maximum")) {
            (Some(least), Some(most)) => format!("integer, {least} to {most}"),
            (Some(least), None) => format!("integer, ≥ {least}"),
            _ => "integer".to_owned(),
        },
        "array" => {
            let item = schema.get("items").map_or("any".to_owned(), type_of);
            bound("maxItems").map_or_else(|| format!("list of {item}"), |most| format!("list of {item}, ≤ {most}"))
        }
        other => other.to_owned(),
    }
}
