//! The archive of a topic: one for all signals that read it.

use serde_json::{Value, json};
use tress_configs::definition::API_VERSION;

use super::guard::network;
use super::pod::{Pod, words};
use super::stream::{MONITOR, deployment};
use super::{Owner, Place, resources};
use crate::label::Role;

/// A topic whose raw log the engine keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// What the Deployment is called; the operator gives it, for a topic may have any letters.
    pub name: String,
    pub connection: String,
    pub topic: String,
}

/// One pod: the archive's commits order themselves, a second would only wait. With what stands around it; both go when the last of
/// `owners` has gone, also when no operator is there to see it.
#[must_use]
pub fn archive(place: &Place, owners: &[Owner], archived: &Archived) -> [Value; 2] {
    let Archived { name, connection, topic } = archived;
    let pod = Pod {
        arguments: words(&["archive", "--connection", connection, "--topic", topic, "--http", &format!("0.0.0.0:{MONITOR}")]),
        resources: resources(None, ("250m", "512Mi")),
        given: None,
        scratch: "256Mi",
        ports: &[("http", MONITOR)],
        grace: 60,
        restart: "Always",
    };
    // Which revisions need it changes; what its pods are known by does not.
    let itself = Owner { kind: "SignalRevision", name: name.clone(), uid: String::new() };
    let made = [deployment(place, Role::Archive, (name, &itself), 1, &pod), network(place, Role::Archive, (name, &itself), &[MONITOR])];
    made.map(|mut object| {
        object["metadata"]["ownerReferences"] = owners
            .iter()
            .map(|Owner { kind, name, uid }| json!({"apiVersion": API_VERSION, "kind": kind, "name": name, "uid": uid, "blockOwnerDeletion": false}))
            .collect();
        object
    })
}
