//! A revision's plan, and the job that checks and records it.

use serde_json::{Value, json};

use super::pod::{Pod, given, words};
use super::{Owner, Place, job, metadata, resources};
use crate::label::Role;
use crate::name::{self, Job};

/// A revision, of a signal or of a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    pub owner: Owner,
    /// Canonical JSON.
    pub plan: String,
    /// Of a feature: the UIDs of the signal revisions that it reads.
    pub signals: Vec<String>,
}

/// The immutable ConfigMap with a revision's plan.
#[must_use]
pub fn plan_of(place: &Place, revision: &Revision) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(place, &revision.owner.name, Role::Prepare, &revision.owner),
        "immutable": true,
        "data": {"plan.json": revision.plan},
    })
}

/// The job that checks everything outside, and records the revision in the lake.
#[must_use]
pub fn prepare(place: &Place, revision: &Revision) -> Value {
    let Revision { owner, plan: _, signals } = revision;
    let mut arguments = words(&["prepare", "--plan", &given("plan.json"), "--uid", &owner.uid]);
    arguments.extend(signals.iter().flat_map(|uid| words(&["--signal", uid])));
    let pod = Pod {
        arguments,
        resources: resources(None, ("50m", "256Mi")),
        given: Some(&owner.name),
        scratch: "64Mi",
        ports: &[],
        grace: 30,
        restart: "Never",
    };
    job::job(place, &name::job(&owner.name, Job::Prepare), Role::Prepare, owner, &pod)
}
