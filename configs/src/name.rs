//! Names: of definitions, and of the columns that every enriched event carries.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A definition's name within its namespace. Orders by (namespace, name): the order of signals in a sequence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QualifiedName {
    pub namespace: String,
    pub name: String,
}

impl QualifiedName {
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Names that the engine gives to its own columns of an enriched event, or adds to a reply or a table.
/// No column of a signal or a feature may be called so; raw fields may.
pub const SYSTEM_COLUMNS: &[&str] = &[
    "entity",
    "entity_hash",
    "event_time",
    "event_id",
    "ordinal",
    "version",
    "raw_hash",
    "available_at",
    "deleted",
    "found",
    "partition",
    "offset",
    "backfill",
    "bucket",
    "signal",
    "start",
    "end",
    "count",
    "first",
    "last",
    "open_start",
    "label_time",
];

/// The most letters of a definition's name: operator-made objects add to it and stay within 63.
pub const MAX_NAME: usize = 40;
