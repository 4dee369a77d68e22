//! What the engine needs of an object store, on a local folder, on a real S3 server and on what stands in for Azure alike.

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
use tress_engine::lake::{Azure, Gcs, Keys, Lake, S3};
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
    a_listing_begins_after_a_file_whether_it_is_there_or_not(&lake).await;
    parts_of_a_file_are_read_and_nothing_beyond_its_end(&lake).await;
    what_is_put_in_parts_is_there_as_a_whole_or_not_at_all(&lake).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_container_of_what_speaks_azures_protocol_is_a_lake() {
    let server = Server::azure();
    let url = format!("abfss://{}@{}.dfs.core.windows.net/{}", server.tell("container"), server.tell("account"), name("lake"));
    let endpoint = Some(server.tell("endpoint").parse().unwrap());
    everything(Lake::azure(&Azure { url: url.parse().unwrap(), endpoint, key: Some(server.tell("accountKey").into()) }).unwrap()).await;
}

/// Nothing that can be fetched and pinned stands in for Google's storage: what there is has no puts by its XML protocol, or no conditions
/// on them, or no uploads in parts. So this is for a bucket of one's own: `TRESS_TEST_GCS=gs://bucket/prefix`, with
/// `TRESS_TEST_GCS_KEY` the file of a service account's key, or what the environment has, and `TRESS_TEST_GCS_ENDPOINT`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a bucket of Google's: TRESS_TEST_GCS=gs://bucket/prefix"]
async fn a_bucket_of_googles_is_a_lake() {
    let given = |name: &str| std::env::var(name).ok();
    let url = format!("{}/{}", given("TRESS_TEST_GCS").expect("TRESS_TEST_GCS"), name("lake"));
    let (endpoint, key) = (given("TRESS_TEST_GCS_ENDPOINT").map(|e| e.parse().unwrap()), given("TRESS_TEST_GCS_KEY").map(Into::into));
    everything(Lake::gcs(&Gcs { url: url.parse().unwrap(), endpoint, key }).unwrap()).await;
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

/// How Delta finds the commits after the one that it knows.
async fn a_listing_begins_after_a_file_whether_it_is_there_or_not(lake: &Lake) {
    let path = |n: usize| Path::from(format!("after/{n:04}.json"));
    for n in [0, 1, 2, 4, 5] {
        lake.store().put(&path(n), PutPayload::from_static(b"{}")).await.unwrap();
    }
    for (after, expected) in [(1, vec![path(2), path(4), path(5)]), (3, vec![path(4), path(5)]), (5, vec![])] {
        let found: Vec<_> = lake.store().list_with_offset(Some(&Path::from("after")), &path(after)).try_collect().await.unwrap();
        assert_eq!(found.into_iter().map(|f| f.location).collect::<Vec<_>>(), expected, "after {after}");
    }
}

async fn what_is_put_in_parts_is_there_as_a_whole_or_not_at_all(lake: &Lake) {
    let (path, part) = (Path::from("in-parts.bin"), vec![7; 6 << 20]);
    let mut upload = lake.store().put_multipart(&path).await.unwrap();
    upload.put_part(part.clone().into()).await.unwrap();
    assert!(matches!(lake.store().head(&path).await, Err(object_store::Error::NotFound { .. })));
    upload.put_part(part[..10].to_vec().into()).await.unwrap();
    upload.complete().await.unwrap();
    let whole = lake.store().get(&path).await.unwrap().bytes().await.unwrap();
    assert!(whole.len() == part.len() + 10 && whole.iter().all(|b| *b == 7));
    let other = Path::from("given-up.bin");
    let mut upload = lake.store().put_multipart(&other).await.unwrap();
    upload.put_part(part.into()).await.unwrap();
    upload.abort().await.unwrap();
    assert!(matches!(lake.store().head(&other).await, Err(object_store::Error::NotFound { .. })));
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
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("credentials secret") && !error.to_string().contains("not-the-key"), "{error}");
    let mut nowhere = on(server, "x");
    nowhere.url = "s3://no-such-bucket/x".parse().unwrap();
    let lake = Lake::s3(&nowhere).unwrap();
    let error = tress_engine::Error::from(lake.store().put(&Path::from("x"), PutPayload::from_static(b"x")).await.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_key_that_is_refused_says_so_and_one_that_is_mounted_in_its_place_is_taken() {
    let (server, folder) = (Server::azure(), tempfile::tempdir().unwrap());
    let key = folder.path().join("accountKey");
    std::fs::write(&key, "bm90LXRoZS1rZXk=").unwrap();
    let of = |container: &str| Azure {
        url: format!("abfss://{container}@{}.dfs.core.windows.net/{}", server.tell("account"), name("keys")).parse().unwrap(),
        endpoint: Some(server.tell("endpoint").parse().unwrap()),
        key: Some(key.clone()),
    };
    let lake = Lake::azure(&of(server.tell("container"))).unwrap();
    let put =
        async |lake: &Lake| lake.store().put(&Path::from("x"), PutPayload::from_static(b"x")).await.map_err(tress_engine::Error::from);
    let error = put(&lake).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("credentials secret") && !error.to_string().contains("bm90LXRoZS1rZXk"), "{error}");
    std::fs::copy(server.tell("accountKey"), &key).unwrap();
    put(&lake).await.unwrap();
    let error = put(&Lake::azure(&of("no-such-container")).unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}
