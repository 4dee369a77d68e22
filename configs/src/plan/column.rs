//! Columns of plans.

use arrow::datatypes::Field;
use serde::{Deserialize, Serialize};

use crate::column::{ColumnType, ID_KEY};

/// A column of a signal or of a feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ColumnPlan {
    pub name: String,
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// What readers are told; in storage every column is nullable, because a tombstone has none.
    pub nullable: bool,
    pub field_id: i32,
    pub origin: Origin,
}

/// Where a signal's column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    Raw,
    /// Of the executor: a derivation, or a column of a built-in one.
    Executor,
    /// Of the enrichment with this index.
    Enrichment(u32),
    /// Of a feature: the union over its signals.
    Signals,
}

impl ColumnPlan {
    /// The field in storage: nullable, with the field id.
    #[must_use]
    pub fn stored_field(&self) -> Field {
        self.with_id(self.column_type.field(&self.name, true))
    }

    /// The field as readers see it.
    #[must_use]
    pub fn output_field(&self) -> Field {
        self.with_id(self.column_type.field(&self.name, self.nullable))
    }

    fn with_id(&self, field: Field) -> Field {
        let mut metadata = field.metadata().clone();
        metadata.insert(ID_KEY.to_owned(), self.field_id.to_string());
        field.with_metadata(metadata)
    }
}
