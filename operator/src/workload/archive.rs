//! The archive of a topic: one for all signals that read it.

use serde_json::Value;

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

/// One pod: the archive's commits order themselves, a second would only wait.
#[must_use]
pub fn archive(place: &Place, owner: &Owner, archived: &Archived) -> Value {
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
    deployment(place, Role::Archive, (name, owner), 1, &pod)
}
