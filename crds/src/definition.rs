//! What people declare: the definitions of `configs`, as objects with a status.

use std::ops::Deref;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tress_configs::definition::{API_VERSION, FeatureObject, FeatureSpec, Metadata, Object, SignalObject, SignalSpec};

use crate::bound;
use crate::rollout::Phase;

/// `spec` of a SignalDefinition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "tress.dev",
    version = "v1alpha1",
    kind = "SignalDefinition",
    plural = "signaldefinitions",
    shortname = "sig",
    category = "tress",
    namespaced,
    status = "SignalStatus",
    schema = "disabled",
    derive = "PartialEq",
    doc = "An event type with its filter, derivations and enrichments.",
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Revision", "type": "string", "jsonPath": ".status.revision"}"#,
    printcolumn = r#"{"name": "Used", "type": "integer", "jsonPath": ".status.usedBy.count"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(transparent)]
pub struct SignalDefinitionSpec(pub SignalSpec);

/// `spec` of a SequenceFeature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "tress.dev",
    version = "v1alpha1",
    kind = "SequenceFeature",
    plural = "sequencefeatures",
    shortname = "seq",
    category = "tress",
    namespaced,
    status = "FeatureStatus",
    schema = "disabled",
    derive = "PartialEq",
    doc = "A named read over one or more signals.",
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Live", "type": "string", "jsonPath": ".status.live.revision"}"#,
    printcolumn = r#"{"name": "Target", "type": "string", "jsonPath": ".status.target.revision"}"#,
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.rollout.phase"}"#,
    printcolumn = r#"{"name": "Fresh", "type": "string", "jsonPath": ".status.contract.freshness"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(transparent)]
pub struct SequenceFeatureSpec(pub FeatureSpec);

/// What became of a signal's definition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignalStatus {
    /// The generation of the spec that this status speaks of; -1 before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bound::conditions")]
    pub conditions: Vec<Condition>,
    /// Of the definition that was accepted last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub source_hash: Option<String>,
    /// The SignalRevision that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub revision: Option<String>,
    /// How far the change to the present spec reaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// What is allowed, and probably not meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 512)))]
    pub warnings: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<UsedBy>,
}

/// How far a change reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub class: Class,
    /// What readers would break on, as paths in the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 512)))]
    pub paths: Vec<String>,
}

/// From nothing to readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Class {
    /// The plans are the same.
    None,
    /// Readers see what they saw, or more.
    Compatible,
    /// The schema holds, the data may differ.
    Behavioural,
    /// Readers would break.
    Breaking,
}

/// The features that read a signal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsedBy {
    #[schemars(range(min = 0))]
    pub count: i32,
    /// The first of them, as namespace/name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 127)))]
    pub names: Vec<String>,
}

/// What became of a feature.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FeatureStatus {
    /// The generation of the spec that this status speaks of; -1 before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bound::conditions")]
    pub conditions: Vec<Condition>,
    /// Of the definition that was accepted last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub source_hash: Option<String>,
    /// What is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
    /// What is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Where to read it: host and port of its pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub endpoint: Option<String>,
    /// It moved to another pool; the one before answers for a day more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moved>,
    /// The revision of the last attempt that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub last_stable: Option<String>,
    /// Source hashes that wait for `Retry`, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(length(max = 64)))]
    pub held: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 512)))]
    pub warnings: Vec<String>,
    /// The attempt that goes on, or the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Attempt>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<ContractStatus>,
}

/// What is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// A SequenceRevision.
    #[schemars(length(min = 1, max = 63))]
    pub revision: String,
    /// Of the route that says so.
    #[schemars(range(min = 0))]
    pub epoch: i64,
    #[schemars(schema_with = "bound::time")]
    pub since: Time,
}

/// From which pool it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    #[schemars(length(min = 1, max = 40))]
    pub from: String,
    #[schemars(schema_with = "bound::time")]
    pub since: Time,
}

/// What is declared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// A SequenceRevision.
    #[schemars(length(min = 1, max = 63))]
    pub revision: String,
    #[schemars(schema_with = "bound::time")]
    pub since: Time,
}

/// An attempt to bring a feature to its target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// A SequenceRollout.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    pub phase: Phase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bound::time")]
    pub deadline: Option<Time>,
}

/// Whether readers get what the contract promises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContractStatus {
    pub freshness: Kept,
    pub completeness: Kept,
}

/// Figures are in metrics; this changes only when it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Kept {
    Met,
    Missed,
    Unknown,
}

impl Deref for SignalDefinitionSpec {
    type Target = SignalSpec;

    fn deref(&self) -> &SignalSpec {
        &self.0
    }
}

impl Deref for SequenceFeatureSpec {
    type Target = FeatureSpec;

    fn deref(&self) -> &FeatureSpec {
        &self.0
    }
}

impl SignalDefinition {
    /// The definition as `configs` compiles it.
    #[must_use]
    pub fn object(&self) -> Object {
        let metadata = Metadata { name: self.name_any(), namespace: self.namespace() };
        Object::SignalDefinition(SignalObject { api_version: API_VERSION.to_owned(), metadata, spec: self.spec.0.clone() })
    }
}

impl SequenceFeature {
    /// The definition as `configs` compiles it.
    #[must_use]
    pub fn object(&self) -> Object {
        let metadata = Metadata { name: self.name_any(), namespace: self.namespace() };
        Object::SequenceFeature(FeatureObject { api_version: API_VERSION.to_owned(), metadata, spec: self.spec.0.clone() })
    }
}
