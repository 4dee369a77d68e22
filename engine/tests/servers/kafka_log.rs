//! The log in Apache Kafka.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tress_engine::archive::Archive;
use tress_engine::clock::{Clock, SystemClock};
use tress_engine::lake::Lake;
use tress_engine::log::conformance::{self, Restart};
use tress_engine::log::kafka::{Connection, Mechanism, Sasl, Tls};
use tress_engine::log::{Ends, KafkaLog, Log, NewRecord, Position};
use tress_engine::{Error, ErrorKind};

use crate::broker::{self, log, name};
use crate::server::Server;
use crate::transactions::{End, Transactions};

const NOW: Duration = Duration::ZERO;
const SOON: Duration = Duration::from_secs(20);

#[derive(Debug)]
struct Broker;

#[async_trait]
impl Restart for Broker {
    async fn open(&self) -> Arc<dyn Log> {
        Arc::new(log())
    }

    async fn leave_out(&self, topic: &str, partition: i32) -> bool {
        let mut producer = Transactions::new(name("leaving-out")).await;
        producer.send(topic, partition, &["aborted", "too"]).await;
        producer.end(End::Abort).await;
        true
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
        let read = log.read(topic, at(partition, next), 1 << 20, NOW).await.unwrap().records;
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

/// Reads from `at` on until `next` is reached; no read may wait longer than records take to come.
async fn read_on(log: &dyn Log, topic: &str, from: i64, end: i64) -> Vec<(i64, String)> {
    let (mut found, mut next) = (Vec::new(), from);
    while next < end {
        let batch = log.read(topic, at(0, next), 1 << 20, Duration::from_millis(50)).await.unwrap();
        assert!(batch.next > next, "reading from {next} leads on to {end}");
        next = batch.next;
        found.extend(batch.records.into_iter().map(|r| (r.offset, String::from_utf8(r.payload.to_vec()).unwrap())));
    }
    assert_eq!(next, end);
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_open_transaction_wrote_is_read_once_it_is_committed_and_marks_are_passed_over() {
    let (log, topic) = (Arc::new(log()), name("transactions"));
    log.create(&topic, 1).await.unwrap();
    let (mut first, mut second) = (Transactions::new(name("first")).await, Transactions::new(name("second")).await);
    first.send(&topic, 0, &["a", "b"]).await; // 0, 1
    first.end(End::Commit).await; // 2
    assert_eq!(read_on(log.as_ref(), &topic, 0, 3).await, [(0, "a".into()), (1, "b".into())]);
    second.send(&topic, 0, &["aborted"]).await; // 3
    second.end(End::Abort).await; // 4
    assert_eq!(read_on(log.as_ref(), &topic, 3, 5).await, []);
    // One is open while others go on behind it: all of it is beyond the end.
    first.send(&topic, 0, &["open"]).await; // 5
    second.send(&topic, 0, &["behind"]).await; // 6
    second.end(End::Commit).await; // 7
    assert_eq!(log.append(&topic, 0, records(["plain".into()])).await.unwrap(), 8);
    assert_eq!(log.ends(&topic).await.unwrap(), [Ends { start: 0, end: 5 }]);
    for _ in 0..3 {
        let batch = log.read(&topic, at(0, 5), 1 << 20, Duration::from_millis(300)).await.unwrap();
        assert_eq!((batch.records.len(), batch.next), (0, 5), "an open transaction is not passed over");
    }
    let waiting = tokio::spawn({
        let (log, topic) = (Arc::clone(&log), topic.clone());
        async move { log.read(&topic, at(0, 5), 1 << 20, SOON).await.unwrap() }
    });
    first.end(End::Commit).await; // 9
    assert!(waiting.await.unwrap().records.first().is_some_and(|r| r.offset == 5), "who waits is told");
    let rest = [(5, "open".to_owned()), (6, "behind".to_owned()), (8, "plain".to_owned())];
    assert_eq!(read_on(log.as_ref(), &topic, 5, 10).await, rest);
    // One that is open at first and aborted later.
    first.send(&topic, 0, &["never"]).await; // 10
    let held = log.read(&topic, at(0, 10), 1 << 20, Duration::from_millis(300)).await.unwrap();
    assert_eq!((held.records.len(), held.next), (0, 10));
    first.end(End::Abort).await; // 11
    assert_eq!(read_on(log.as_ref(), &topic, 10, 12).await, []);
    let all = [(0, "a".to_owned()), (1, "b".to_owned())].into_iter().chain(rest).collect::<Vec<_>>();
    assert_eq!(read_on(&broker::log(), &topic, 0, 12).await, all, "also to who reads for the first time");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_a_topic_that_is_written_in_transactions_reaches_its_end() {
    let (log, topic, folder) = (Arc::new(log()), name("archived"), tempfile::tempdir().unwrap());
    log.create(&topic, 2).await.unwrap();
    let mut producer = Transactions::new(name("archiving")).await;
    let world = (Arc::clone(&log) as Arc<dyn Log>, Arc::new(SystemClock) as Arc<dyn Clock>);
    let archive = Archive::open(world, Lake::local(folder.path()).unwrap(), "main", &topic).await.unwrap();
    for (round, end) in [End::Commit, End::Abort, End::Commit, End::Abort].into_iter().enumerate() {
        producer.send(&topic, 0, &["x", "y"]).await;
        let before = archive.archive_now().await.unwrap();
        assert_eq!(
            before.cut,
            if round == 0 { vec![] } else { vec![at(0, 3 * i64::try_from(round).unwrap())] },
            "what is open is not archived"
        );
        producer.end(end).await;
        let archived = archive.archive_now().await.unwrap();
        assert_eq!(archived.cut, [at(0, 3 * (i64::try_from(round).unwrap() + 1))]);
        assert_eq!(archived.rows(), [2, 2, 4, 4][round]);
    }
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
        let read = log.read(&topic, at(partition, offset), 5_000, NOW).await.unwrap().records;
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
        for record in read.unwrap().records {
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
    assert_eq!(log.read(&topic, at(0, 0), 1, NOW).await.unwrap().records.len(), 1);
    other.trim(&topic, &[at(0, 60)]).await.unwrap();
    assert_eq!(log.ends(&topic).await.unwrap(), [Ends { start: 60, end: 100 }]);
    let refused = other.read(&topic, at(0, 5), 1, NOW).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("below its start 60"), "{refused}");
    assert_eq!(other.read(&topic, at(0, 60), 1, NOW).await.unwrap().records[0].offset, 60);
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
    assert_eq!(wrong.kind(), ErrorKind::Refused);
    assert!(wrong.to_string().contains("auth secret") && !wrong.to_string().contains("not-the-password"), "{wrong}");
    assert_eq!(stranger.kind(), ErrorKind::Refused);
    assert!(stranger.to_string().contains("tls secrets"), "{stranger}");
    assert_eq!(absent.kind(), ErrorKind::Unavailable);
    assert!(absent.to_string().contains("bootstrap"), "{absent}");
}
