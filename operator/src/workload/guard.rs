//! What stands around pods: who they are, who may reach them, how many may go at once.

use serde_json::{Value, json};

use super::{Owner, Place, metadata};
use crate::label::{self, Role};

/// The account of all pods of the engine: it may do nothing, and its token is mounted nowhere.
pub const SERVICE_ACCOUNT: &str = "tress-engine";

/// `annotations`: how a cloud gives its pods an identity.
#[must_use]
pub fn service_account(namespace: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": SERVICE_ACCOUNT,
            "namespace": namespace,
            "labels": label::labels(Role::Connections, SERVICE_ACCOUNT),
            "annotations": annotations,
        },
        "automountServiceAccountToken": false,
    })
}

/// Of what has at least two replicas: at most one goes at a time.
#[must_use]
pub fn disruption(place: &Place, role: Role, (name, owner): (&str, &Owner), replicas: i32) -> Option<Value> {
    (replicas >= 2).then(|| {
        json!({
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata(place, name, role, owner),
            "spec": {
                "maxUnavailable": 1,
                "selector": {"matchLabels": label::selector(role, &owner.name)},
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            },
        })
    })
}

/// Pods are reached on these ports and no others. An empty list = on none.
#[must_use]
pub fn network(place: &Place, role: Role, (name, owner): (&str, &Owner), ports: &[u16]) -> Value {
    let ports: Vec<Value> = ports.iter().map(|port| json!({"port": port, "protocol": "TCP"})).collect();
    let ingress = if ports.is_empty() { json!([]) } else { json!([{"ports": ports}]) };
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(place, name, role, owner),
        "spec": {
            "podSelector": {"matchLabels": label::selector(role, &owner.name)},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    })
}
