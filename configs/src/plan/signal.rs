//! A signal's plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use super::{ColumnPlan, Expression};
use crate::column::{ColumnType, Scalar};
use crate::definition::{Bucket, OnInvalid, OnMissing, PartitionedBy, TimeUnit};
use crate::name::QualifiedName;

/// A signal: how raw events become rows with this signal's schema.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignalPlan {
    pub version: u32,
    pub semantics: u32,
    pub name: QualifiedName,
    pub schema_version: u32,
    pub entity: EntityPlan,
    pub event: EventPlan,
    pub source: SourcePlan,
    pub on_invalid: OnInvalid,
    pub max_future_skew_ms: i64,
    pub bucket: Bucket,
    pub lateness_ms: i64,
    pub retention_ms: Option<i64>,
    pub executor: ExecutorPlan,
    pub enrichments: Vec<EnrichmentPlan>,
    /// The output, in order.
    pub columns: Vec<ColumnPlan>,
    pub shards: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EntityPlan {
    pub field: String,
    /// String or Int64.
    pub scalar: Scalar,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventPlan {
    pub time: TimePlan,
    pub available_at: AvailableAtPlan,
    /// Raw fields, in the order written: with entity and time, the identity.
    pub id: Vec<String>,
    /// The raw field of the version; `None` = available_at.
    pub version: Option<String>,
    pub delete: Option<Expression>,
    /// The raw event's schema, in the order written.
    pub fields: Vec<FieldPlan>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimePlan {
    pub field: String,
    pub unit: TimeUnit,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum AvailableAtPlan {
    RecordTimestamp,
    Field(TimePlan),
    #[serde(rename_all = "camelCase")]
    EventTime {
        delay_ms: i64,
    },
}

/// A raw field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldPlan {
    pub name: String,
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    pub nullable: bool,
    /// Where it is in the record: keys from the outermost on; one key for a field at the top.
    pub path: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourcePlan {
    /// What is not true is not ours.
    #[serde(rename = "where")]
    pub filter: Option<Expression>,
    pub stream: StreamPlan,
    pub batch: BatchPlan,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamPlan {
    pub connection: String,
    pub topic: String,
    pub format: FormatPlan,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum FormatPlan {
    Json,
    #[serde(rename_all = "camelCase")]
    Avro {
        subject: String,
        version: Option<i32>,
    },
}

/// What backfill reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum BatchPlan {
    /// The raw table that the engine keeps of the topic.
    Archive,
    External(ExternalLog),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalLog {
    pub connection: String,
    /// With `{date}` or `{date}` and `{hour}`.
    pub path: String,
    pub partitioned_by: PartitionedBy,
    /// Field name → column of the files, only where they differ.
    pub rename: BTreeMap<String, String>,
    pub record_timestamp: Option<String>,
    pub complete_after_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ExecutorPlan {
    #[serde(rename_all = "camelCase")]
    Declarative { filter: Option<Expression>, derive: Vec<DerivePlan> },
    #[serde(rename_all = "camelCase")]
    Builtin { name: String, options: BTreeMap<String, String>, columns: Vec<NamedType> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DerivePlan {
    pub name: String,
    pub expr: Expression,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamedType {
    pub name: String,
    #[serde(rename = "type")]
    pub column_type: ColumnType,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnrichmentPlan {
    pub name: String,
    pub lookup: TableLookupPlan,
    pub on_missing: OnMissing,
    pub columns: Vec<EnrichmentColumn>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TableLookupPlan {
    pub connection: String,
    pub table: String,
    pub key: Vec<LookupKey>,
    pub valid_from: Option<String>,
}

/// `ours` is a raw field or a derived column (of the type given); `theirs` a column of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LookupKey {
    pub ours: String,
    pub theirs: String,
    #[serde(rename = "type")]
    pub column_type: ColumnType,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnrichmentColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// The text of the default, checked at compile to be one of the type; used with `onMissing: Default`.
    pub default: Option<String>,
}

impl SignalPlan {
    /// The Arrow schema of the signal's own columns, as storage keeps them: all nullable.
    #[must_use]
    pub fn column_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(ColumnPlan::stored_field).collect::<Vec<_>>()))
    }

    /// The Arrow schema of decoded raw events: every declared field, nullable.
    #[must_use]
    pub fn raw_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.event.fields.iter().map(|f| f.column_type.field(&f.name, true)).collect::<Vec<_>>()))
    }

    /// Whether a raw event that yields nothing is kept as a tombstone.
    #[must_use]
    pub const fn keeps_tombstones(&self) -> bool {
        self.event.version.is_some() || self.event.delete.is_some()
    }

    #[must_use]
    pub fn field(&self, name: &str) -> Option<&FieldPlan> {
        self.event.fields.iter().find(|f| f.name == name)
    }
}
