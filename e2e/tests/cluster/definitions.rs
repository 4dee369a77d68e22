//! A small signal and a feature, and events for it.

use tress_engine::log::{Log, NewRecord};

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
