//! One attempt to bring a feature to a target revision. All its state is here: nothing of an old attempt can be taken for the new one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tress_configs::definition::{Lifecycle, Rollout};
use tress_configs::route::Pinned;

use crate::bound;
use crate::definition::Class;

/// What is attempted. Fixed at its start, but for `intent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "tress.dev",
    version = "v1alpha1",
    kind = "SequenceRollout",
    plural = "sequencerollouts",
    shortname = "seqroll",
    category = "tress",
    namespaced,
    status = "RolloutStatus",
    schema = "disabled",
    derive = "PartialEq",
    doc = "One attempt to bring a feature to a target revision. Made by the operator; people set its intent.",
    printcolumn = r#"{"name": "Feature", "type": "string", "jsonPath": ".spec.feature"}"#,
    printcolumn = r#"{"name": "Target", "type": "string", "jsonPath": ".spec.target.revision"}"#,
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.reason"}"#,
    printcolumn = r#"{"name": "Paused", "type": "boolean", "jsonPath": ".status.paused"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SequenceRolloutSpec {
    /// The SequenceFeature.
    #[schemars(length(min = 1, max = 40))]
    pub feature: String,
    /// The how manieth of the feature, from 1 on.
    #[schemars(range(min = 1))]
    pub attempt: i32,
    pub target: RevisionRef,
    /// What is live as it starts. Omitted = nothing: the first deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<RevisionRef>,
    /// The signal revisions that the target reads and the previous does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    pub changed: Option<Vec<ChangedSignal>>,
    /// How far the change reaches. Omitted = the first deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Omitted = Production.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
    /// A person sends it to readers without comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<bool>,
    /// The serving pool.
    #[schemars(length(min = 1, max = 40))]
    pub pool: String,
    /// `spec.rollout` of the feature, as it was at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Rollout>,
    /// What a person wants of this attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
}

/// A SequenceRevision.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionRef {
    #[schemars(length(min = 1, max = 63))]
    pub revision: String,
    #[schemars(length(min = 1, max = 63))]
    pub uid: String,
    #[schemars(length(min = 32, max = 32))]
    pub digest: String,
    #[schemars(length(min = 4, max = 64))]
    pub source_hash: String,
}

impl From<&RevisionRef> for Pinned {
    fn from(RevisionRef { revision: _, uid, digest, source_hash: _ }: &RevisionRef) -> Self {
        Self { uid: uid.clone(), digest: digest.clone() }
    }
}

/// A SignalRevision that is new to the feature.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangedSignal {
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    #[schemars(length(min = 1, max = 63))]
    pub revision: String,
    #[schemars(length(min = 1, max = 63))]
    pub uid: String,
}

/// What a person wants. A new nonce makes it a new wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    pub action: Action,
    /// Any text that was not used for this attempt before.
    #[schemars(length(min = 1, max = 64))]
    pub nonce: String,
    /// For those who read it later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reason: Option<String>,
}

/// What a person may want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Action {
    /// Drop the trial; live stays as it is. Works also while paused.
    Abort,
    /// Of an attempt that ended without success: its target may be attempted again.
    Retry,
    /// No new phase is entered.
    Pause,
    Resume,
    /// Written for a newer operator.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// Where an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// It waits for a slot.
    Pending,
    /// Jobs check and record the new revisions.
    Preparing,
    /// Streams of changed signals run beside the live ones, unread, until they have caught up.
    Shadowing,
    /// History and base of changed signals are made; base covers the target.
    Backfilling,
    /// Serving pods load the target beside what is live.
    Loading,
    /// The target becomes what is read.
    CuttingOver,
    /// What nothing needs any more is unloaded.
    Retiring,
    /// The trial is dropped.
    Aborting,
    Succeeded,
    /// It cannot be; the reason says why.
    Failed,
    /// There was too little evidence; a person decides.
    Inconclusive,
    /// A person ended it.
    Aborted,
    /// Something newer is declared.
    Superseded,
    /// Written by a newer operator.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// What became of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The generation of the spec that this status speaks of; -1 before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bound::conditions")]
    pub conditions: Vec<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Since when it is in this phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bound::time")]
    pub since: Option<Time>,
    /// Until when this phase may last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bound::time")]
    pub deadline: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<PhaseReason>,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// Of the route that this attempt has written last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub epoch: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Since when nothing is done for it, because it or its feature is paused. What passes meanwhile does not count for the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "bound::time")]
    pub held_since: Option<Time>,
    /// The nonce of the intent that was acted upon last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub handled: Option<String>,
    /// Whether its target may be attempted again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried: Option<bool>,
}

/// Why an attempt is in its phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PhaseReason {
    /// The phase before was done.
    Done,
    /// It was just made.
    Created,
    /// All slots are taken.
    WaitingForSlot,
    /// A person asked for it.
    Asked,
    /// A different target is declared.
    NewTarget,
    /// The feature is deleted.
    FeatureDeleted,
    /// A revision cannot be prepared as things are.
    PrepareFailed,
    /// A stream of a changed signal cannot run.
    StreamFailed,
    /// A backfill failed for good.
    BackfillFailed,
    /// The target cannot be loaded.
    LoadFailed,
    /// The phase took longer than it may.
    DeadlineExceeded,
    /// Streams did not catch up in time.
    NotCaughtUp,
    /// A comparison is needed before readers see it, and there is none.
    NotCompared,
    /// A serving pod has not taken the new route yet.
    PodsBehind,
    /// Written by a newer operator.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

impl Phase {
    /// Whether nothing follows.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Inconclusive | Self::Aborted | Self::Superseded)
    }
}
