use serde_json::json;

use super::walk;
use crate::issue::IssueCode;

#[test]
fn a_map_has_as_many_entries_as_its_schema_allows_and_each_is_looked_at() {
    let schema = json!({"type": "object", "properties": {"m": {
        "type": ["object", "null"], "additionalProperties": {"type": "string", "maxLength": 3}, "maxProperties": 1}}});
    let found = |map: serde_json::Value| {
        let mut issues = Vec::new();
        walk::check(&schema, &json!({ "m": map }), &mut issues);
        issues.into_iter().map(|i| (i.path, i.code)).collect::<Vec<_>>()
    };
    assert_eq!(found(json!({"a": "xyz"})), []);
    assert_eq!(found(json!({"a": "x", "b": "long"})), [("m".to_owned(), IssueCode::OutOfRange), ("m.b".to_owned(), IssueCode::TooLong)]);
}
