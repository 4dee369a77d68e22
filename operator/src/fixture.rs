//! Objects for tests, with little said of each.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tress_crds::{SequenceFeature, SequenceRevision, SequenceRollout, SignalRevision};

/// A moment.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

/// As the API server writes it.
pub fn time(second: i64) -> String {
    at(second).to_string()
}

/// `n/f`, made at second 10, with this status.
pub fn feature(status: Value) -> Arc<SequenceFeature> {
    changed_feature(status, |_| {})
}

/// The same, with something else about it.
pub fn changed_feature(status: Value, change: impl FnOnce(&mut Value)) -> Arc<SequenceFeature> {
    let mut object = json!({
        "apiVersion": "tress.dev/v1alpha1",
        "kind": "SequenceFeature",
        "metadata": {"name": "f", "namespace": "n", "uid": "f-uid", "generation": 2, "creationTimestamp": time(10)},
        "spec": {"definition": {"signals": [{"name": "s"}], "length": 10}},
        "status": status,
    });
    change(&mut object);
    Arc::new(serde_json::from_value(object).expect("a feature"))
}

/// A revision of `n/f` called `f-<hash>`, which reads the signal revision `n/s-<signal>`.
pub fn revision(hash: &str, signal: &str, status: Value) -> Arc<SequenceRevision> {
    let object = json!({
        "apiVersion": "tress.dev/v1alpha1",
        "kind": "SequenceRevision",
        "metadata": {"name": format!("f-{hash}"), "namespace": "n", "uid": format!("{hash}-uid"), "generation": 1, "labels": {"tress.dev/of": "f"}, "creationTimestamp": time(20)},
        "spec": {
            "feature": "f",
            "semantics": 1,
            "sourceHash": format!("h1:{hash}"),
            "digest": digest(hash),
            "plan": "{}",
            "source": "{}",
            "signals": [{"namespace": "n", "revision": format!("s-{signal}"), "uid": format!("{signal}-uid"), "digest": digest(signal)}],
        },
        "status": status,
    });
    Arc::new(serde_json::from_value(object).expect("a revision"))
}

/// The signal revision `n/s-<name>`.
pub fn signal_revision(name: &str, status: Value) -> Arc<SignalRevision> {
    let object = json!({
        "apiVersion": "tress.dev/v1alpha1",
        "kind": "SignalRevision",
        "metadata": {"name": format!("s-{name}"), "namespace": "n", "uid": format!("{name}-uid"), "generation": 1},
        "spec": {"signal": "s", "schemaVersion": 1, "semantics": 1, "sourceHash": format!("h1:{name}"), "digest": digest(name), "plan": "{}", "source": "{}"},
        "status": status,
    });
    Arc::new(serde_json::from_value(object).expect("a signal revision"))
}

/// The attempt `n/f-<number>` to bring the revision of a hash.
pub fn rollout(number: i32, hash: &str, status: Value) -> Arc<SequenceRollout> {
    changed_rollout(number, hash, status, |_| {})
}

/// The same, with something else about it.
pub fn changed_rollout(number: i32, hash: &str, status: Value, change: impl FnOnce(&mut Value)) -> Arc<SequenceRollout> {
    let mut object = json!({
        "apiVersion": "tress.dev/v1alpha1",
        "kind": "SequenceRollout",
        "metadata": {
            "name": format!("f-{number}"),
            "namespace": "n",
            "uid": format!("rollout-{number}"),
            "generation": 1,
            "labels": {"tress.dev/of": "f"},
            "creationTimestamp": time(30 + i64::from(number)),
            "ownerReferences": [{"apiVersion": "tress.dev/v1alpha1", "kind": "SequenceFeature", "name": "f", "uid": "f-uid"}],
        },
        "spec": {"feature": "f", "attempt": number, "target": reference(hash), "pool": "default"},
        "status": status,
    });
    change(&mut object);
    Arc::new(serde_json::from_value(object).expect("an attempt"))
}

/// What names the revision of a hash in an attempt.
pub fn reference(hash: &str) -> Value {
    json!({"revision": format!("f-{hash}"), "uid": format!("{hash}-uid"), "digest": digest(hash), "sourceHash": format!("h1:{hash}")})
}

/// 32 digits.
pub fn digest(of: &str) -> String {
    format!("{of:0<32}")
}

/// A stream's Deployment; as many of its pods are there and ready.
pub fn stream(wanted: i32, ready: i32) -> Value {
    json!({
        "metadata": {"name": "s", "namespace": "n", "generation": 3},
        "spec": {"replicas": wanted, "selector": {}, "template": {}},
        "status": {"observedGeneration": 3, "updatedReplicas": wanted, "availableReplicas": ready},
    })
}
