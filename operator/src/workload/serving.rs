//! A serving pool: pods that host many features, the Services in front of them, and the route that says what they read.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tress_configs::route::{Route, RouteFile};

use super::pod::{GIVEN, Pod, words};
use super::stream::deployment;
use super::{Owner, Place, disruption, metadata, network, resources};
use crate::label::{self, Role};

/// A pool, as the platform configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    pub name: String,
    pub replicas: i32,
    /// Of the folder for runs: `20Gi`.
    pub disk: String,
    /// Bytes that bases and tails may take; the pod is given half as much more.
    pub memory: i64,
}

/// Where readers ask.
pub const GRPC: u16 = 7400;
const HTTP: u16 = 7401;
const CONTROL: u16 = 7402;
/// The secret of a namespace with the certificate that ControlService answers with.
pub(super) const CONTROL_SECRET: &str = "tress-control";

/// The Deployment.
#[must_use]
pub fn pool(place: &Place, pool: &Pool) -> Value {
    let Pool { name, replicas, disk, memory } = pool;
    let owner = Owner::none(name.clone());
    let any = |port: u16| format!("0.0.0.0:{port}");
    let limit = memory.saturating_add(memory / 2).to_string();
    let routes = routes_of(name);
    let pod = Pod {
        arguments: words(&[
            "serve",
            "--routes",
            GIVEN,
            "--state",
            "/var/lib/tress",
            "--memory",
            &memory.to_string(),
            "--grpc",
            &any(GRPC),
            "--http",
            &any(HTTP),
            "--control",
            &any(CONTROL),
            "--control-tls",
            "/etc/tress-control",
        ]),
        resources: resources(None, ("500m", &limit)),
        given: Some(&routes),
        scratch: "64Mi",
        ports: &[("grpc", GRPC), ("http", HTTP), ("control", CONTROL)],
        grace: 60,
        restart: "Always",
    };
    let mut deployment = deployment(place, Role::Serve, (&pool_pods(name), &owner), *replicas, &pod);
    let spec = &mut deployment["spec"]["template"]["spec"];
    let volumes = [
        json!({"name": "state", "emptyDir": {"sizeLimit": disk}}),
        json!({"name": "control", "secret": {"secretName": CONTROL_SECRET, "defaultMode": 0o440}}),
    ];
    let mounts = [
        json!({"name": "state", "mountPath": "/var/lib/tress"}),
        json!({"name": "control", "mountPath": "/etc/tress-control", "readOnly": true}),
    ];
    for (place, more) in [("/volumes", volumes), ("/containers/0/volumeMounts", mounts)] {
        if let Some(all) = spec.pointer_mut(place).and_then(Value::as_array_mut) {
            all.extend(more);
        }
    }
    deployment
}

/// What a pool's Deployment and Service are called.
#[must_use]
pub fn pool_pods(pool: &str) -> String {
    format!("tress-{pool}")
}

/// What the map with a pool's routes is called.
#[must_use]
pub fn routes_of(pool: &str) -> String {
    format!("tress-{pool}-route")
}

/// The Service that readers name, and the headless one by which clients and the operator see every pod, ready or not.
#[must_use]
pub fn pool_service(place: &Place, pool: &str) -> [Value; 2] {
    let owner = Owner::none(pool.to_owned());
    let selector = label::selector(Role::Serve, &owner.name);
    let port = |name: &str, port: u16| json!({"name": name, "port": port, "targetPort": name, "protocol": "TCP"});
    let service = |name: &str, spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata(place, name, Role::Serve, &owner), "spec": spec});
    let name = pool_pods(pool);
    [
        service(&name, json!({"selector": selector, "ports": [port("grpc", GRPC), port("http", HTTP)]})),
        service(
            &format!("{name}-pods"),
            json!({
                "clusterIP": "None",
                "publishNotReadyAddresses": true,
                "selector": selector,
                "ports": [port("grpc", GRPC), port("control", CONTROL)],
            }),
        ),
    ]
}

/// Who may reach a pool's pods, and how many of them may go at once.
#[must_use]
pub fn pool_guards(place: &Place, pool: &Pool) -> Vec<Value> {
    let (name, owner) = (pool_pods(&pool.name), Owner::none(pool.name.clone()));
    let network = network(place, Role::Serve, (&name, &owner), &[GRPC, HTTP, CONTROL]);
    std::iter::once(network).chain(disruption(place, Role::Serve, (&name, &owner), pool.replicas)).collect()
}

/// The ConfigMap with the routes of a pool: a key a feature, in the format of the engine's route files, put whole by one writer.
#[must_use]
pub fn route(place: &Place, pool: &str, features: &BTreeMap<String, Route>) -> Value {
    let data: BTreeMap<String, String> = features
        .iter()
        .map(|(feature, entry)| {
            let name = format!("{}/{feature}", place.namespace);
            let file = RouteFile { features: BTreeMap::from([(name, entry.clone())]), ..RouteFile::default() };
            (format!("{feature}.json"), serde_json::to_string(&file).unwrap_or_default())
        })
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(place, &routes_of(pool), Role::Serve, &Owner::none(pool.to_owned())),
        "data": data,
    })
}
