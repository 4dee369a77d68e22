//! The platform file of a namespace: the connections that it may use, and no others.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tress_configs::platform::{Connection, Kafka, KafkaTls, ObjectStore, PlatformFile, Registry};
use tress_configs::yaml;

use crate::label::{self, Role};

/// The ConfigMap.
pub const CONNECTIONS: &str = "tress-connections";
/// The one in the operator's namespace, with all connections: what is dropped may be anybody's.
pub const ALL_CONNECTIONS: &str = "tress-connections-all";

/// The ConfigMap of a namespace, and the secrets that its connections name, in order.
#[must_use]
pub fn connections(platform: &PlatformFile, namespace: &str) -> (Value, Vec<String>) {
    let PlatformFile { connections, outputs, secrets } = platform;
    let is_ours = |name: &String| *name == outputs.lake || *name == outputs.changelog;
    let admitted: std::collections::BTreeMap<String, Connection> = connections
        .iter()
        .filter(|(name, connection)| is_ours(name) || connection.admits(namespace))
        // Who else may use it is nobody's business here.
        .map(|(name, connection)| (name.clone(), Connection { namespaces: admitted_here(connection, namespace), ..connection.clone() }))
        .collect();
    let file = PlatformFile { connections: admitted, outputs: outputs.clone(), secrets: secrets.clone() };
    written(&file, CONNECTIONS, namespace)
}

/// The ConfigMap of the operator's namespace, and the secrets that its connections name, in order.
#[must_use]
pub fn all_connections(platform: &PlatformFile, namespace: &str) -> (Value, Vec<String>) {
    written(platform, ALL_CONNECTIONS, namespace)
}

fn written(file: &PlatformFile, name: &str, namespace: &str) -> (Value, Vec<String>) {
    let named: BTreeSet<String> = file.connections.values().flat_map(secrets_of).collect();
    let text = yaml::document(&serde_json::to_value(file).unwrap_or_default());
    let map = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": label::labels(Role::Connections, name)},
        "data": {"platform.yaml": text},
    });
    (map, named.into_iter().collect())
}

fn admitted_here(connection: &Connection, namespace: &str) -> Vec<String> {
    if connection.admits(namespace) { vec![namespace.to_owned()] } else { Vec::new() }
}

fn secrets_of(connection: &Connection) -> Vec<String> {
    let Connection { kafka, object_store, namespaces: _ } = connection;
    let mut named = Vec::new();
    if let Some(Kafka { bootstrap: _, auth, tls, topics: _, registry }) = kafka {
        named.extend(auth.iter().map(|auth| auth.sasl_secret.clone()));
        if let Some(KafkaTls { ca_secret, client_secret }) = tls {
            named.extend(ca_secret.iter().chain(client_secret).cloned());
        }
        if let Some(Registry { url: _, auth, tls }) = registry {
            named.extend(auth.iter().map(|auth| auth.secret.clone()));
            named.extend(tls.iter().map(|tls| tls.ca_secret.clone()));
        }
    }
    if let Some(ObjectStore { url: _, endpoint: _, region: _, credentials_secret }) = object_store {
        named.extend(credentials_secret.iter().cloned());
    }
    named
}
