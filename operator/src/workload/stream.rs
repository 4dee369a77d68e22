//! The stream of a signal revision: its raw topic to its changelog.

use serde_json::{Value, json};
use tress_configs::definition::StreamRuntime;

use super::pod::{Pod, words};
use super::{Owner, Place, metadata, resources};
use crate::label::{self, Role};

/// Where roles that stay show metrics and health.
pub(super) const MONITOR: u16 = 9090;

/// A Deployment; its pods share the topic's partitions.
#[must_use]
pub fn stream(place: &Place, owner: &Owner, runtime: Option<&StreamRuntime>) -> Value {
    let replicas = runtime.and_then(|r| r.replicas).unwrap_or(1);
    let pod = Pod {
        arguments: words(&["stream", "--uid", &owner.uid, "--http", &format!("0.0.0.0:{MONITOR}")]),
        resources: resources(runtime.and_then(|r| r.resources.as_ref()), ("250m", "512Mi")),
        given: None,
        scratch: "256Mi",
        ports: &[("http", MONITOR)],
        grace: 60,
        restart: "Always",
    };
    deployment(place, Role::Stream, (&owner.name, owner), replicas, &pod)
}

/// A Deployment of a role that stays. A pod that goes finishes before its successor counts on its place.
pub(super) fn deployment(place: &Place, role: Role, (name, owner): (&str, &Owner), replicas: i32, pod: &Pod<'_>) -> Value {
    let selector = label::selector(role, &owner.name);
    let mut spec = pod.spec(place);
    spec["topologySpreadConstraints"] = json!([
        {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": selector}},
    ]);
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(place, name, role, owner),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": label::labels(role, &owner.name)}, "spec": spec},
        },
    })
}
