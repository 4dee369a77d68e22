//! The reference of every field, written from the types' comments and bounds.

use std::fmt::Write;

use serde_json::Value;

use crate::{expression, structure, test_file};

/// Markdown: a table of fields for each kind of definition, the functions of expressions, and files with tests.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(HEAD);
    for (title, root, text) in [
        ("SignalDefinition", structure::schema_of("SignalDefinition"), "An event type with its filter, derivations and enrichments."),
        ("SequenceFeature", structure::schema_of("SequenceFeature"), "A named read over one or more signals."),
        ("Tests", test_file::schema(), "A file with `tests:` beside the definitions, run by `tress test`."),
    ] {
        let _ = write!(page, "\n## {title}\n{text}\n\n| field | type | needed | what it is |\n|---|---|---|---|\n");
        let mut table = Table { root, rows: &mut page };
        table.fields(root, "", 0);
    }
    let _ = write!(page, "\n## Functions of expressions\n{}.\n", expression::ALLOWED_FUNCTIONS.join(", "));
    page
}

const HEAD: &str = "# Reference of definitions
Written from the code by `TRESS_BLESS=1 cargo test -p tress-configs`; a test fails when it is stale. Every field belongs to `spec` unless it says otherwise;
what is needed is marked, everything else may be omitted.
";

struct Table<'a> {
    root: &'a Value,
    rows: &'a mut String,
}

/// Definitions do not nest deeper; a type that held itself would.
const MAX_LEVELS: usize = 12;

impl<'a> Table<'a> {
    fn fields(&mut self, schema: &'a Value, path: &str, level: usize) {
        let needed: Vec<&str> = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            self.field(field, &path, needed.contains(&name.as_str()), level);
        }
    }

    fn field(&mut self, field: &'a Value, path: &str, needed: bool, level: usize) {
        let target = self.resolve(field);
        let description = |s: &Value| s.get("description").and_then(Value::as_str).map(str::to_owned);
        let mut text = description(field).or_else(|| description(target)).unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        for (value, meaning) in values(target).into_iter().filter_map(|(v, m)| Some((v, m?))) {
            let _ = write!(text, " {value}: {meaning}");
        }
        let marked = if needed { "yes" } else { "" };
        let _ = writeln!(self.rows, "| `{path}` | {} | {marked} | {text} |", self.type_of(target));
        if level >= MAX_LEVELS {
            return;
        }
        self.fields(target, path, level + 1);
        if let Some(item) = target.get("items") {
            self.fields(self.resolve(item), &format!("{path}[]"), level + 1);
        }
        if let Some(value @ Value::Object(_)) = target.get("additionalProperties") {
            self.fields(self.resolve(value), &format!("{path}.*"), level + 1);
        }
    }

    fn resolve(&self, mut schema: &'a Value) -> &'a Value {
        loop {
            let target = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
            let not_null = |s: &&Value| s.get("type").and_then(Value::as_str) != Some("null");
            schema = if let Some(found) = target.and_then(|t| self.root.pointer(t)) {
                found
            } else if let Some(found) = schema.get("anyOf").and_then(Value::as_array).and_then(|any| any.iter().find(not_null)) {
                found
            } else {
                return schema;
            };
        }
    }

    fn type_of(&self, schema: &Value) -> String {
        let all = values(schema);
        if !all.is_empty() {
            return all.iter().map(|(v, _)| format!("`{v}`")).collect::<Vec<_>>().join(" \\| ");
        }
        let names: Vec<&str> = match schema.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => vec!["any"],
        };
        let name = names.into_iter().find(|n| *n != "null").unwrap_or("any");
        let bound = |key: &str| schema.get(key).and_then(Value::as_i64);
        match name {
            "string" if schema.get("pattern").is_some() => "duration".to_owned(),
            "string" => bound("maxLength").map_or("string".to_owned(), |most| format!("string, ≤ {most}")),
            "integer" => match (bound("minimum"), bound("maximum")) {
                (Some(least), Some(most)) => format!("integer, {least} to {most}"),
                (Some(least), None) => format!("integer, ≥ {least}"),
                _ => "integer".to_owned(),
            },
            "array" => {
                let item = schema.get("items").map_or("any".to_owned(), |item| self.item_name(item));
                bound("maxItems").map_or_else(|| format!("list of {item}"), |most| format!("list of {item}, ≤ {most}"))
            }
            "object" if schema.get("additionalProperties").is_some_and(Value::is_object) => "map".to_owned(),
            other => other.to_owned(),
        }
    }

    fn item_name(&self, item: &Value) -> String {
        match item.get("type").and_then(Value::as_str) {
            Some(name) => name.to_owned(),
            // An enum or an object: the former by its values, the latter by the rows below.
            None => {
                let target = item.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#')).and_then(|t| self.root.pointer(t));
                let all = target.map(values).unwrap_or_default();
                if all.is_empty() {
                    "object".to_owned()
                } else {
                    all.iter().map(|(v, _)| format!("`{v}`")).collect::<Vec<_>>().join(" \\| ")
                }
            }
        }
    }
}

/// The values of an enum and what each means.
fn values(schema: &Value) -> Vec<(&str, Option<&str>)> {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().filter_map(Value::as_str).map(|v| (v, None)).collect();
    }
    let variants = schema.get("oneOf").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    variants
        .iter()
        .flat_map(|variant| match variant.get("const").and_then(Value::as_str) {
            Some(value) => vec![(value, variant.get("description").and_then(Value::as_str))],
            None => {
                variant.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(|v| (v, None)).collect()
            }
        })
        .collect()
}
