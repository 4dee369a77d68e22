//! One walk over a value and its schema. Knows the part of JSON Schema that schemars writes for our types.

use serde_json::{Map, Value};

use crate::duration::{self, Duration};
use crate::issue::{Issue, IssueCode};
use crate::nearest::suggest;
use crate::path;

/// Adds everything about `value` that `schema` does not allow.
pub(super) fn check(schema: &Value, value: &Value, issues: &mut Vec<Issue>) {
    Walk { root: schema, issues }.value(schema, value, "");
}

struct Walk<'a> {
    root: &'a Value,
    issues: &'a mut Vec<Issue>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, schema: &'a Value, value: &Value, path: &str) {
        let schema = self.resolve(schema);
        if let Some(values) = choices(schema) {
            return self.choice(&values, value, path);
        }
        let wanted = schema.get("type").map(types).unwrap_or_default();
        let fits = wanted.is_empty() || wanted.iter().any(|t| is(t, value));
        match value {
            _ if !fits && is_duration(schema) => {
                let message = format!("{} stands where a duration is needed", described(value));
                self.add(path.to_owned(), IssueCode::InvalidDuration, message, DURATION_HELP);
            }
            _ if !fits => self.wrong_type(&wanted, value, path),
            Value::Object(map) => self.object(schema, map, path),
            Value::Array(items) => self.list(schema, items, path),
            Value::String(text) => self.text(schema, text, path),
            Value::Number(_) => self.number(schema, value, path),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Follows references; of "this or null" takes this.
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

    fn object(&mut self, schema: &'a Value, map: &Map<String, Value>, path: &str) {
        self.bounds((map.len(), "entries"), (None, schema.get("maxProperties")), path);
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        for (key, value) in map {
            let path = path::member(path, key);
            match (known.and_then(|k| k.get(key)), others) {
                // What is null is what is absent.
                (Some(_), _) if value.is_null() => {}
                (Some(schema), _) => self.value(schema, value, &path),
                (None, Some(Value::Bool(false))) => {
                    let names = known.map(|k| k.keys().map(String::as_str)).into_iter().flatten();
                    let help = suggest(key, "fields", names);
                    self.add(path, IssueCode::UnknownField, format!("the field \"{}\" is not known", shown(key)), help);
                }
                (None, Some(schema @ Value::Object(_))) => self.value(schema, value, &path),
                (None, _) => {}
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        for name in required.filter(|name| map.get(*name).is_none_or(Value::is_null)) {
            let wanted = known.and_then(|k| k.get(name));
            let help = match wanted.and_then(|s| description(s).or_else(|| description(self.resolve(s)))) {
                Some(text) => format!("add {name}: {text}"),
                None => format!("add {name}"),
            };
            self.add(path::member(path, name), IssueCode::MissingField, format!("the field \"{name}\" is missing"), help);
        }
    }

    fn list(&mut self, schema: &'a Value, items: &[Value], path: &str) {
        self.bounds((items.len(), "items"), (schema.get("minItems"), schema.get("maxItems")), path);
        let Some(item) = schema.get("items") else { return };
        for (index, value) in items.iter().enumerate() {
            self.value(item, value, &path::item(path, index));
        }
    }

    fn text(&mut self, schema: &Value, text: &str, path: &str) {
        if is_duration(schema) {
            if let Err(message) = Duration::parse(&shown(text)) {
                let message = message.split(": ").next().unwrap_or(&message).to_owned();
                self.add(path.to_owned(), IssueCode::InvalidDuration, message, DURATION_HELP);
            }
            return;
        }
        self.bounds((text.chars().count(), "letters"), (schema.get("minLength"), schema.get("maxLength")), path);
    }

    fn number(&mut self, schema: &Value, value: &Value, path: &str) {
        let bound = |key: &str| schema.get(key).and_then(Value::as_i64);
        let Some(found) = value.as_i64().or_else(|| value.as_u64().map(|_| i64::MAX)) else { return };
        let width = match schema.get("format").and_then(Value::as_str) {
            Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
            _ => (i64::MIN, i64::MAX),
        };
        let (least, most) = (bound("minimum").unwrap_or(width.0), bound("maximum").unwrap_or(width.1));
        if found < least {
            self.add(path.to_owned(), IssueCode::OutOfRange, format!("{value} is too small"), format!("write at least {least}"));
        } else if found > most || value.as_i64().is_none() {
            self.add(path.to_owned(), IssueCode::OutOfRange, format!("{value} is too large"), format!("write at most {most}"));
        }
    }

    fn bounds(&mut self, (count, what): (usize, &str), (least, most): (Option<&Value>, Option<&Value>), path: &str) {
        let bound = |v: Option<&Value>| v.and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let is_text = what == "letters";
        if let Some(least) = bound(least).filter(|least| count < *least) {
            let (code, message) = match count {
                0 => (IssueCode::OutOfRange, "it is empty".to_owned()),
                _ => (IssueCode::OutOfRange, format!("it has {count} {what}, too few")),
            };
            self.add(path.to_owned(), code, message, format!("give at least {least}"));
        }
        if let Some(most) = bound(most).filter(|most| count > *most) {
            let code = if is_text { IssueCode::TooLong } else { IssueCode::OutOfRange };
            self.add(path.to_owned(), code, format!("it has {count} {what}"), format!("at most {most} are allowed"));
        }
    }

    fn choice(&mut self, values: &[&str], found: &Value, path: &str) {
        match found {
            Value::String(text) if values.contains(&text.as_str()) => {}
            Value::String(text) => {
                let help = suggest(text, "values", values.iter().copied());
                self.add(path.to_owned(), IssueCode::UnknownValue, format!("\"{}\" is not one of its values", shown(text)), help);
            }
            _ => {
                let message = format!("{} stands where one of its values is needed", described(found));
                self.add(path.to_owned(), IssueCode::WrongType, message, format!("write one of {}", values.join(", ")));
            }
        }
    }

    fn wrong_type(&mut self, wanted: &[&str], found: &Value, path: &str) {
        let wanted: Vec<_> = wanted.iter().filter(|t| **t != "null").map(|t| type_name(t)).collect();
        let help = match (wanted.first().copied(), found) {
            (Some("a string"), Value::Number(_) | Value::Bool(_)) => format!("put it in quotes: \"{found}\""),
            (Some("a whole number"), Value::String(text)) if text.parse::<i64>().is_ok() => "remove the quotes".to_owned(),
            (Some("true or false"), Value::String(text)) if matches!(text.as_str(), "true" | "false") => "remove the quotes".to_owned(),
            (Some("a whole number"), Value::Number(_)) => "write a whole number, without a point".to_owned(),
            (Some("a mapping"), Value::String(text)) if text.len() <= 40 && text.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                format!("write a mapping, such as {{{text}: {{}}}}")
            }
            (Some("a list"), Value::String(_) | Value::Number(_)) => "write a list: [..]".to_owned(),
            _ => format!("write {}", wanted.join(" or ")),
        };
        self.add(
            path.to_owned(),
            IssueCode::WrongType,
            format!("{} stands where {} is needed", described(found), wanted.join(" or ")),
            help,
        );
    }

    fn add(&mut self, path: String, code: IssueCode, message: String, help: impl Into<String>) {
        self.issues.push(Issue::error(path, code, message, help));
    }
}

fn is_duration(schema: &Value) -> bool {
    schema.get("pattern").and_then(Value::as_str) == Some(duration::PATTERN)
}

const DURATION_HELP: &str = "write a whole number and one of ms, s, m, h, d, such as 30m";

/// The values of an enum, in either of the two forms that schemars writes.
fn choices(schema: &Value) -> Option<Vec<&str>> {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return Some(values.iter().filter_map(Value::as_str).collect());
    }
    let variants = schema.get("oneOf")?.as_array()?;
    let values = variants.iter().flat_map(|v| match v.get("const") {
        Some(one) => vec![one.as_str()],
        None => v.get("enum").and_then(Value::as_array).into_iter().flatten().map(Value::as_str).collect(),
    });
    values.collect()
}

fn types(wanted: &Value) -> Vec<&str> {
    match wanted {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is(wanted: &str, value: &Value) -> bool {
    match wanted {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

fn type_name(wanted: &str) -> &'static str {
    match wanted {
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a string",
        "array" => "a list",
        "object" => "a mapping",
        _ => "a value",
    }
}

fn described(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(b) => format!("the truth value {b}"),
        Value::Number(n) => format!("the number {n}"),
        Value::String(text) => format!("the string \"{}\"", shown(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

/// A text of the definition as a message quotes it.
fn shown(text: &str) -> String {
    if text.chars().count() <= 80 { text.to_owned() } else { text.chars().take(77).chain("…".chars()).collect() }
}

/// The first sentence of what the field is.
fn description(schema: &Value) -> Option<&str> {
    let text = schema.get("description")?.as_str()?;
    Some(text.split_once(". ").map_or(text, |(first, _)| first))
}
