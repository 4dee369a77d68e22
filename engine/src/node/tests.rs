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

    // What nothing defines and nothing reads is not told of any more.
    let told = || {
        let page = node.platform().metrics().encode(crate::metrics::Exposition::Text).unwrap();
        String::from_utf8(page).unwrap().contains("movies/rating")
    };
    assert!(told());
    node.apply(Desired { features: Vec::new(), signals: Vec::new(), ..desired(10) }).await.unwrap();
    assert!(!told());
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_that_was_deleted_after_the_tail_gave_up_its_rows_is_made_again_or_the_feature_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let node = open(folder.path()).await;
    node.apply(desired(3)).await.unwrap();
    for round in 0..2 {
        node.append("ratings", (1..=3).map(|i| event("u1", 10 * round + i, 3.0, 100 * round + i)).collect()).await.unwrap();
        node.settle().await.unwrap();
        node.backfill(&QualifiedName::new("movies", "rating"), Fold::New, &|_| {}).await.unwrap();
    }
    let signal = Arc::clone(&node.signals().await[0]);
    signal.keep(node.platform().own_log().as_ref()).await.unwrap();
    let of_signal = folder.path().join(".tress/lake/signals").join(&signal.uid);
    let manifests = of_signal.join("base/manifests");
    let newest = || std::fs::read_dir(&manifests).unwrap().map(|f| f.unwrap().path()).max().unwrap();
    drop(signal);
    node.shutdown().await.unwrap();
    drop(node);

    std::fs::remove_file(newest()).unwrap();
    let node = open(folder.path()).await;
    assert_eq!(items(&node, "u1").await, [13, 12, 11], "it is made again from history");
    node.shutdown().await.unwrap();
    drop(node);

    // Without history there is nothing to make it from.
    std::fs::remove_dir_all(&manifests).unwrap();
    std::fs::remove_dir_all(of_signal.join("history")).unwrap();
    let node = open(folder.path()).await;
    let refused = node.feature(&QualifiedName::new("movies", "recent")).await.unwrap_err();
    assert!(refused.to_string().contains("the tail gave up rows that neither base nor history has; restore"), "{refused}");
    node.shutdown().await.unwrap();
}

/// A process of its own, in which a task of a signal panics where the environment says.
#[test]
fn a_task_that_panics_is_told_and_goes_on_from_what_is_committed() {
    for step in ["ChangelogAppend:40", "StreamCommit:2", "TailFreeze:2"] {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "node::tests::works_on_though_a_task_panics", "--ignored", "--nocapture"])
            .env(crate::faults::VARIABLE, format!("{step}:panic"))
            .output()
            .unwrap();
        assert!(child.status.success(), "{step}\n{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
        assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"), "{step}: it was run");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process of the test above"]
async fn works_on_though_a_task_panics() {
    let folder = tempfile::tempdir().unwrap();
    let node = open(folder.path()).await;
    node.apply(desired(1000)).await.unwrap();
    let signal = Arc::clone(&node.signals().await[0]);
    crate::faults::arm_from_env().unwrap();
    let mut expected = Vec::new();
    while signal.troubles().is_empty() {
        let next = expected.len() as i64 + 1;
        assert!(next < 600, "nothing panicked");
        node.append("ratings", vec![event("u1", next, 3.0, next * 100)]).await.unwrap();
        expected.insert(0, next);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        // Readers are served all the while.
        items(&node, "u1").await;
    }
    node.append("ratings", vec![event("u1", 1000, 3.0, 1_000_000)]).await.unwrap();
    expected.insert(0, 1000);
    node.settle().await.unwrap();
    assert_eq!(items(&node, "u1").await, expected, "nothing is lost and nothing is there twice");
    while signal.troubles().iter().any(|t| t.now != Now::Runs) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let [trouble] = &signal.troubles()[..] else { panic!("{:?}", signal.troubles()) };
    assert!(trouble.times == 1 && trouble.reason.contains("panicked"), "{trouble:?}");
    assert_eq!((trouble.now, signal.failure(), signal.waiting()), (Now::Runs, None, None));
    node.shutdown().await.unwrap();
    assert_eq!(signal.troubles().len(), 1, "stopping is no trouble");
}
