//! The plan: what compile makes of a definition and what every runtime executes. Everything is resolved, nothing is optional
//! for lack of a default, and nothing in it is a secret or an address.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::column::{ColumnType, ID_KEY, Scalar};
use crate::definition::{Bucket, OnInvalid, OnMissing, PartitionedBy, TimeUnit};
use crate::name::QualifiedName;

/// The format of the plan's JSON.
pub const PLAN_VERSION: u32 = 1;
/// Raised when an engine or library change alters answers.
pub const SEMANTICS: u32 = 1;
/// The most bytes of a plan's canonical JSON.
pub const MAX_PLAN_BYTES: usize = 256 * 1024;
/// Shards of every signal, and partitions of its changelog. A power of two.
pub const SHARDS: u32 = 16;

/// A compiled definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Plan {
    Signal(SignalPlan),
    Feature(FeaturePlan),
}

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

/// A typed SQL expression, printed in its canonical form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expression {
    pub sql: String,
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    pub nullable: bool,
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

impl Plan {
    #[must_use]
    pub const fn name(&self) -> &QualifiedName {
        match self {
            Self::Signal(plan) => &plan.name,
            Self::Feature(plan) => &plan.name,
        }
    }

    #[must_use]
    pub const fn as_signal(&self) -> Option<&SignalPlan> {
        match self {
            Self::Signal(plan) => Some(plan),
            Self::Feature(_) => None,
        }
    }

    #[must_use]
    pub const fn as_feature(&self) -> Option<&FeaturePlan> {
        match self {
            Self::Feature(plan) => Some(plan),
            Self::Signal(_) => None,
        }
    }

    /// The canonical JSON: object keys sorted, no whitespace.
    ///
    /// # Panics
    /// Never: every plan is representable in JSON.
    #[must_use]
    pub fn canonical_json(&self) -> String {
        canonical(&serde_json::to_value(self).expect("a plan holds only strings, whole numbers, lists and maps"))
    }

    /// The digest of the plan's bytes: what an engine runs. 32 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        format!("{:032x}", xxh3_128(self.canonical_json().as_bytes()))
    }

    /// Reads a plan from its JSON.
    ///
    /// # Errors
    /// A sentence that says what is wrong, when the text is too large, is no plan, or is of a format this program does not know.
    pub fn from_json(text: &str) -> Result<Self, String> {
        if text.len() > MAX_PLAN_BYTES {
            return Err(format!("the plan has {} bytes; at most {MAX_PLAN_BYTES} are allowed", text.len()));
        }
        let plan: Self = serde_json::from_str(text).map_err(|e| format!("not a plan: {e}"))?;
        let (version, semantics) = match &plan {
            Self::Signal(p) => (p.version, p.semantics),
            Self::Feature(p) => (p.version, p.semantics),
        };
        if version == 0 || version > PLAN_VERSION {
            return Err(format!("plan format {version} is not known here; this program reads up to {PLAN_VERSION}: use a newer one"));
        }
        if semantics == 0 || semantics > SEMANTICS {
            return Err(format!("plan semantics {semantics} is not known here; this program runs up to {SEMANTICS}: use a newer one"));
        }
        Ok(plan)
    }
}

/// Canonical JSON of a value: object keys sorted by bytes, no whitespace.
#[must_use]
pub fn canonical(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let members: Vec<_> = sorted.into_iter().map(|(k, v)| format!("{}:{}", Value::from(k.as_str()), canonical(v))).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

/// The id of a field: the low 31 bits of xxh3-64 of its name.
#[must_use]
pub fn field_id(name: &str) -> i32 {
    (xxh3_64(name.as_bytes()) & 0x7fff_ffff) as i32
}
