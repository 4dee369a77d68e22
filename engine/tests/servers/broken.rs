//! Servers that are killed and come back: nothing that was acknowledged is lost, and what cannot be done now says so in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use tress_engine::lake::Lake;
use tress_engine::log::kafka::Connection;
use tress_engine::log::{KafkaLog, Log, NewRecord, Position};
use tress_engine::{Error, ErrorKind};

use crate::lake::on;
use crate::server::Server;

fn record(n: i64) -> NewRecord {
    NewRecord { payload: n.to_string().into(), ..NewRecord::default() }
}

/// As every role does: what does not answer is tried again.
async fn until_it_works<T, F: Future<Output = Result<T, Error>>>(mut step: impl FnMut() -> F) -> T {
    let began = Instant::now();
    loop {
        match step().await {
            Ok(done) => return done,
            Err(e) if e.kind() == ErrorKind::Unavailable && began.elapsed() < Duration::from_secs(120) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(e) => panic!("{e:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_loses_nothing_that_it_acknowledged() {
    let mut server = Server::start("kafka");
    let topic = "killed";
    let log: Arc<dyn Log> = Arc::new(KafkaLog::open(Connection::plain(server.tell("bootstrap"))).unwrap());
    log.create(topic, 1).await.unwrap();
    let id = log.id(topic).await.unwrap();
    let (writing, reading) = (Arc::clone(&log), Arc::clone(&log));
    let writer = tokio::spawn(async move {
        for n in 0..200 {
            until_it_works(|| writing.append(topic, 0, vec![record(n)])).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        until_it_works(|| writing.append(topic, 0, vec![record(-1)])).await;
    });
    let reader = tokio::spawn(async move {
        let (mut next, mut seen) = (0, Vec::new());
        while seen.last() != Some(&-1) {
            let batch =
                until_it_works(|| reading.read(topic, Position { partition: 0, offset: next }, 4096, Duration::from_millis(200))).await;
            for record in batch.records {
                assert_eq!(record.offset, next, "no offset is passed over");
                next += 1;
                seen.push(std::str::from_utf8(&record.payload).unwrap().parse::<i64>().unwrap());
            }
            assert_eq!(next, batch.next);
        }
        seen
    });
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let down = tokio::task::spawn_blocking(move || {
            server.kill();
            server
        });
        server = down.await.unwrap();
        let began = Instant::now();
        let error = log.ends(topic).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(began.elapsed() < Duration::from_secs(30), "it took {:?} to say that nobody answers", began.elapsed());
        server = tokio::task::spawn_blocking(move || {
            server.start_again();
            server
        })
        .await
        .unwrap();
    }
    writer.await.unwrap();
    let mut seen = reader.await.unwrap();
    // An append whose answer was lost may be there twice, never out of order, and none is missing.
    assert!(seen[..seen.len() - 1].is_sorted(), "{seen:?}");
    seen.dedup();
    assert_eq!(seen, (0..200).chain([-1]).collect::<Vec<_>>());
    assert_eq!(log.id(topic).await.unwrap(), id, "a restart makes no other topic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_killed_keeps_what_it_took_and_says_that_it_is_away() {
    let mut server = Server::start("s3");
    let lake = Lake::s3(&on(&server, "killed")).unwrap();
    let path = Path::from("kept");
    lake.store().put(&path, PutPayload::from_static(b"kept")).await.unwrap();
    server = tokio::task::spawn_blocking(move || {
        server.kill();
        server
    })
    .await
    .unwrap();
    let began = Instant::now();
    let error = Error::from(lake.store().get(&path).await.map(drop).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    tokio::task::spawn_blocking(move || server.start_again()).await.unwrap();
    assert_eq!(lake.store().get(&path).await.unwrap().bytes().await.unwrap(), "kept");
}
