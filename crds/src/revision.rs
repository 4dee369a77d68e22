//! What the operator makes of definitions: immutable, compiled, pinned.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bound;

/// One state of a signal: all data belongs to one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "tress.dev",
    version = "v1alpha1",
    kind = "SignalRevision",
    plural = "signalrevisions",
    shortname = "sigrev",
    category = "tress",
    namespaced,
    status = "SignalRevisionStatus",
    schema = "disabled",
    derive = "PartialEq",
    doc = "A compiled state of a signal; its stream, history and base are named by its UID. Made by the operator.",
    printcolumn = r#"{"name": "Signal", "type": "string", "jsonPath": ".spec.signal"}"#,
    printcolumn = r#"{"name": "Version", "type": "integer", "jsonPath": ".spec.schemaVersion"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Use", "type": "string", "jsonPath": ".status.use"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SignalRevisionSpec {
    /// The SignalDefinition.
    #[schemars(length(min = 1, max = 40))]
    pub signal: String,
    #[schemars(range(min = 1, max = 1_000_000))]
    pub schema_version: i32,
    /// The semantics that an engine needs to run the plan.
    #[schemars(range(min = 1))]
    pub semantics: i32,
    /// The topic whose raw log the engine keeps for it. Omitted = somebody else keeps one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchivedTopic>,
    #[serde(flatten)]
    pub compiled: CompiledSource,
}

/// A topic of a connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArchivedTopic {
    #[schemars(length(min = 1, max = 63))]
    pub connection: String,
    #[schemars(length(min = 1, max = 249))]
    pub topic: String,
}

/// One state of a feature: a read, which stores nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "tress.dev",
    version = "v1alpha1",
    kind = "SequenceRevision",
    plural = "sequencerevisions",
    shortname = "seqrev",
    category = "tress",
    namespaced,
    status = "SequenceRevisionStatus",
    schema = "disabled",
    derive = "PartialEq",
    doc = "A compiled state of a feature, with the signal revisions that it reads. Made by the operator.",
    printcolumn = r#"{"name": "Feature", "type": "string", "jsonPath": ".spec.feature"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Use", "type": "string", "jsonPath": ".status.use"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SequenceRevisionSpec {
    /// The SequenceFeature.
    #[schemars(length(min = 1, max = 40))]
    pub feature: String,
    /// The semantics that an engine needs to run the plan.
    #[schemars(range(min = 1))]
    pub semantics: i32,
    #[serde(flatten)]
    pub compiled: CompiledSource,
    /// The signal revisions that it reads, in the order of the plan.
    #[schemars(length(min = 1, max = 20))]
    pub signals: Vec<PinnedSignal>,
}

/// What was compiled, and to what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompiledSource {
    /// What the revision is: of the fields that decide the data.
    #[schemars(length(min = 4, max = 64))]
    pub source_hash: String,
    /// Of the plan's bytes.
    #[schemars(length(min = 32, max = 32))]
    pub digest: String,
    /// Canonical JSON, at most 256 KiB.
    #[schemars(length(min = 2, max = 262_144))]
    pub plan: String,
    /// The definition that it was made from: canonical JSON.
    #[schemars(length(min = 2, max = 262_144))]
    pub source: String,
}

/// A signal revision that a feature reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinnedSignal {
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The SignalRevision.
    #[schemars(length(min = 1, max = 63))]
    pub revision: String,
    #[schemars(length(min = 1, max = 63))]
    pub uid: String,
    #[schemars(length(min = 32, max = 32))]
    pub digest: String,
}

/// How far a revision is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Use {
    /// Nothing needs it; its object goes.
    Gone,
    /// Its data stays; nothing runs of it.
    Kept,
    /// It is read, or about to be.
    Running,
}

/// What became of a signal revision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignalRevisionStatus {
    /// The generation of the spec that this status speaks of; -1 before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bound::conditions")]
    pub conditions: Vec<Condition>,
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub needed: Option<Use>,
    /// What `prepare` reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<Prepared>,
    /// The features that base has to be made for, as one numbered list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demands: Option<Demands>,
    /// What the last sealed backfill reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// When the schedule was acted upon last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bound::time")]
    pub scheduled: Option<Time>,
    /// Since when nothing needs it. Omitted = something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bound::time")]
    pub gone: Option<Time>,
    /// Since when what belongs to it is being dropped: from then on it is never used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bound::time")]
    pub dropping: Option<Time>,
}

/// What `prepare` reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Prepared {
    /// Of a signal: its topic's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub partitions: Option<i32>,
    /// The record, in the lake.
    #[schemars(length(max = 1024))]
    pub path: String,
    #[schemars(schema_with = "bound::time")]
    pub since: Time,
}

/// A numbered list of features.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Demands {
    /// Rises with every change of the list.
    #[schemars(range(min = 0))]
    pub number: i64,
    /// Of the list.
    #[schemars(length(max = 64))]
    pub digest: String,
    /// The number of the list that base was made for last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub covered: Option<i64>,
}

/// What a sealed backfill reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// Its number.
    #[schemars(range(min = 0))]
    pub backfill: i64,
    /// The version of the history's table.
    #[schemars(range(min = 0))]
    pub version: i64,
    #[schemars(schema_with = "bound::time")]
    pub sealed: Time,
}

/// What became of a sequence revision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SequenceRevisionStatus {
    /// The generation of the spec that this status speaks of; -1 before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bound::conditions")]
    pub conditions: Vec<Condition>,
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub needed: Option<Use>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<Prepared>,
    /// A consumer asked for this very revision; it stays until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bound::time")]
    pub pinned_until: Option<Time>,
}
