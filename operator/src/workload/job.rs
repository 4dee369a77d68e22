//! A job: runs to its end once, tried again where that may help.

use serde_json::{Value, json};

use super::pod::Pod;
use super::{Owner, Place, metadata};
use crate::label::{self, Role};

/// An object of batch/v1. The engine's exit code 2 says that trying again changes nothing.
pub(super) fn job(place: &Place, name: &str, role: Role, owner: &Owner, pod: &Pod<'_>) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(place, name, role, owner),
        "spec": {
            "backoffLimit": 6,
            // What it said is copied long before.
            "ttlSecondsAfterFinished": 86_400,
            "podFailurePolicy": {"rules": [
                {"action": "FailJob", "onExitCodes": {"containerName": "engine", "operator": "In", "values": [2]}},
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            ]},
            "template": {
                "metadata": {"labels": label::labels(role, &owner.name)},
                "spec": pod.spec(place),
            },
        },
    })
}
