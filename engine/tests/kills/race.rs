//! Backfills that race on one history, while the stream goes on.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use tress_engine::history::Scan;
use tress_engine::node::{Fold, Node};

use crate::child::{open, read, records, signal};
use crate::model;
use crate::scenario::{TOPIC, USERS, desired, write_titles};
use crate::steps::FEATURES;

const BATCHES: u64 = 6;
const LENGTH: u32 = 10;

/// Every position of the raw log that history holds, one entry for each row.
async fn positions(node: &Node) -> Vec<(i64, i64)> {
    let signals = node.signals().await;
    let history = signals.first().expect("a signal").store.history();
    let snapshot = history.snapshot().await.expect("a snapshot").expect("history");
    let all = Scan { hashes: i64::MIN..=i64::MAX, columns: None };
    let batches: Vec<_> = history.scan(snapshot.files.clone(), all).try_collect().await.expect("rows");
    let mut positions = Vec::new();
    for batch in batches {
        let column = |name| {
            let column = batch.column_by_name(name).expect("a system column");
            arrow::compute::cast(column, &arrow::datatypes::DataType::Int64).expect("numbers")
        };
        let (partitions, offsets) = (column("partition"), column("offset"));
        let (partitions, offsets) = (partitions.as_primitive::<Int64Type>(), offsets.as_primitive::<Int64Type>());
        positions.extend((0..offsets.len()).map(|row| (partitions.value(row), offsets.value(row))));
    }
    positions.sort_unstable();
    positions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn backfills_that_race_leave_one_history_and_the_sequences_that_the_events_say() {
    let folder = tempfile::tempdir().expect("a folder");
    write_titles(&folder.path().join("tables"));
    let node = open(folder.path()).await.expect("opened");
    node.apply(desired(LENGTH)).await.expect("applied");
    let mut number = 0;
    for batch in 0..BATCHES {
        node.append(TOPIC, records(batch)).await.expect("appended");
        let folds = [Fold::New, Fold::Restate(Vec::new()), Fold::New].map(|fold| {
            let node = Arc::clone(&node);
            tokio::spawn(async move { node.backfill(&signal(), fold, &|_| {}).await })
        });
        for fold in folds {
            let folded = fold.await.expect("no panic").expect("a racing backfill ends well");
            assert!(folded.number > number || batch == 0, "numbers only rise: {} after {number}", folded.number);
        }
        let snapshot = node.signals().await[0].store.history().snapshot().await.expect("a snapshot").expect("history");
        assert!(snapshot.backfill >= number, "{} after {number}", snapshot.backfill);
        number = snapshot.backfill;
    }
    node.settle().await.expect("settled");
    let positions = positions(&node).await;
    let mut once = positions.clone();
    once.dedup();
    assert_eq!(positions, once, "no raw record is in history twice");
    for of in FEATURES {
        for user in 0..USERS as u64 {
            let rows = model::sequence(of, user, 0..BATCHES, LENGTH as usize);
            assert_eq!(read(&node, of, user).await.expect("live").0, rows, "{of} of user {user}");
        }
    }
    node.shutdown().await.expect("stopped");
}
