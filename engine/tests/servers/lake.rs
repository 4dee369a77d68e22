//! What the engine needs of an object store, on a local folder and on a real S3 server alike.

use std::collections::BTreeSet;
use std::path::Path as File;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::join_all;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tress_engine::ErrorKind;
use tress_engine::archive::Archive;
use tress_engine::clock::FixedClock;
use tress_engine::lake::{Keys, Lake, S3};
use tress_engine::log::{Log, MemoryLog, NewRecord};

use crate::broker::name;
use crate::server::Server;

/// A prefix of its own in the bucket of a server.
pub fn on(server: &Server, prefix: &str) -> S3 {
    S3 {
        url: format!("s3://{}/{prefix}", server.tell("bucket")).parse().unwrap(),
        endpoint: Some(server.tell("endpoint").parse().unwrap()),
        region: None,
        keys: Some(Keys {
            access_key_id: server.tell("accessKeyId").into(),
            secret_access_key: server.tell("secretAccessKey").into(),
            session_token: None,
        }),
    }
}

async fn everything(lake: Lake) {
    a_file_is_put_once_however_many_try(&lake).await;
    what_was_put_is_listed_at_once_and_gone_when_it_is_deleted(&lake).await;
    parts_of_a_file_are_read_and_nothing_beyond_its_end(&lake).await;
    two_archives_that_race_write_every_record_once(&lake).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_folder_is_a_lake() {
    let folder = tempfile::tempdir().unwrap();
    everything(Lake::local(folder.path()).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_a_real_s3_server_is_a_lake() {
    everything(Lake::s3(&on(Server::s3(), &name("lake"))).unwrap()).await;
}

async fn a_file_is_put_once_however_many_try(lake: &Lake) {
    for round in 0..5 {
        let path = Path::from(format!("agreed/{round}.json"));
        let put = |by: u8| {
            let (store, path) = (Arc::clone(lake.store()), path.clone());
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            tokio::spawn(async move { (by, store.put_opts(&path, PutPayload::from(vec![by; 1000]), options).await) })
        };
        let mut winners = Vec::new();
        for done in join_all((0..12).map(put)).await {
            match done.unwrap() {
                (by, Ok(_)) => winners.push(by),
                (_, Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. })) => {}
                (by, Err(e)) => panic!("put {by}: {e}"),
            }
        }
        assert_eq!(winners.len(), 1, "exactly one may win: {winners:?}");
        let held = lake.store().get(&path).await.unwrap().bytes().await.unwrap();
        assert_eq!(held, vec![winners[0]; 1000], "whoever won is what is there");
    }
}

async fn what_was_put_is_listed_at_once_and_gone_when_it_is_deleted(lake: &Lake) {
    let paths: BTreeSet<Path> = (0..25).map(|n| Path::from(format!("listed/{}/{n:03}.bin", n % 3))).collect();
    for path in &paths {
        lake.store().put(path, PutPayload::from_static(b"12345")).await.unwrap();
    }
    lake.store().put(&Path::from("listed-not/1.bin"), PutPayload::from_static(b"")).await.unwrap();
    let listed = || async {
        let found: Vec<_> = lake.store().list(Some(&Path::from("listed"))).try_collect().await.unwrap();
        assert!(found.iter().all(|f| f.size == 5), "{found:?}");
        found.into_iter().map(|f| f.location).collect::<BTreeSet<_>>()
    };
    assert_eq!(listed().await, paths);
    let folders = lake.store().list_with_delimiter(Some(&Path::from("listed"))).await.unwrap();
    assert_eq!((folders.common_prefixes.len(), folders.objects.len()), (3, 0));
    let gone = Path::from("listed/1/001.bin");
    lake.store().delete(&gone).await.unwrap();
    assert!(!listed().await.contains(&gone));
    let error = lake.store().get(&gone).await.unwrap_err();
    assert!(matches!(error, object_store::Error::NotFound { .. }), "{error}");
}

async fn parts_of_a_file_are_read_and_nothing_beyond_its_end(lake: &Lake) {
    let path = Path::from("parts.bin");
    let whole: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let size = whole.len() as u64;
    lake.store().put(&path, PutPayload::from(whole.clone())).await.unwrap();
    let ranges = [0..10, 4_000..4_100, 100_000..400_000, size - 8..size];
    let parts = lake.store().get_ranges(&path, &ranges).await.unwrap();
    let expected: Vec<Bytes> = ranges.iter().map(|r| Bytes::copy_from_slice(&whole[r.start as usize..r.end as usize])).collect();
    assert_eq!(parts, expected);
    assert_eq!(lake.store().head(&path).await.unwrap().size, size);
    assert!(lake.store().get_range(&path, size + 1..size + 10).await.is_err(), "nothing is there");
}

/// Delta commits, each of which must be the only one of its version.
async fn two_archives_that_race_write_every_record_once(lake: &Lake) {
    let clock = Arc::new(FixedClock::new(1_000_000));
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new(clock.clone()));
    log.create("raw", 2).await.unwrap();
    let mut appended = 0;
    for round in 0..4 {
        for partition in 0..2 {
            let records = (0..50).map(|n| NewRecord { payload: format!("{round}/{n}").into(), ..NewRecord::default() });
            log.append("raw", partition, records.collect()).await.unwrap();
            appended += 50;
        }
        let racing = (0..3).map(|_| {
            let (log, clock, lake) = (Arc::clone(&log), clock.clone(), lake.clone());
            tokio::spawn(async move { Archive::open((log, clock), lake, "main", "raw").await?.archive_now().await })
        });
        for archived in join_all(racing).await {
            let snapshot = archived.unwrap().unwrap();
            assert_eq!(snapshot.rows(), appended, "all records, each once");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_refused_and_buckets_that_are_not_there_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::s3();
    let mut wrong = on(server, "whatever");
    let file = |name: &str, text: &str| {
        let path = File::join(folder.path(), name);
        std::fs::write(&path, text).unwrap();
        path
    };
    wrong.keys = Some(Keys { access_key_id: file("id", "tress"), secret_access_key: file("key", "not-the-key"), session_token: None });
    let lake = Lake::s3(&wrong).unwrap();
    let error = tress_engine::Error::from(lake.store().put(&Path::from("x"), PutPayload::from_static(b"x")).await.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("credentials secret") && !error.to_string().contains("not-the-key"), "{error}");
    let mut nowhere = on(server, "x");
    nowhere.url = "s3://no-such-bucket/x".parse().unwrap();
    let lake = Lake::s3(&nowhere).unwrap();
    let error = tress_engine::Error::from(lake.store().put(&Path::from("x"), PutPayload::from_static(b"x")).await.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}
