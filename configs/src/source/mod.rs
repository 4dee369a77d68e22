//! From text to objects: every mistake of syntax and of shape, each with its line and column.

mod positions;
mod scalar;
mod yaml;

use serde_json::Value;

pub use positions::Positions;
pub use yaml::{MAX_DEPTH, MAX_DOCUMENTS, MAX_TEXT};

use crate::compile::{Kind, QualifiedObject};
use crate::definition::{API_VERSION, Object};
use crate::issue::{Issue, IssueCode, Position};
use crate::name::QualifiedName;
use crate::nearest::{nearest, suggest};
use crate::structure;
use crate::test_file::{self, TestFile};

/// Documents of other systems: what to do with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Pass over them: a folder of manifests holds many kinds.
    Skip,
    /// Report them: a text that was named on purpose should be ours.
    Report,
}

/// What a text holds.
#[derive(Debug, Default)]
pub struct Parsed {
    /// Objects of a sound shape, in the order of the text.
    pub objects: Vec<Located<Object>>,
    /// Objects that have a kind and a name, and a shape that is not sound.
    pub broken: Vec<QualifiedObject>,
    /// Documents with `tests:`.
    pub tests: Vec<Located<TestFile>>,
    /// Everything that is wrong, placed.
    pub issues: Vec<Issue>,
}

/// Something with its place: finds line and column of issues that are found later.
#[derive(Debug, Clone)]
pub struct Located<T> {
    pub item: T,
    pub file: String,
    pub positions: Positions,
}

impl<T> Located<T> {
    /// Gives `issue` its file, line and column.
    pub fn place(&self, issue: &mut Issue) {
        self.positions.place(issue, &self.file);
    }

    /// `issue` with its file, line and column.
    #[must_use]
    pub fn placed(&self, issue: &Issue) -> Issue {
        let mut issue = issue.clone();
        self.place(&mut issue);
        issue
    }
}

/// Reads all documents of `text`. `file` is how it is named in issues.
#[must_use]
pub fn parse(file: &str, text: &str, foreign: Foreign) -> Parsed {
    let mut parsed = Parsed::default();
    let (documents, stopped) = yaml::documents(text);
    for document in documents {
        let mut issues = document.issues;
        let read = read(document.value, foreign, &mut issues);
        let name = match &read {
            Read::Nothing => String::new(),
            Read::Tests(_) => "tests".to_owned(),
            Read::Object(_, name) => name.to_string(),
        };
        for mut issue in issues {
            if let Some(path) = issue.path.strip_prefix("spec.") {
                issue.path = path.to_owned();
            }
            issue.object.clone_from(&name);
            if issue.position.is_none() {
                document.positions.place(&mut issue, file);
            }
            issue.file = Some(file.to_owned());
            parsed.issues.push(issue);
        }
        let positions = document.positions;
        match read {
            Read::Object(Some(item), _) => parsed.objects.push(Located { item: *item, file: file.to_owned(), positions }),
            Read::Object(None, name) => parsed.broken.push(name),
            Read::Tests(Some(item)) => parsed.tests.push(Located { item, file: file.to_owned(), positions }),
            _ => {}
        }
    }
    if let Some(mut issue) = stopped {
        issue.file = Some(file.to_owned());
        issue.position.get_or_insert(Position { line: 1, column: 1 });
        parsed.issues.push(issue);
    }
    parsed
}

/// Reads a text that is one document of the shape `schema`: settings, not definitions.
///
/// # Errors
/// Everything that is wrong with it, placed.
pub(crate) fn settings<T: serde::de::DeserializeOwned>(file: &str, text: &str, schema: &Value) -> Result<Located<T>, Vec<Issue>> {
    let (mut documents, stopped) = yaml::documents(text);
    let mut issues = Vec::new();
    if let Some(mut issue) = stopped {
        issue.file = Some(file.to_owned());
        issue.position.get_or_insert(Position { line: 1, column: 1 });
        issues.push(issue);
    }
    if documents.len() > 1 {
        let message = format!("there are {} documents", documents.len());
        let mut issue = Issue::error("", IssueCode::Duplicate, message, "write one; remove the lines ---");
        issue.file = Some(file.to_owned());
        issues.push(issue);
    }
    let Some(document) = (if documents.is_empty() { None } else { Some(documents.swap_remove(0)) }) else {
        if issues.is_empty() {
            let mut issue = Issue::error("", IssueCode::MissingField, "the file is empty", "write the settings into it");
            issue.file = Some(file.to_owned());
            issues.push(issue);
        }
        return Err(issues);
    };
    let mut found = document.issues;
    let item = structure::typed(schema, document.value, &mut found);
    for mut issue in found {
        if issue.position.is_none() {
            document.positions.place(&mut issue, file);
        }
        issue.file = Some(file.to_owned());
        issues.push(issue);
    }
    match item {
        Some(item) if !issues.iter().any(Issue::is_error) => Ok(Located { item, file: file.to_owned(), positions: document.positions }),
        _ => Err(issues),
    }
}

/// What one document is. `None` = it is broken, and the issues say why.
enum Read {
    Nothing,
    Object(Option<Box<Object>>, QualifiedObject),
    Tests(Option<TestFile>),
}

/// Kinds of our group that are not definitions: a folder may hold them, and they are none of our business here.
const OTHER_KINDS: &[&str] = &["Backfill", "SignalRevision", "SequenceRevision", "SequenceRollout"];
const KINDS: &[&str] = &["SignalDefinition", "SequenceFeature"];

fn read(value: Value, foreign: Foreign, issues: &mut Vec<Issue>) -> Read {
    let Value::Object(map) = &value else {
        if foreign == Foreign::Report && !value.is_null() {
            issues.push(Issue::error("", IssueCode::UnknownKind, "this document is not an object", HEADER));
        }
        return Read::Nothing;
    };
    let text = |key: &str| map.get(key).and_then(Value::as_str);
    let (version, kind) = (text("apiVersion"), text("kind"));
    let ours = kind.is_some_and(|k| KINDS.contains(&k)) || version.is_some_and(|v| v == "tress.dev" || v.starts_with("tress.dev/"));
    if !ours && map.contains_key("tests") && version.is_none() && kind.is_none() {
        return Read::Tests(test_file::read(value, issues));
    }
    if !ours {
        if foreign == Foreign::Report {
            let message = match (version, kind) {
                (Some(version), Some(kind)) => format!("{kind} of {version} is not a kind of Tress"),
                _ => "this document has no apiVersion and kind of Tress".to_owned(),
            };
            issues.push(Issue::error("", IssueCode::UnknownKind, message, HEADER));
        }
        return Read::Nothing;
    }
    if kind.is_some_and(|k| OTHER_KINDS.contains(&k)) {
        return Read::Nothing;
    }
    let header = issues.len();
    match version {
        Some(API_VERSION) => {}
        Some(other) => {
            let message = format!("apiVersion \"{other}\" is not known");
            issues.push(Issue::error("apiVersion", IssueCode::UnknownKind, message, format!("write {API_VERSION}")));
        }
        None => issues.push(Issue::error("apiVersion", IssueCode::MissingField, "apiVersion is missing", format!("write {API_VERSION}"))),
    }
    match kind {
        Some(kind) if KINDS.contains(&kind) => {}
        Some(kind) => {
            let issue = Issue::error(
                "kind",
                IssueCode::UnknownKind,
                format!("kind \"{kind}\" is not known"),
                suggest(kind, "kinds", KINDS.iter().copied()),
            );
            issues.push(issue);
        }
        None => {
            let help = "write SignalDefinition or SequenceFeature";
            issues.push(Issue::error("kind", IssueCode::MissingField, "kind is missing", help));
        }
    }
    let name = object_name(&value, kind.unwrap_or_default());
    // Without a kind there is no schema to hold the rest against; a version of another day may have other fields.
    if issues.len() > header {
        return Read::Object(None, name);
    }
    let object = structure::object(value, issues).map(Box::new);
    // A repeated key leaves open which of the two was meant.
    let sound = !issues.iter().any(Issue::is_error);
    Read::Object(object.filter(|_| sound), name)
}

/// What the object is called, as far as it says so.
fn object_name(value: &Value, kind: &str) -> QualifiedObject {
    let metadata = |key: &str, absent: &str| {
        let found = value.get("metadata").and_then(|m| m.get(key)).and_then(Value::as_str);
        found.unwrap_or(absent).chars().take(63).collect::<String>()
    };
    let kind = match nearest(kind, KINDS.iter().copied()) {
        Some("SequenceFeature") => Kind::SequenceFeature,
        _ => Kind::SignalDefinition,
    };
    QualifiedObject { kind, name: QualifiedName::new(metadata("namespace", "default"), metadata("name", "")) }
}

const HEADER: &str = "begin with apiVersion: tress.dev/v1alpha1 and kind: SignalDefinition or SequenceFeature";

#[cfg(test)]
mod tests;
