use std::collections::HashMap;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;

use super::fixture::{DAY, Event, event, history, rows};
use super::*;
use crate::entity::Entity;
use crate::run::sort;
use crate::{faults, layout};

/// Writes one file and says what it holds.
async fn put(history: &History, bucket: &str, number: u64, events: &[Event]) -> NewFile {
    let (bytes, stats) = encode(&sort(rows(events)).unwrap()).unwrap().expect("rows");
    let path = layout::history_file(bucket, number, 0);
    let store = history.lake().table_store(&layout::history(history.uid()));
    store.put(&object_store::path::Path::from(path.clone()), bytes.into()).await.unwrap();
    NewFile { path, bucket: bucket.into(), stats }
}

async fn all(history: &History, files: Vec<HistoryFile>, scan: Scan) -> RecordBatch {
    let schema = history.scan_schema(&scan).unwrap();
    let batches: Vec<RecordBatch> = history.scan(files, scan).try_collect().await.unwrap();
    concat_batches(&schema, &batches).unwrap()
}

fn seal(number: u64, add: Vec<NewFile>) -> Commit {
    Commit { backfill: number, cut: number, add, remove: Vec::new(), at: 1_704_067_200_000_000, note: HashMap::new() }
}

#[tokio::test]
async fn what_a_commit_adds_is_read_back_with_every_type_intact() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    assert_eq!(history.snapshot().await.unwrap(), None);
    let empty = history.create().await.unwrap();
    assert_eq!((empty.version, empty.backfill, empty.files.len()), (0, 0, 0));
    assert_eq!(history.create().await.unwrap(), empty);

    let old: Vec<Event> = (0..50).map(|i| event(&format!("u{}", i % 7), -DAY + i, i)).collect();
    let new: Vec<Event> = (0..50).map(|i| event(&format!("u{}", i % 5), 1_704_067_200_000_000 + i, i)).collect();
    let files = vec![put(&history, "1969-12-31", 1, &old).await, put(&history, "2024-01-01", 1, &new).await];
    let committed = history.commit(&empty, seal(1, files.clone())).await.unwrap();
    assert_eq!(committed, Committed::Version(1));

    let snapshot = history.snapshot().await.unwrap().expect("a table");
    assert_eq!((snapshot.version, snapshot.backfill, snapshot.cut), (1, 1, 1));
    assert_eq!(snapshot.files.iter().map(|f| f.stats).collect::<Vec<_>>(), files.iter().map(|f| f.stats).collect::<Vec<_>>());
    assert_eq!(snapshot.newest(), Some(1_704_067_200_000_049));
    assert_eq!(all(&history, vec![snapshot.files[0].clone()], Scan::default()).await, sort(rows(&old)).unwrap());
    assert_eq!(all(&history, vec![snapshot.files[1].clone()], Scan::default()).await, sort(rows(&new)).unwrap());

    // On an old snapshot nothing is committed.
    assert_eq!(history.commit(&empty, seal(2, Vec::new())).await.unwrap(), Committed::Overtaken);
    assert_eq!(history.snapshot_at(Some(0)).await.unwrap(), Some(empty));
}

#[tokio::test]
async fn statistics_survive_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    let mut snapshot = history.create().await.unwrap();
    let events: Vec<Event> = (0..5).map(|i| event("u", 123_456_789 + i, i)).collect();
    let file = put(&history, "1970-01-01", 1, &events).await;
    history.commit(&snapshot, seal(1, vec![file])).await.unwrap();
    let first = history.snapshot().await.unwrap().expect("a table");
    deltalake::checkpoints::create_checkpoint(&history.lake().delta(&layout::history("s1")).await.unwrap().unwrap(), None).await.unwrap();
    let log = folder.path().join("signals/s1/history/_delta_log");
    std::fs::remove_file(log.join("00000000000000000000.json")).unwrap();
    std::fs::remove_file(log.join("00000000000000000001.json")).unwrap();
    snapshot = history.snapshot().await.unwrap().expect("a table");
    assert_eq!(snapshot, first);
}

#[tokio::test]
async fn a_scan_reads_the_hashes_and_columns_it_is_asked_for_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    let empty = history.create().await.unwrap();
    // More than one row group, many pages.
    let events: Vec<Event> = (0..70_000).map(|i| event(&format!("u{}", i % 997), i, i)).collect();
    let file = put(&history, "1970-01-01", 1, &events).await;
    history.commit(&empty, seal(1, vec![file])).await.unwrap();
    let files = history.snapshot().await.unwrap().expect("a table").files;
    let sorted = sort(rows(&events)).unwrap();

    for shard in 0..4 {
        let (first, last) = crate::entity::shard_range(shard, 4);
        let expected = crate::rows::Rows::new(sorted.clone()).unwrap();
        let from = expected.entity_hash().partition_point(|h| *h < first);
        let to = expected.entity_hash().partition_point(|h| *h <= last);
        let got = all(&history, files.clone(), Scan { hashes: first..=last, columns: None }).await;
        assert_eq!(got, sorted.slice(from, to - from));
    }
    let entity = Entity::String("u5".into());
    let own: Vec<Event> = events.iter().filter(|e| e.entity == "u5").cloned().collect();
    assert_eq!(history.entity_rows(files.clone(), &entity, None).await.unwrap(), sort(rows(&own)).unwrap());
    let few = history.entity_rows(files.clone(), &entity, Some(vec![1, 3])).await.unwrap();
    let projected: Vec<usize> = (0..13).chain([14, 16]).collect();
    assert_eq!(few, sort(rows(&own)).unwrap().project(&projected).unwrap());
    assert_eq!(history.entity_rows(files, &Entity::String("nobody".into()), None).await.unwrap().num_rows(), 0);
}

#[test]
fn the_same_rows_give_the_same_bytes_in_one_batch_or_many() {
    let events: Vec<Event> = (0..30_000).map(|i| event(&format!("u{}", i % 97), i, i)).collect();
    let sorted = sort(rows(&events)).unwrap();
    let (whole, stats) = encode(&sorted).unwrap().unwrap();
    assert_eq!(encode(&sorted).unwrap().unwrap(), (whole.clone(), stats));
    assert_eq!(stats.size, whole.len() as u64);
    assert!(encode(&sorted.slice(0, 0)).unwrap().is_none());
    let mut encoder = Encoder::new(&sorted.schema());
    encoder.write(&sorted.slice(0, 20_000)).unwrap();
    let mut bytes = encoder.drain().unwrap().to_vec();
    encoder.write(&sorted.slice(20_000, 10_000)).unwrap();
    let (rest, drained) = encoder.finish().unwrap().unwrap();
    bytes.extend_from_slice(&rest);
    assert_eq!((drained.rows, drained.size), (30_000, bytes.len() as u64));
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(bytes::Bytes::from(bytes), 64_000).unwrap();
    let read: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    let read = concat_batches(&read[0].schema(), &read).unwrap();
    assert_eq!(schema::to_rows(&read, &sorted.schema()).unwrap(), sorted);
}

#[tokio::test]
async fn a_commit_that_died_half_way_is_there_whole_or_not_at_all() {
    for (point, version) in [(faults::Point::SealCommit, 0), (faults::Point::SealCommitted, 1)] {
        let folder = tempfile::tempdir().unwrap();
        let history = history(folder.path());
        let empty = history.create().await.unwrap();
        let file = put(&history, "1970-01-01", 1, &[event("u", 5, 5)]).await;
        let armed = faults::arm(point, 1, faults::Action::Error);
        history.commit(&empty, seal(1, vec![file])).await.unwrap_err();
        drop(armed);
        let snapshot = history.snapshot().await.unwrap().expect("a table");
        assert_eq!((snapshot.version, snapshot.files.len() as u64, snapshot.backfill), (version, version, version));
    }
}

#[tokio::test]
async fn racing_creations_make_one_table_with_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    let all = futures::future::join_all((0..4).map(|_| history.create())).await;
    assert!(all.into_iter().all(|s| s.unwrap().version == 0));
}
