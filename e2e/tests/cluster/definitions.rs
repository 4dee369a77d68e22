//! A small signal and a feature, and events for it.

use serde_json::{Value, json};
use tress_engine::log::{Log, NewRecord};

use crate::declared::{self, with};

/// Of one topic, which the engine archives.
pub fn signal_and_feature(topic: &str) -> String {
    format!(
        r#"apiVersion: tress.dev/v1alpha1
kind: SignalDefinition
metadata: {{name: rating}}
spec:
  definition:
    entity: {{field: user_id}}
    event:
      time: {{field: ts, unit: Seconds}}
      availableAt: {{recordTimestamp: {{}}}}
      id: [item_id]
      fields:
        - {{name: user_id, type: string}}
        - {{name: item_id, type: int64}}
        - {{name: surface, type: string, nullable: true}}
        - {{name: ts, type: int64}}
    source:
      stream: {{connection: main, topic: {topic}, format: {{json: {{}}}}}}
      archive: true
    columns: [item_id, surface]
---
apiVersion: tress.dev/v1alpha1
kind: SequenceFeature
metadata: {{name: recent}}
spec:
  definition:
    signals: [{{name: rating}}]
    length: 10
"#
    )
}

/// One event of an entity.
pub async fn produce(log: &dyn Log, topic: &str, (user, item): (&str, usize), surface: &str) {
    let ts = 1_704_067_200 + item;
    let payload = format!(r#"{{"user_id":"{user}","item_id":{item},"surface":"{surface}","ts":{ts}}}"#);
    let record = NewRecord { payload: payload.into(), ..NewRecord::default() };
    log.append(topic, 0, vec![record]).await.expect("produced");
}

/// A signal of a topic that the engine archives, whose pods ask for little: item_id and rating of what was rated.
pub fn signal(name: &str, topic: &str) -> Value {
    let signal = with(declared::signal(name), "/spec/definition/source/stream/topic", json!(topic));
    let little = json!({"resources": {"requests": {"cpu": "10m", "memory": "64Mi"}}});
    with(with(signal, "/spec/runtime/stream", little.clone()), "/spec/runtime/backfill", little)
}

/// Signals and features as one file that kubectl takes; what has `entity` is a signal.
pub fn file(objects: &[Value]) -> String {
    let document = |object: &Value| {
        let is_signal = object.pointer("/spec/definition/entity").is_some();
        let mut object = object.clone();
        object["apiVersion"] = json!("tress.dev/v1alpha1");
        object["kind"] = json!(if is_signal { "SignalDefinition" } else { "SequenceFeature" });
        object.to_string()
    };
    objects.iter().map(document).collect::<Vec<_>>().join("\n---\n")
}

/// One event of [`signal`]: a user rated an item, so many seconds after the first of all.
pub async fn rate(log: &dyn Log, topic: &str, (kind, user): (&str, &str), items: impl IntoIterator<Item = (i64, i64)>) {
    let record = |(item, second): (i64, i64)| {
        let ts = 1_704_067_200 + second;
        let event = json!({"kind": kind, "user_id": user, "item_id": item, "rating": 1.0, "surface": "home", "ts": ts});
        NewRecord { payload: event.to_string().into(), ..NewRecord::default() }
    };
    log.append(topic, 0, items.into_iter().map(record).collect()).await.expect("produced");
}
