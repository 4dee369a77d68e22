//! A signal: an event type with its filter, derivations and enrichments.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Enrichment, TypedColumn};
use crate::column::Scalar;
use crate::duration::Duration;

/// All that decides what a signal's data is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignalDefinition {
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), inner(length(max = 253)))]
    pub owners: Option<Vec<String>>,
    /// Omitted = Production.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
    /// For a Deprecated definition: the day it goes, `2026-12-31`. Replies warn until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10))]
    pub sunset: Option<String>,
    /// Raised by hand for a breaking change. Omitted = 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub schema_version: Option<i32>,
    /// Namespaces whose features may use it. Omitted = its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    pub shared_with: Option<Vec<String>>,
    pub entity: EntityField,
    pub event: Event,
    pub source: Source,
    /// What happens to a raw event that cannot be read. Omitted = DeadLetter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_invalid: Option<OnInvalid>,
    /// An event whose time is later than its available_at by more than this is invalid. Omitted = 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_future_skew: Option<Duration>,
    /// The span of event_time that one partition of history covers. Omitted = Day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<Bucket>,
    /// After this a bucket counts as complete; later events are still folded in. Omitted = 3d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lateness: Option<Duration>,
    /// How long events are kept. Omitted = for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Duration>,
    /// What turns a raw event into enriched events. Omitted = declarative, with neither filter nor derivations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<Executor>,
    /// Columns fetched for an event by key, as of its available_at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 31))]
    pub enrichments: Option<Vec<Enrichment>>,
    /// The signal's columns, in order. Omitted = raw fields but entity and time, derivations, enrichments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), inner(length(max = 63)))]
    pub columns: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Lifecycle {
    /// No gates when it changes.
    Experimental,
    Production,
    /// Going away at `sunset`.
    Deprecated,
}

/// Whose sequence it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EntityField {
    /// A raw field of type string or int64.
    #[schemars(length(min = 1, max = 63))]
    pub field: String,
}

/// The raw event: its schema, its time and its identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Event {
    /// When it happened.
    pub time: TimeField,
    /// When a reader could first have known it: one rule, the same in stream and batch.
    pub available_at: AvailableAt,
    /// With entity and time: the identity of an event. No floats, lists or vectors.
    #[schemars(length(max = 20), inner(length(max = 63)))]
    pub id: Vec<String>,
    /// Which of two states of one event is newer. Omitted = available_at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionField>,
    /// SQL, true for a raw event that removes the event with its identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub delete: Option<String>,
    /// The raw event's schema.
    #[schemars(length(min = 1, max = 500))]
    pub fields: Vec<RawField>,
}

/// A raw field that holds a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeField {
    #[schemars(length(min = 1, max = 63))]
    pub field: String,
    pub unit: TimeUnit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TimeUnit {
    Seconds,
    Millis,
    Micros,
    Nanos,
    /// A string such as `2024-05-01T12:00:00Z`.
    Rfc3339,
    /// The field has type timestamp already.
    Timestamp,
}

/// Exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AvailableAt {
    /// The timestamp of the record in the topic; in a batch log, the column `recordTimestamp` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_timestamp: Option<Empty>,
    /// A raw field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<NamedTime>,
    /// The event's time plus a fixed delay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<Delay>,
}

/// Has no settings: `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamedTime {
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    pub unit: TimeUnit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delay {
    pub delay: Duration,
}

/// A raw field of type int32, int64 or timestamp; the greater is the newer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VersionField {
    #[schemars(length(min = 1, max = 63))]
    pub field: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawField {
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    #[serde(rename = "type")]
    pub scalar: Scalar,
    /// A variable list of the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<bool>,
    /// A vector of this length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65536))]
    pub dim: Option<i32>,
    /// For an int8 vector: what one unit stands for, a decimal number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub scale: Option<String>,
    /// Whether it may be missing or null. Omitted = false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nullable: Option<bool>,
    /// Where it is in the record, by dots: `context.surface`. Omitted = its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub path: Option<String>,
}

/// Where raw events come from: a stream, and exactly one of `batch` and `archive`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// SQL over raw fields: what is not true is not ours. Many signals may share a topic.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub filter: Option<String>,
    pub stream: StreamSource,
    /// An external raw log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchSource>,
    /// The engine keeps the raw log of the topic itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamSource {
    /// The name of a connection of the platform.
    #[schemars(length(min = 1, max = 63))]
    pub connection: String,
    #[schemars(length(min = 1, max = 249))]
    pub topic: String,
    pub format: Format,
}

/// Exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Format {
    /// One JSON object a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Empty>,
    /// Avro with the schema registry's framing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avro: Option<AvroFormat>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AvroFormat {
    /// Of the schema registry that belongs to the connection: its schema is what records are read as, whatever they were written with.
    #[schemars(length(min = 1, max = 249))]
    pub subject: String,
    /// Omitted = the newest one when a revision is prepared; it stays that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub version: Option<i32>,
}

/// Parquet files of raw events that somebody else writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchSource {
    #[schemars(length(min = 1, max = 63))]
    pub connection: String,
    /// With `{date}` or `{date}` and `{hour}`: `raw/ratings/dt={date}`.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    pub partitioned_by: PartitionedBy,
    /// `{field: column of the files}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rename: Option<BTreeMap<String, String>>,
    /// The column that holds the record's timestamp; needed when availableAt is recordTimestamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 249))]
    pub record_timestamp: Option<String>,
    /// At the end of a partition plus this, every row that was available before that end is in the log.
    pub complete_after: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PartitionedBy {
    EventTime,
    ArrivalTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OnInvalid {
    /// Keep it aside with reason and position, and go on.
    DeadLetter,
    /// Stop.
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Bucket {
    Hour,
    Day,
}

/// Exactly one of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Executor {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declarative: Option<Declarative>,
    /// One that is compiled into the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builtin: Option<Builtin>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Declarative {
    /// SQL: only rows for which it is true are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub filter: Option<String>,
    /// New columns, each over raw fields and earlier ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub derive: Option<Vec<Derive>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Derive {
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// A SQL scalar expression.
    #[schemars(length(min = 1, max = 4096))]
    pub expr: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Builtin {
    /// The executor's name in the engine.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The executor's own settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<BTreeMap<String, String>>,
    /// The columns it adds, typed here so that compiling needs no engine; the engine refuses a plan that it does not meet.
    #[schemars(length(min = 1, max = 200))]
    pub columns: Vec<TypedColumn>,
}
