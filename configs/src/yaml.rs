//! JSON as YAML: block style, strings quoted only where they must be.

use serde_json::Value;

/// A whole document.
pub fn document(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, 0);
    text
}

/// A value within one line: what stands behind `key:`.
pub fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            format!("{{{}}}", map.iter().map(|(k, v)| format!("{}: {}", scalar(k), inline(v))).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn write(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                text.push_str(&format!("{indent}{}:", scalar(key)));
                below(text, value, depth + 1);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut nested = String::new();
                write(&mut nested, item, depth + 1);
                // The first line of the item stands behind its dash.
                text.push_str(&format!("{indent}- {}", nested.trim_start()));
            }
        }
        leaf => text.push_str(&format!("{indent}{}\n", inline(leaf))),
    }
}

fn below(text: &mut String, value: &Value, depth: usize) {
    let flat = |items: &[Value]| items.iter().all(|v| !v.is_array() && !v.is_object());
    match value {
        Value::Object(map) if !map.is_empty() => {
            text.push('\n');
            write(text, value, depth);
        }
        Value::Array(items) if !flat(items) => {
            text.push('\n');
            write(text, value, depth);
        }
        leaf => text.push_str(&format!(" {}\n", inline(leaf))),
    }
}

/// A string as a plain scalar, or in double quotes where YAML would read something else.
fn scalar(text: &str) -> String {
    let plain = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == '/')
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ' | '(' | ')' | '=' | '+' | '<' | '>'))
        && !text.ends_with(' ')
        && !matches!(text.to_ascii_lowercase().as_str(), "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n");
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::document;

    #[test]
    fn what_yaml_would_misread_is_quoted() {
        let value = json!({"a": "yes", "b": "1", "c": "plain text", "d": ["x", "y: z"], "e": {"f": null}, "g": [{"h": 1, "i": {"j": 2}}], "k": {}, "l": "a #b"});
        assert_eq!(
            document(&value),
            "a: \"yes\"\nb: \"1\"\nc: plain text\nd: [x, \"y: z\"]\ne:\n  f: null\ng:\n  - h: 1\n    i:\n      j: 2\nk: {}\nl: \"a #b\"\n"
        );
    }
}
