//! Where the parts of compile put what they find, and the checks that many of them share.

use std::collections::BTreeSet;

use crate::column::ColumnType;
use crate::expression::{self, Column, Typed, Wanted};
use crate::issue::{Issue, IssueCode};
use crate::name::{MAX_NAME, SYSTEM_COLUMNS};

/// Issues of one definition, in the order they were found.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub issues: Vec<Issue>,
    /// Columns that are defined by something with an issue of its own: to say that they are not there would mislead.
    pub broken: BTreeSet<String>,
}

impl Report {
    pub fn error(&mut self, path: impl Into<String>, code: IssueCode, message: impl Into<String>, help: impl Into<String>) {
        self.issues.push(Issue::error(path, code, message, help));
    }

    /// The plan, if nothing is wrong with it.
    pub fn finish<T>(self, plan: Option<T>) -> Result<T, Vec<Issue>> {
        match plan {
            Some(plan) if self.issues.is_empty() => Ok(plan),
            _ => Err(self.issues),
        }
    }

    /// A name of an object of Kubernetes or of a connection, pool or executor.
    pub fn object_name(&mut self, path: &str, name: &str, most: usize) {
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let inner = name.bytes().all(|b| letter(b) || b == b'-');
        let ends = name.bytes().next().is_some_and(letter) && name.bytes().last().is_some_and(letter);
        if name.len() > most {
            let message = format!("the name has {} letters", name.len());
            self.error(path, IssueCode::InvalidName, message, format!("at most {most} are allowed"));
        } else if !(inner && ends) {
            let help = "use lower-case letters, digits and -, beginning and ending with a letter or digit";
            self.error(path, IssueCode::InvalidName, format!("\"{name}\" is not a name"), help);
        }
    }

    /// A definition's own name.
    pub fn metadata(&mut self, metadata: &crate::definition::Metadata) {
        self.object_name("metadata.name", &metadata.name, MAX_NAME);
        if let Some(namespace) = &metadata.namespace {
            self.object_name("metadata.namespace", namespace, 63);
        }
    }

    /// A name that expressions may use without quotes.
    pub fn column_name(&mut self, path: &str, name: &str) {
        let plain = name.bytes().enumerate().all(|(i, b)| b.is_ascii_alphabetic() || b == b'_' || (i > 0 && b.is_ascii_digit()));
        if !plain || name.is_empty() {
            let help = "use letters, digits and _, not beginning with a digit; `path` and `rename` map other names to it";
            self.error(path, IssueCode::InvalidName, format!("\"{name}\" is not a name of a column"), help);
        }
    }

    /// A name of an output column.
    pub fn output_name(&mut self, path: &str, name: &str, help: &str) {
        if SYSTEM_COLUMNS.contains(&name) {
            self.error(path, IssueCode::InvalidName, format!("\"{name}\" is the name of a system column"), help);
        }
    }

    /// Compiles the expression at `path`; its mistakes become issues there.
    pub fn expression(&mut self, path: &str, sql: &str, columns: &[Column], wanted: Wanted) -> Option<Typed> {
        match expression::compile(sql, columns, wanted) {
            Ok(typed) => Some(typed),
            Err(mistakes) => {
                let known = |m: &expression::Mistake| m.unknown.as_ref().is_some_and(|name| self.broken.contains(name));
                for mistake in mistakes.into_iter().filter(|m| !known(m)).collect::<Vec<_>>() {
                    let mut issue = Issue::error(path, mistake.code, mistake.message, mistake.help);
                    issue.within = mistake.at;
                    self.issues.push(issue);
                }
                None
            }
        }
    }
}

/// Exactly one of the keys of a one-of.
pub(super) enum OneOf {
    One,
    /// Already reported.
    Wrong,
}

impl Report {
    /// Checks that one of `keys` is given. `default`: what help proposes.
    pub fn one_of(&mut self, path: &str, keys: &[(&str, bool)], help: &str) -> OneOf {
        let given: Vec<_> = keys.iter().filter(|(_, given)| *given).map(|(key, _)| *key).collect();
        if given.len() == 1 {
            return OneOf::One;
        }
        let all = keys.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(", ");
        let message = match given.as_slice() {
            [] if keys.len() == 1 => format!("{all} is needed"),
            [] => format!("one of {all} is needed"),
            many => format!("{} are given, and only one may be", many.join(" and ")),
        };
        self.error(path, IssueCode::OneOf, message, help);
        OneOf::Wrong
    }
}

/// Whether values of this type are compared exactly: no floats, lists or vectors.
pub(super) const fn is_key(column_type: &ColumnType) -> bool {
    column_type.is_scalar() && !column_type.scalar.is_float()
}
