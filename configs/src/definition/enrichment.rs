//! Columns that are fetched for an event.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::column::Scalar;

/// A column that comes from elsewhere, typed here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TypedColumn {
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    #[serde(rename = "type")]
    pub scalar: Scalar,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65536))]
    pub dim: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub scale: Option<String>,
    /// The value where none is found, with `onMissing: Default`; as text, of a vector's elements each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub default: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Enrichment {
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    pub lookup: Lookup,
    /// Omitted = Null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_missing: Option<OnMissing>,
    #[schemars(length(min = 1, max = 200))]
    pub columns: Vec<TypedColumn>,
}

/// Exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lookup {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableLookup>,
}

/// A Parquet or Delta table, joined as of the time each row became known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TableLookup {
    #[schemars(length(min = 1, max = 63))]
    pub connection: String,
    /// A folder of Parquet files, a single Parquet file, or a Delta table.
    #[schemars(length(min = 1, max = 1024))]
    pub table: String,
    /// `{ours: column of the table}`.
    #[schemars(extend("maxProperties" = 20, "additionalProperties" = serde_json::json!({"type": "string", "maxLength": 249})))]
    pub key: BTreeMap<String, String>,
    /// The column that says when each row became known. Omitted = always valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 249))]
    pub valid_from: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OnMissing {
    Null,
    Default,
    /// The row is kept with its flag and refused at read.
    Drop,
}
