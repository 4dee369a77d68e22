//! Whole Kubernetes objects, so that the same file is linted here and applied to a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FeatureDefinition, FeatureRuntime, Rollout, SignalDefinition, SignalRuntime};
use crate::name::QualifiedName;

/// The one version of the API.
pub const API_VERSION: &str = "tress.dev/v1alpha1";

/// A definition as it stands in a file or in the API server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind")]
pub enum Object {
    SignalDefinition(SignalObject),
    SequenceFeature(FeatureObject),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignalObject {
    /// Always `tress.dev/v1alpha1`.
    pub api_version: String,
    /// Its name and namespace.
    pub metadata: Metadata,
    /// What the signal is, and how it runs.
    pub spec: SignalSpec,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FeatureObject {
    /// Always `tress.dev/v1alpha1`.
    pub api_version: String,
    /// Its name and namespace.
    pub metadata: Metadata,
    /// What the feature is, and how it runs.
    pub spec: FeatureSpec,
}

/// The part of Kubernetes' metadata that matters here; labels, annotations and the rest are accepted and ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Lower-case letters, digits and `-`; at most 40.
    pub name: String,
    /// Omitted = `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignalSpec {
    pub definition: SignalDefinition,
    /// How it runs on a cluster; read and ignored elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<SignalRuntime>,
    /// What happens to topics and tables when this object goes. Omitted = Retain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Nothing is started, changed or removed while it is true; what runs goes on, and status is kept. Omitted = false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FeatureSpec {
    pub definition: FeatureDefinition,
    /// Where it is served on a cluster; read and ignored elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<FeatureRuntime>,
    /// How a change becomes what is read; used on a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// Nothing is started, changed or removed while it is true; what runs goes on, and status is kept. Omitted = false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    Retain,
    Delete,
}

impl Metadata {
    #[must_use]
    pub fn qualified(&self) -> QualifiedName {
        QualifiedName::new(self.namespace.as_deref().unwrap_or("default"), &self.name)
    }
}

impl Object {
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::SignalDefinition(_) => "SignalDefinition",
            Self::SequenceFeature(_) => "SequenceFeature",
        }
    }

    #[must_use]
    pub const fn metadata(&self) -> &Metadata {
        match self {
            Self::SignalDefinition(signal) => &signal.metadata,
            Self::SequenceFeature(feature) => &feature.metadata,
        }
    }

    #[must_use]
    pub fn name(&self) -> QualifiedName {
        self.metadata().qualified()
    }
}
