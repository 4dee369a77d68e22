//! Where in the text each field of a document stands.

use std::collections::BTreeMap;

use crate::issue::{Issue, IssueCode, Position};
use crate::path;

/// Fields of one document by their path from its root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions {
    places: BTreeMap<String, Place>,
}

/// Where one field stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Of its key; items of lists have none.
    pub key: Option<Position>,
    pub value: Position,
    pub text: Text,
}

/// How a position inside a string becomes one in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    /// A mapping or a list.
    Container,
    /// One line that stands in the file letter for letter from here on.
    Line(Position),
    /// Lines that stand in the file letter for letter: the first line, and the column at which each begins.
    Block { first: usize, column: usize },
    /// Escaped or folded: only its start is known.
    Opaque,
}

impl Positions {
    pub(super) fn insert(&mut self, path: String, place: Place) {
        self.places.insert(path, place);
    }

    /// Where the field at `path` (as in [`Issue::path`]) stands, or the nearest thing that holds it.
    #[must_use]
    pub fn of(&self, path: &str) -> Option<Position> {
        let place = self.nearest(&from_root(path))?;
        Some(match (place.text, place.key) {
            (Text::Container, Some(key)) => key,
            _ => place.value,
        })
    }

    /// Where the key of the field at `path` stands.
    #[must_use]
    pub fn of_key(&self, path: &str) -> Option<Position> {
        let place = self.nearest(&from_root(path))?;
        Some(place.key.unwrap_or(place.value))
    }

    /// Where `within` (line and column inside the string at `path`) stands in the file; the string's start if that is not known.
    #[must_use]
    pub fn within(&self, path: &str, within: Position) -> Option<Position> {
        let place = self.places.get(&from_root(path));
        match place.map(|p| p.text) {
            Some(Text::Line(start)) if within.line == 1 => {
                Some(Position { line: start.line, column: start.column + within.column.saturating_sub(1) })
            }
            Some(Text::Block { first, column }) => {
                Some(Position { line: first + within.line.saturating_sub(1), column: column + within.column.saturating_sub(1) })
            }
            _ => self.of(path),
        }
    }

    /// Gives `issue` its file and its place in it.
    pub fn place(&self, issue: &mut Issue, file: &str) {
        issue.file = Some(file.to_owned());
        issue.position = match (issue.within, issue.code) {
            (Some(within), _) => self.within(&issue.path, within),
            (None, IssueCode::UnknownField | IssueCode::MissingField) => self.of_key(&issue.path),
            (None, _) => self.of(&issue.path),
        };
    }

    fn nearest(&self, path: &str) -> Option<&Place> {
        std::iter::successors(Some(path), |p| path::parent(p)).find_map(|p| self.places.get(p))
    }
}

/// Issues name fields from `spec` on, and the rest of the object from its root.
fn from_root(path: &str) -> String {
    let first = path.split(['.', '[']).next().unwrap_or_default();
    match first {
        "definition" | "runtime" | "rollout" | "deletionPolicy" => format!("spec.{path}"),
        _ => path.to_owned(),
    }
}
