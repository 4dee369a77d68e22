use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use tress_configs::source::{Foreign, parse};
use tress_configs::{Pins, compile};

use super::*;
use crate::clock::SystemClock;
use crate::entity::Entity;

const DEFINITIONS: &str = r#"
apiVersion: tress.dev/v1alpha1
kind: SignalDefinition
metadata: {name: rating, namespace: movies}
spec:
  definition:
    entity: {field: user_id}
    event:
      time: {field: ts, unit: Seconds}
      availableAt: {field: {name: received_at, unit: Seconds}}
      id: [item_id]
      version: {field: updated_at}
      delete: "op = 'd'"
      fields:
        - {name: user_id, type: string}
        - {name: item_id, type: int64}
        - {name: rating, type: float32}
        - {name: ts, type: int64}
        - {name: received_at, type: int64}
        - {name: updated_at, type: int64}
        - {name: op, type: string, nullable: true}
    source:
      stream: {connection: main, topic: ratings, format: {json: {}}}
      archive: true
    executor:
      declarative:
        filter: "rating >= 0.5"
        derive:
          - {name: liked, expr: "rating >= 4.0"}
---
apiVersion: tress.dev/v1alpha1
kind: SequenceFeature
metadata: {name: recent, namespace: movies}
spec:
  definition:
    signals:
      - {name: rating, columns: [item_id, rating, liked]}
    length: LENGTH
"#;

fn desired(length: u32) -> Desired {
    let parsed = parse("test.yaml", &DEFINITIONS.replace("LENGTH", &length.to_string()), Foreign::Report);
    assert!(parsed.issues.is_empty(), "{:?}", parsed.issues);
    let objects: Vec<_> = parsed.objects.into_iter().map(|o| o.item).collect();
    let outcome = compile(&objects, &Pins::default());
    for compiled in outcome.values() {
        assert!(compiled.is_ok(), "{compiled:?}");
    }
    Desired::of(&outcome)
}

async fn open(folder: &Path) -> Arc<Node> {
    let settings = Settings { state: folder.join(".tress"), tables: folder.to_owned(), clock: Arc::new(SystemClock), listen: None };
    Node::open(settings).await.unwrap()
}

fn event(user: &str, item: i64, rating: f32, at: i64) -> NewRecord {
    changed(user, item, rating, at, (at, "c"))
}

fn changed(user: &str, item: i64, rating: f32, at: i64, (updated, op): (i64, &str)) -> NewRecord {
    let json = format!(
        r#"{{"user_id":"{user}","item_id":{item},"rating":{rating},"ts":{at},"received_at":{updated},"updated_at":{updated},"op":"{op}"}}"#
    );
    NewRecord { payload: Bytes::from(json), ..NewRecord::default() }
}

async fn items(node: &Node, user: &str) -> Vec<i64> {
    let query = Query::new(Entity::String(user.to_owned()), 1_000_000_000_000);
    let answer = node.read(&QualifiedName::new("movies", "recent"), &query).await.unwrap();
    answer.sequence.rows.column_by_name("item_id").unwrap().as_primitive::<Int64Type>().values().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_appended_is_read_after_a_restart_and_after_a_fold() {
    let folder = tempfile::tempdir().unwrap();
    let node = open(folder.path()).await;
    let changes = node.apply(desired(3)).await.unwrap();
    assert!(matches!(changes.as_slice(), [Change::Added { .. }]), "{changes:?}");
    node.append("ratings", (1..=5).map(|i| event("u1", i, 3.0, i * 100)).collect()).await.unwrap();
    node.append("ratings", vec![event("u2", 9, 0.1, 50), event("u2", 8, 5.0, 60)]).await.unwrap();
    node.settle().await.unwrap();
    assert_eq!(items(&node, "u1").await, [5, 4, 3]);
    assert_eq!(items(&node, "u2").await, [8]);

    node.shutdown().await.unwrap();
    drop(node);
    let node = open(folder.path()).await;
    assert_eq!(items(&node, "u1").await, [5, 4, 3], "what was live is live before anything is applied");
    assert!(matches!(node.apply(desired(3)).await.unwrap().as_slice(), [Change::Unchanged { .. }]));

    let folded = node.backfill(&QualifiedName::new("movies", "rating"), Fold::New, &|_| {}).await.unwrap();
    assert_eq!((folded.number, folded.raw_events), (1, 7));
    assert_eq!(items(&node, "u1").await, [5, 4, 3]);
    let signal = &node.signals().await[0];
    assert_eq!(signal.store.tail_size().0, 0, "base has taken over what the tail held");

    // A correction, a deletion and a late event: seen at once, and after the next fold.
    node.append("ratings", vec![changed("u1", 5, 1.0, 500, (501, "d")), changed("u1", 4, 0.0, 400, (402, "u")), event("u1", 7, 2.0, 150)])
        .await
        .unwrap();
    node.settle().await.unwrap();
    assert_eq!(items(&node, "u1").await, [3, 2, 7]);
    node.backfill(&QualifiedName::new("movies", "rating"), Fold::New, &|_| {}).await.unwrap();
    assert_eq!(items(&node, "u1").await, [3, 2, 7]);

    // A longer feature is built beside the live one and swapped in.
    let changes = node.apply(desired(10)).await.unwrap();
    assert!(matches!(changes.as_slice(), [Change::Swapped { .. }]), "{changes:?}");
    assert_eq!(items(&node, "u1").await, [3, 2, 7, 1]);

    // A feature that goes and comes back is routed again: epochs only rise.
    let signals_only = Desired { features: Vec::new(), ..desired(10) };
    assert!(matches!(node.apply(signals_only).await.unwrap().as_slice(), [Change::Removed { .. }]));
    assert!(matches!(node.apply(desired(10)).await.unwrap().as_slice(), [Change::Added { .. }]));
    let table = node.inner.reader.routes.current();
    let route = table.get(&QualifiedName::new("movies", "recent")).unwrap();
    assert!(route.live.is_some() && route.epoch > 2, "{route:?}");
    assert_eq!(items(&node, "u1").await, [3, 2, 7, 1]);
    node.shutdown().await.unwrap();
}
