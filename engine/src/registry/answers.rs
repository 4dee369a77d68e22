//! What a registry answers, as it is on the wire.

use serde::Deserialize;

use super::Language;

/// A schema, by its id or as a version of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
    pub schema: String,
    #[serde(default)]
    pub schema_type: Option<String>,
    #[serde(default)]
    pub references: Option<Vec<Reference>>,
    /// Of a version of a subject.
    #[serde(default)]
    pub id: Option<u32>,
    #[serde(default)]
    pub version: Option<i32>,
}

/// A version of a subject that a schema refers to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Reference {
    pub subject: String,
    pub version: i32,
}

/// Why it has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Refusal {
    pub error_code: u32,
}

impl Schema {
    /// Registries leave it out where it is Avro.
    pub fn language(&self) -> Language {
        match self.schema_type.as_deref() {
            None | Some("AVRO") => Language::Avro,
            Some(_) => Language::Other,
        }
    }
}

impl Refusal {
    /// Whether a registry says that it has no such schema, subject or version; and not something in between that it knows no such page.
    pub const fn is_nothing_there(&self) -> bool {
        matches!(self.error_code, 40_400..=40_499)
    }
}
