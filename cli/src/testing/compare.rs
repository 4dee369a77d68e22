//! Rows that were expected beside rows that were found.

use serde_json::{Map, Value};

/// Every difference, a sentence each. An expected row names the columns that matter.
pub fn differences(expected: &[Map<String, Value>], found: &[Value]) -> Vec<String> {
    let mut all = Vec::new();
    for (index, row) in expected.iter().enumerate() {
        let Some(actual) = found.get(index) else { break };
        for (column, wanted) in row {
            match actual.get(column) {
                None => all.push(format!("row {}: there is no column {column}", index + 1)),
                Some(value) if !same(wanted, value) => all.push(format!("row {}: {column} is {value}, expected {wanted}", index + 1)),
                Some(_) => {}
            }
        }
    }
    if expected.len() != found.len() {
        all.push(format!("{} rows, expected {}", found.len(), expected.len()));
    }
    all
}

/// Equal values; numbers by their value, times by their instant.
fn same(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a == b,
            _ => a.as_f64() == b.as_f64(),
        },
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w))),
        (Value::String(a), Value::String(b)) => {
            let instant = |t: &str| chrono::DateTime::parse_from_rfc3339(t).ok().map(|t| t.timestamp_micros());
            a == b || instant(a).is_some_and(|t| instant(b) == Some(t))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_columns_that_are_named_count() {
        let expected = [json!({"rating": 5, "at": "1997-11-20T06:56:40+01:00", "genres": ["a"]})];
        let expected: Vec<Map<String, Value>> = expected.iter().map(|v| v.as_object().expect("an object").clone()).collect();
        let good = json!({"rating": 5.0, "at": "1997-11-20T05:56:40Z", "genres": ["a"], "other": 1});
        assert_eq!(differences(&expected, std::slice::from_ref(&good)), Vec::<String>::new());
        let bad = json!({"rating": 4.0, "at": "1997-11-20T05:56:40Z"});
        assert_eq!(
            differences(&expected, &[bad, good]),
            ["row 1: rating is 4.0, expected 5", "row 1: there is no column genres", "2 rows, expected 1"]
        );
    }
}
