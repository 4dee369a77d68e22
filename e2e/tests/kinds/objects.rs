//! A sound object of every kind.

use serde_json::{Value, json};

const DIGEST: &str = "0123456789abcdef0123456789abcdef";

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "tress.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

pub fn signal() -> Value {
    object(
        "SignalDefinition",
        "rating",
        json!({"definition": {
            "entity": {"field": "user_id"},
            "event": {
                "time": {"field": "ts", "unit": "Seconds"},
                "availableAt": {"recordTimestamp": {}},
                "id": ["item_id"],
                "fields": [
                    {"name": "user_id", "type": "string"},
                    {"name": "item_id", "type": "int64"},
                    {"name": "ts", "type": "int64"},
                ],
            },
            "source": {"stream": {"connection": "main", "topic": "ratings", "format": {"json": {}}}, "archive": true},
        }}),
    )
}

pub fn feature() -> Value {
    object("SequenceFeature", "recent-movies", json!({"definition": {"signals": [{"name": "rating"}], "length": 200}}))
}

pub fn backfill() -> Value {
    object("Backfill", "rating-again", json!({"revision": "rating-abcdefghij", "mode": {"incremental": {}}, "parallelism": 2}))
}

pub fn signal_revision() -> Value {
    let spec = json!({"signal": "rating", "schemaVersion": 1, "semantics": 1, "sourceHash": format!("h1:{DIGEST}"), "digest": DIGEST, "plan": "{}", "source": "{}"});
    object("SignalRevision", "rating-abcdefghij", spec)
}

pub fn sequence_revision() -> Value {
    let signals = json!([{"namespace": "movies", "revision": "rating-abcdefghij", "uid": "u", "digest": DIGEST}]);
    let spec = json!({"feature": "recent-movies", "semantics": 1, "sourceHash": format!("h1:{DIGEST}"), "digest": DIGEST, "plan": "{}", "source": "{}", "signals": signals});
    object("SequenceRevision", "recent-movies-abcdefghij", spec)
}

pub fn rollout() -> Value {
    let revision = |name: &str| json!({"revision": name, "uid": name, "digest": DIGEST, "sourceHash": format!("h1:{DIGEST}")});
    let spec = json!({
        "feature": "recent-movies",
        "attempt": 1,
        "target": revision("new"),
        "previous": revision("old"),
        "class": "Compatible",
        "pool": "default",
        "policy": {"bake": "1h"},
    });
    object("SequenceRollout", "recent-movies-1", spec)
}
