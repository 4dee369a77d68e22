//! A feature's plan.

use serde::{Deserialize, Serialize};

use super::{ColumnPlan, Expression};
use crate::column::Scalar;
use crate::name::QualifiedName;

/// A feature: a read over signals. Stores nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FeaturePlan {
    pub version: u32,
    pub semantics: u32,
    pub name: QualifiedName,
    /// String or Int64, the same in all signals.
    pub entity: Scalar,
    /// Ordered by (namespace, name): the order that breaks ties of event_time.
    pub signals: Vec<SignalRead>,
    pub length: u32,
    pub window_ms: Option<i64>,
    /// Output columns; empty = none.
    pub deduplicate: Vec<String>,
    pub view: ViewPlan,
    /// The output, in order; before the view adds its own.
    pub columns: Vec<ColumnPlan>,
    /// The day a Deprecated feature goes (empty when none is given); replies warn. `None` = not deprecated.
    pub sunset: Option<String>,
}

/// One signal as a feature reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignalRead {
    pub name: QualifiedName,
    pub schema_version: u32,
    /// Digest of the signal's plan that this feature was compiled against.
    pub digest: String,
    pub retention_ms: Option<i64>,
    /// Columns of the signal that are read, and what they are called here.
    pub columns: Vec<ColumnRead>,
    #[serde(rename = "where")]
    pub filter: Option<Expression>,
    /// Columns of the signal (by its names) that `where` looks at.
    pub filter_columns: Vec<String>,
    /// Bits of `found` that a row must have: enrichments with `onMissing: Drop`.
    pub required_found: i32,
    pub length: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ColumnRead {
    /// The signal's column.
    pub source: String,
    /// The feature's column.
    pub output: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ViewPlan {
    Events,
    #[serde(rename_all = "camelCase")]
    Sessions {
        gap_ms: i64,
    },
    #[serde(rename_all = "camelCase")]
    Objects {
        by: Vec<String>,
    },
}
