//! Tests of definitions, as they stand in files beside them: raw events in, rows of a sequence out.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::issue::{Issue, IssueCode};
use crate::{path, structure};

/// A document with `tests:`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestFile {
    #[schemars(length(max = 1000))]
    pub tests: Vec<DefinitionTest>,
}

/// One test: what is given, what is read, and what must come out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DefinitionTest {
    /// A sentence that says what holds.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// Raw events by signal (`name`, or `namespace/name`), in the order they arrive.
    pub given: BTreeMap<String, Vec<Map<String, Value>>>,
    pub read: TestRead,
    /// The rows, in the order read. Each names the columns that matter; others are not compared.
    #[schemars(length(max = 10_000))]
    pub expect: Vec<Map<String, Value>>,
}

/// The read of a test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestRead {
    /// `name`, or `namespace/name`.
    #[schemars(length(min = 1, max = 104))]
    pub feature: String,
    /// Whose sequence: a string, or a whole number.
    #[schemars(with = "Value")]
    pub entity: Value,
    /// The time of the read, `2024-05-01T12:00:00Z`.
    #[schemars(length(min = 1, max = 40))]
    pub as_of: String,
    /// The most rows. Omitted = the feature's length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub limit: Option<i32>,
    /// The columns that are read. Omitted = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub columns: Option<Vec<String>>,
    /// Omitted = NewestFirst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<TestOrder>,
    /// Only events of these signals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    pub signals: Option<Vec<String>>,
    /// Only events at or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub since: Option<String>,
    /// Only events before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub until: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TestOrder {
    NewestFirst,
    OldestFirst,
}

static SCHEMA: LazyLock<Value> = LazyLock::new(structure::schema::<TestFile>);

/// The schema of a test file.
pub(crate) fn schema() -> &'static Value {
    &SCHEMA
}

/// The tests of a document, or every reason why it holds none.
pub(crate) fn read(value: Value, issues: &mut Vec<Issue>) -> Option<TestFile> {
    let before = issues.len();
    let file: TestFile = structure::typed(&SCHEMA, value, issues)?;
    let mut names = BTreeMap::new();
    for (index, test) in file.tests.iter().enumerate() {
        let at = path::item("tests", index);
        if let Some(first) = names.insert(test.name.as_str(), index) {
            let message = format!("tests[{first}] has this name already");
            issues.push(Issue::error(path::member(&at, "name"), IssueCode::Duplicate, message, "give each test its own name"));
        }
        let read = path::member(&at, "read");
        if !(test.read.entity.is_string() || test.read.entity.is_i64()) {
            let help = "write a string or a whole number, as the entity's field has it";
            issues.push(Issue::error(path::member(&read, "entity"), IssueCode::WrongType, "this is no entity", help));
        }
        for (field, text) in [("asOf", Some(&test.read.as_of)), ("since", test.read.since.as_ref()), ("until", test.read.until.as_ref())] {
            if text.is_some_and(|t| chrono::DateTime::parse_from_rfc3339(t).is_err()) {
                let help = "write it as 2024-05-01T12:00:00Z, in quotes";
                issues.push(Issue::error(path::member(&read, field), IssueCode::InvalidDate, "this is no time", help));
            }
        }
    }
    (issues.len() == before).then_some(file)
}
