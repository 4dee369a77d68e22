//! The log in Apache Kafka.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tress_engine::log::conformance::{self, Restart};
use tress_engine::log::kafka::{Connection, Mechanism, Sasl, Tls};
use tress_engine::log::{Ends, KafkaLog, Log, NewRecord, Position};
use tress_engine::{Error, ErrorKind};

use crate::broker::{self, log, name};
use crate::server::Server;

const NOW: Duration = Duration::ZERO;

#[derive(Debug)]
struct Broker;

#[async_trait]
impl Restart for Broker {
    async fn open(&self) -> Arc<dyn Log> {
        Arc::new(log())
    }
}

fn at(partition: i32, offset: i64) -> Position {
    Position { partition, offset }
}

fn records(texts: impl IntoIterator<Item = String>) -> Vec<NewRecord> {
    texts.into_iter().map(|text| NewRecord { payload: text.into(), ..NewRecord::default() }).collect()
}

async fn all(log: &dyn Log, topic: &str, partition: i32) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let next = i64::try_from(texts.len()).unwrap();
        let read = log.read(topic, at(partition, next), 1 << 20, NOW).await.unwrap();
        if read.is_empty() {
            return texts;
        }
        texts.extend(read.iter().map(|r| String::from_utf8(r.payload.to_vec()).unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_keeps_the_contract_of_a_log() {
    conformance::keeps_the_contract(&Broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_readers_of_one_partition_each_get_everything() {
    let (log, topic) = (Arc::new(log()), name("readers"));
    log.create(&topic, 1).await.unwrap();
    let expected: Vec<String> = (0..20_000).map(|n| format!("{n:0100}")).collect();
    log.append(&topic, 0, records(expected.clone())).await.unwrap();
    let readers = (0..6).map(|_| {
        let (log, topic) = (Arc::clone(&log), topic.clone());
        tokio::spawn(async move { all(log.as_ref(), &topic, 0).await })
    });
    for reader in readers.collect::<Vec<_>>() {
        assert!(reader.await.unwrap() == expected, "a reader missed or repeated records");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_goes_back_and_forth_as_asked() {
    let (log, topic) = (log(), name("jumps"));
    log.create(&topic, 2).await.unwrap();
    for partition in 0..2 {
        log.append(&topic, partition, records((0..3000).map(|n| format!("{partition}/{n}")))).await.unwrap();
    }
    let mut place = 12_345_u64;
    for _ in 0..120 {
        place = place.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (partition, offset) = ((place >> 33) as i32 % 2, ((place >> 40) % 3000) as i64);
        let read = log.read(&topic, at(partition, offset), 5_000, NOW).await.unwrap();
        let (offsets, texts): (Vec<_>, Vec<_>) = read.iter().map(|r| (r.offset, r.payload.clone())).unzip();
        let expected: Vec<_> = (offset..3000).take(read.len()).collect();
        assert_eq!(offsets, expected, "partition {partition} from {offset}");
        assert!(!texts.is_empty() && texts[0] == format!("{partition}/{offset}"), "another record came");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_is_given_up_loses_nothing() {
    let (log, topic) = (Arc::new(log()), name("given-up"));
    log.create(&topic, 1).await.unwrap();
    let writer = {
        let (log, topic) = (Arc::clone(&log), topic.clone());
        tokio::spawn(async move {
            for n in 0..300 {
                log.append(&topic, 0, records([n.to_string()])).await.unwrap();
            }
        })
    };
    let mut seen = 0;
    while seen < 300 {
        let reading = log.read(&topic, at(0, seen), 1 << 20, Duration::from_secs(1));
        let Ok(read) = tokio::time::timeout(Duration::from_millis(3), reading).await else { continue };
        for record in read.unwrap() {
            assert_eq!((record.offset, &record.payload[..]), (seen, seen.to_string().as_bytes()));
            seen += 1;
        }
    }
    writer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_dropped_is_refused_also_in_the_middle_of_reading() {
    let (log, other, topic) = (log(), log(), name("retention"));
    log.create(&topic, 1).await.unwrap();
    log.append(&topic, 0, records((0..100).map(|n| n.to_string()))).await.unwrap();
    assert_eq!(log.read(&topic, at(0, 0), 1, NOW).await.unwrap().len(), 1);
    other.trim(&topic, &[at(0, 60)]).await.unwrap();
    assert_eq!(log.ends(&topic).await.unwrap(), [Ends { start: 60, end: 100 }]);
    let refused = other.read(&topic, at(0, 5), 1, NOW).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("below its start 60"), "{refused}");
    assert_eq!(other.read(&topic, at(0, 60), 1, NOW).await.unwrap()[0].offset, 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_is_another_one_to_a_process_that_knew_the_first() {
    let (log, other, topic) = (log(), log(), name("anew"));
    log.create(&topic, 1).await.unwrap();
    log.append(&topic, 0, records((0..10).map(|n| n.to_string()))).await.unwrap();
    log.commit("anew", &topic, &[at(0, 7)]).await.unwrap();
    let id = log.id(&topic).await.unwrap();
    assert!(!id.cluster.is_empty() && !id.topic.is_empty(), "{id:?}");
    other.delete(&topic).await.unwrap();
    other.create(&topic, 1).await.unwrap();
    let anew = log.id(&topic).await.unwrap();
    assert_eq!(anew.cluster, id.cluster);
    assert_ne!(anew.topic, id.topic);
    assert_eq!(log.committed("anew", &topic).await.unwrap(), []);
    // A position of the first, committed late by a process that has not looked yet, does not become one of the second.
    let late = Arc::new(KafkaLog::open(broker::connection()).unwrap());
    late.append(&topic, 0, records(["new".to_owned()])).await.unwrap();
    assert_eq!(all(late.as_ref(), &topic, 0).await, ["new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_is_refused_with_the_setting_that_allows_it() {
    let (log, topic) = (log(), name("large"));
    log.create(&topic, 1).await.unwrap();
    let large = NewRecord { payload: noise(3 << 20).into(), ..NewRecord::default() };
    let refused = log.append(&topic, 0, vec![large]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("max.message.bytes"), "{refused}");
    assert_eq!(log.append(&topic, 0, records(["small".to_owned()])).await.unwrap(), 0);
}

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_are_not_there_are_told_at_once() {
    let log = log();
    let topic = name("nowhere");
    let errors = [
        log.append(&topic, 0, records(["x".to_owned()])).await.map(drop).unwrap_err(),
        log.read(&topic, at(0, 0), 1, Duration::from_secs(60)).await.map(drop).unwrap_err(),
        log.ends(&topic).await.map(drop).unwrap_err(),
        log.commit("nobody", &topic, &[at(0, 0)]).await.unwrap_err(),
        log.committed("nobody", &topic).await.map(drop).unwrap_err(),
        log.trim(&topic, &[at(0, 0)]).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains(&topic), "names the topic: {error}");
    }
}

fn secure(password: &std::path::Path) -> Connection {
    let kafka = Server::kafka();
    let username = password.with_file_name("username");
    std::fs::write(&username, "tress\n").unwrap();
    Connection {
        tls: Some(Tls { ca: Some(kafka.tell("ca").into()), client: None }),
        sasl: Some(Sasl { mechanism: Mechanism::Plain, username, password: password.to_owned() }),
        ..Connection::plain(kafka.tell("secure"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_a_password_from_files_open_the_secure_listener() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::copy(Server::kafka().tell("password"), &password).unwrap();
    let (log, topic) = (KafkaLog::open(secure(&password)).unwrap(), name("secure"));
    log.create(&topic, 1).await.unwrap();
    log.append(&topic, 0, records(["a".to_owned()])).await.unwrap();
    assert_eq!(all(&log, &topic, 0).await, ["a"]);
    log.commit(&name("secure-group"), &topic, &[at(0, 1)]).await.unwrap();
}

async fn refusal(connection: Connection) -> Error {
    let log = KafkaLog::open(connection).unwrap();
    log.ends("whatever").await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_unknown_authorities_and_absent_brokers_each_say_what_to_look_at() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "not-the-password").unwrap();
    let (wrong, stranger, absent) = tokio::join!(
        refusal(secure(&password)),
        refusal(Connection { tls: Some(Tls::default()), ..secure(&password) }),
        refusal(Connection::plain("127.0.0.1:1")),
    );
    assert_eq!(wrong.kind(), ErrorKind::Invalid);
    assert!(wrong.to_string().contains("auth secret") && !wrong.to_string().contains("not-the-password"), "{wrong}");
    assert_eq!(stranger.kind(), ErrorKind::Invalid);
    assert!(stranger.to_string().contains("tls secrets"), "{stranger}");
    assert_eq!(absent.kind(), ErrorKind::Unavailable);
    assert!(absent.to_string().contains("bootstrap"), "{absent}");
}
