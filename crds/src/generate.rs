//! The files that are written from the kinds: a CustomResourceDefinition each, and a page about all of them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};
use tress_configs::yaml;

use crate::backfill::{Backfill, BackfillSpec, BackfillStatus};
use crate::definition::{FeatureStatus, SequenceFeature, SequenceFeatureSpec, SignalDefinition, SignalDefinitionSpec, SignalStatus};
use crate::reference;
use crate::revision::{
    SequenceRevision, SequenceRevisionSpec, SequenceRevisionStatus, SignalRevision, SignalRevisionSpec, SignalRevisionStatus,
};
use crate::rollout::{RolloutStatus, SequenceRollout, SequenceRolloutSpec};
use crate::schema;

/// A kind and what an API server is told of it.
#[derive(Debug, Clone)]
pub struct Kind {
    pub name: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// The schema of its objects.
    pub schema: Value,
    /// The whole CustomResourceDefinition.
    pub crd: Value,
}

/// A file of the repository.
#[derive(Debug, Clone)]
pub struct File {
    /// From the repository's root.
    pub path: String,
    pub text: String,
}

/// All kinds, those that people write first.
///
/// # Errors
/// With what of a schema an API server could not take.
pub fn kinds() -> Result<Vec<Kind>, String> {
    let signal = schema::object::<SignalDefinitionSpec, SignalStatus>;
    let feature = schema::object::<SequenceFeatureSpec, FeatureStatus>;
    let backfill = schema::object::<BackfillSpec, BackfillStatus>;
    let signal_revision = schema::object::<SignalRevisionSpec, SignalRevisionStatus>;
    let sequence_revision = schema::object::<SequenceRevisionSpec, SequenceRevisionStatus>;
    let rollout = schema::object::<SequenceRolloutSpec, RolloutStatus>;
    let with_signal = "An event type with its filter, derivations and enrichments.";
    let with_feature = "A named read over one or more signals.";
    let with_backfill = "One recomputation of a signal revision: plan, tasks, seal, base.";
    let with_revision = "A compiled state of a signal; its stream, history and base are named by its UID. Made by the operator.";
    let with_read = "A compiled state of a feature, with the signal revisions that it reads. Made by the operator.";
    let with_rollout = "One attempt to bring a feature to a target revision. Made by the operator; people set its intent.";
    [
        ("SignalDefinition", with_signal, signal("SignalDefinition", with_signal), SignalDefinition::crd()),
        ("SequenceFeature", with_feature, feature("SequenceFeature", with_feature), SequenceFeature::crd()),
        ("Backfill", with_backfill, backfill("Backfill", with_backfill), Backfill::crd()),
        ("SignalRevision", with_revision, signal_revision("SignalRevision", with_revision), SignalRevision::crd()),
        ("SequenceRevision", with_read, sequence_revision("SequenceRevision", with_read), SequenceRevision::crd()),
        ("SequenceRollout", with_rollout, rollout("SequenceRollout", with_rollout), SequenceRollout::crd()),
    ]
    .into_iter()
    .map(|(name, description, schema, crd)| {
        let schema = schema.map_err(|e| format!("{name}: {e}"))?;
        let crd = with_schema(&crd, &schema).map_err(|e| format!("{name}: {e}"))?;
        Ok(Kind { name, description, schema, crd })
    })
    .collect()
}

/// Everything that is written.
///
/// # Errors
/// As [`kinds`].
pub fn files() -> Result<Vec<File>, String> {
    let kinds = kinds()?;
    let page = File { path: "docs/reference/crds.md".to_owned(), text: reference::page(&kinds) };
    // A chart holds all that it installs: some who fetch it follow no links.
    let written = kinds.iter().flat_map(|kind| {
        let name = kind.crd["spec"]["names"]["plural"].as_str().unwrap_or(kind.name);
        let text = format!("{HEAD}{}", yaml::document(&kind.crd));
        ["crds/yaml", "charts/tress/files/crds"].map(|folder| File { path: format!("{folder}/{name}.yaml"), text: text.clone() })
    });
    Ok(written.chain([page]).collect())
}

const HEAD: &str = "# Written from crds/src by `TRESS_BLESS=1 cargo test -p tress-crds`; a test fails when it is stale.\n";

fn with_schema(crd: &CustomResourceDefinition, schema: &Value) -> Result<Value, String> {
    let mut crd = serde_json::to_value(crd).map_err(|e| e.to_string())?;
    let version = crd.pointer_mut("/spec/versions/0").ok_or("it has no version")?;
    version["schema"] = json!({"openAPIV3Schema": schema});
    Ok(crd)
}
