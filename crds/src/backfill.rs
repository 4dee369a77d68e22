//! One recomputation of a signal revision.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bound;

/// What is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "tress.dev",
    version = "v1alpha1",
    kind = "Backfill",
    plural = "backfills",
    shortname = "bf",
    category = "tress",
    namespaced,
    status = "BackfillStatus",
    schema = "disabled",
    derive = "PartialEq",
    doc = "One recomputation of a signal revision: plan, tasks, seal, base.",
    printcolumn = r#"{"name": "Revision", "type": "string", "jsonPath": ".spec.revision"}"#,
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "Done", "type": "integer", "jsonPath": ".status.done"}"#,
    printcolumn = r#"{"name": "Tasks", "type": "integer", "jsonPath": ".status.tasks"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct BackfillSpec {
    /// The SignalRevision, in the same namespace.
    #[schemars(length(min = 1, max = 63))]
    pub revision: String,
    pub mode: Mode,
    /// How many pods work at a time. Omitted = 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub parallelism: Option<i32>,
    /// No pod works while it is true. Omitted = false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// Exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mode {
    /// What is new since the last seal: `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incremental: Option<Incremental>,
    /// Anew what is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restate: Option<Restate>,
}

/// Has no settings: `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Incremental {}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Restate {
    /// `2024-01-31`, or `2024-01-31-05` of a signal by the hour. Omitted = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000), inner(length(min = 10, max = 13)))]
    pub buckets: Option<Vec<String>>,
}

/// What became of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackfillStatus {
    /// The generation of the spec that this status speaks of; -1 before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bound::conditions")]
    pub conditions: Vec<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackfillPhase>,
    /// Its number, once it is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub number: Option<i64>,
    /// How many tasks it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub tasks: Option<i64>,
    /// How many pods share them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub workers: Option<i32>,
    /// How many of those are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub done: Option<i64>,
    /// Raw events that were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub raw_events: Option<i64>,
    /// Rows that became part of history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub rows: Option<i64>,
    /// Raw events that could not be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub dead: Option<i64>,
    /// The version of the history's table that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub history_version: Option<i64>,
    /// The number of the list of features that base was made for with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub covered: Option<i64>,
    /// Workers that failed, as ranges: `3`, `5-7`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 32)))]
    pub failed: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bound::time")]
    pub started: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bound::time")]
    pub ended: Option<Time>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum BackfillPhase {
    /// It waits: for its turn, or because it is suspended.
    Pending,
    /// Its inputs are being fixed.
    Planning,
    /// Its tasks are worked on.
    Working,
    /// It becomes part of history, and base is made.
    Sealing,
    Succeeded,
    Failed,
    /// Written by a newer operator.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}
