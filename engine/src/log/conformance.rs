//! What every [`Log`] must do: one suite, run against each implementation. A failed expectation panics, as tests do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Assigned, Batch, Ends, Log, NewRecord, Position, Record};
use crate::error::ErrorKind;

const NOW: Duration = Duration::from_millis(0);
const SOON: Duration = Duration::from_secs(20);

/// How the log under test is opened. Whoever asked before has dropped what it got.
#[async_trait]
pub trait Restart: Send + Sync {
    /// Opens the log again, on the same data as before.
    async fn open(&self) -> Arc<dyn Log>;

    /// Leaves offsets at the end of a partition without records. `false` = this log has none of that kind.
    async fn leave_out(&self, _topic: &str, _partition: i32) -> bool {
        false
    }
}

/// Runs all of it. Topics are named `conformance.…`; none may be there before.
pub async fn keeps_the_contract(log: &dyn Restart) {
    records_come_back_in_order_and_as_they_were(log).await;
    reading_is_bounded_by_bytes_and_by_what_is_there(log).await;
    a_read_waits_for_the_next_record(log).await;
    offsets_without_records_are_passed_over(log).await;
    groups_have_their_own_positions(log).await;
    a_group_is_forgotten_with_all_it_committed(log).await;
    topics_are_created_grown_and_deleted(log).await;
    a_member_alone_reads_every_partition(log).await;
    concurrent_appends_are_all_there_once_and_whole(log).await;
    trimming_never_drops_what_it_should_keep(log).await;
    empty_and_large_records_come_back(log).await;
}

async fn a_group_is_forgotten_with_all_it_committed(restart: &dyn Restart) {
    let (topic, other) = ("conformance.forgotten", "conformance.forgotten.too");
    let log = restart.open().await;
    log.forget("conformance.nobody").await.expect("there is none: fine");
    for topic in [topic, other] {
        log.create(topic, 1).await.expect("create");
        log.append(topic, 0, vec![payload("one")]).await.expect("append");
        for group in ["conformance.gone", "conformance.stays"] {
            log.commit(group, topic, &[at(0, 1)]).await.expect("commit");
        }
    }
    log.forget("conformance.gone").await.expect("forgotten");
    log.forget("conformance.gone").await.expect("forgotten already");
    drop(log);
    let log = restart.open().await;
    for topic in [topic, other] {
        assert_eq!(log.committed("conformance.gone", topic).await.expect("read"), []);
        assert_eq!(log.committed("conformance.stays", topic).await.expect("read"), [at(0, 1)]);
    }
}

async fn records_come_back_in_order_and_as_they_were(restart: &dyn Restart) {
    let topic = "conformance.order";
    let log = restart.open().await;
    log.create(topic, 2).await.expect("create");
    let full = NewRecord {
        key: Some(Bytes::from_static(b"k")),
        payload: Bytes::from_static(b"one"),
        headers: vec![("kind".into(), Bytes::from_static(b"rows")), ("empty".into(), Bytes::new())],
        timestamp: Some(1_234),
    };
    assert_eq!(log.append(topic, 1, vec![full.clone(), payload("two")]).await.expect("append"), 0);
    assert_eq!(log.append(topic, 1, vec![payload("three")]).await.expect("append"), 2);
    assert_eq!(log.append(topic, 1, vec![]).await.expect("append nothing"), 3);
    drop(log);
    let log = restart.open().await;
    assert_eq!(log.append(topic, 1, vec![payload("four")]).await.expect("append after a restart"), 3);
    assert_eq!(log.ends(topic).await.expect("ends"), [Ends { start: 0, end: 0 }, Ends { start: 0, end: 4 }]);
    let records = read_all(log.as_ref(), topic, 1, 0).await;
    assert_eq!(payloads(&records), ["one", "two", "three", "four"]);
    assert_eq!(records.iter().map(|r| r.offset).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!((&records[0].key, records[0].timestamp, &records[0].headers), (&full.key, 1_234, &full.headers));
    assert_eq!((&records[1].key, &records[1].headers), (&None, &vec![]));
    let stamps: Vec<_> = records[1..].iter().map(|r| r.timestamp).collect();
    assert!(stamps.is_sorted(), "the log's own stamps never go back: {stamps:?}");
    assert_eq!(read_all(log.as_ref(), topic, 1, 0).await, records, "reading does not consume or change");
    assert_eq!(payloads(&read_all(log.as_ref(), topic, 1, 2).await), ["three", "four"]);
}

async fn reading_is_bounded_by_bytes_and_by_what_is_there(restart: &dyn Restart) {
    let topic = "conformance.bounds";
    let log = restart.open().await;
    log.create(topic, 1).await.expect("create");
    let records: Vec<_> = (0..100).map(|i| payload(&format!("{i:01000}"))).collect();
    log.append(topic, 0, records).await.expect("append");
    let some = log.read(topic, at(0, 10), 10_000, NOW).await.expect("read");
    assert!((1..100 - 10).contains(&some.records.len()), "about 10 kB of 100 kB, not {} records", some.records.len());
    assert_eq!((some.records[0].offset, some.next), (10, 10 + some.records.len() as i64));
    let last = log.read(topic, at(0, 99), 1, NOW).await.expect("read");
    assert_eq!((last.records.len(), last.next), (1, 100), "at least one, however small the bound");
    assert_eq!(log.read(topic, at(0, 100), 1, NOW).await.expect("read at the end"), nothing(100));
    let beyond = log.read(topic, at(0, 101), 1, NOW).await.expect_err("beyond the end");
    assert_eq!(beyond.kind(), ErrorKind::Invalid, "{beyond}");
    let nowhere = log.read("conformance.nowhere", at(0, 0), 1, NOW).await.expect_err("no such topic");
    assert_eq!(nowhere.kind(), ErrorKind::NotFound, "{nowhere}");
}

async fn a_read_waits_for_the_next_record(restart: &dyn Restart) {
    let topic = "conformance.wait";
    let log = restart.open().await;
    log.create(topic, 1).await.expect("create");
    let reader = Arc::clone(&log);
    let waiting = tokio::spawn(async move { reader.read(topic, at(0, 0), 1 << 20, SOON).await });
    tokio::task::yield_now().await;
    log.append(topic, 0, vec![payload("late")]).await.expect("append");
    let batch = waiting.await.expect("joined").expect("read");
    assert_eq!((payloads(&batch.records), batch.next), (vec!["late"], 1));
    let still = log.read(topic, at(0, 1), 1 << 20, Duration::from_millis(5)).await.expect("read");
    assert_eq!(still, nothing(1), "nothing came: the same position again");
}

async fn offsets_without_records_are_passed_over(restart: &dyn Restart) {
    let topic = "conformance.gaps";
    let log = restart.open().await;
    log.create(topic, 2).await.expect("create");
    if !restart.leave_out(topic, 0).await {
        return;
    }
    let first = log.ends(topic).await.expect("ends")[0].end;
    assert!(first > 0, "offsets were taken");
    assert_eq!(log.read(topic, at(0, 0), 1 << 20, NOW).await.expect("read"), nothing(first), "a partition without any record");
    assert_eq!(log.append(topic, 0, vec![payload("a"), payload("b")]).await.expect("append"), first);
    assert!(restart.leave_out(topic, 0).await);
    let end = log.ends(topic).await.expect("ends")[0].end;
    assert!(end > first + 2, "offsets were taken");
    for from in 0..=end {
        let (mut records, mut next) = (Vec::new(), from);
        while next < end {
            let batch = log.read(topic, at(0, next), 1, NOW).await.expect("read");
            assert!(batch.next > next && batch.next <= end, "reading from {next} leads on, not to {}", batch.next);
            next = batch.next;
            records.extend(batch.records);
        }
        let expected: Vec<_> = ["a", "b"].into_iter().zip(first..).filter(|(_, offset)| *offset >= from).map(|(text, _)| text).collect();
        assert_eq!(payloads(&records), expected, "from {from}");
        assert_eq!(log.read(topic, at(0, end), 1, NOW).await.expect("read at the end"), nothing(end));
    }
    let beyond = log.read(topic, at(0, end + 1), 1, NOW).await.expect_err("beyond the end");
    assert_eq!(beyond.kind(), ErrorKind::Invalid, "{beyond}");
}

async fn groups_have_their_own_positions(restart: &dyn Restart) {
    let topic = "conformance.groups";
    let log = restart.open().await;
    log.create(topic, 3).await.expect("create");
    log.append(topic, 0, vec![payload("a"), payload("b")]).await.expect("append");
    assert_eq!(log.committed("conformance.g1", topic).await.expect("committed"), []);
    log.commit("conformance.g1", topic, &[at(0, 1), at(2, 0)]).await.expect("commit");
    log.commit("conformance.g2", topic, &[at(1, 0)]).await.expect("commit");
    log.commit("conformance.g1", topic, &[at(0, 2)]).await.expect("commit replaces only what it names");
    drop(log);
    let log = restart.open().await;
    assert_eq!(sorted(log.committed("conformance.g1", topic).await.expect("committed")), [at(0, 2), at(2, 0)]);
    assert_eq!(sorted(log.committed("conformance.g2", topic).await.expect("committed")), [at(1, 0)]);
    log.commit("conformance.g1", topic, &[at(0, 1)]).await.expect("a group may go back");
    assert_eq!(sorted(log.committed("conformance.g1", topic).await.expect("committed")), [at(0, 1), at(2, 0)]);
}

async fn topics_are_created_grown_and_deleted(restart: &dyn Restart) {
    let topic = "conformance.topics";
    let log = restart.open().await;
    assert_eq!(log.id(topic).await.expect_err("none yet").kind(), ErrorKind::NotFound);
    assert_eq!(log.ends(topic).await.expect_err("none yet").kind(), ErrorKind::NotFound);
    log.delete(topic).await.expect("deleting what is not there");
    log.create(topic, 1).await.expect("create");
    log.append(topic, 0, vec![payload("kept")]).await.expect("append");
    let id = log.id(topic).await.expect("id");
    log.create(topic, 1).await.expect("create again");
    log.create(topic, 3).await.expect("grow");
    log.create(topic, 2).await.expect("never shrinks");
    assert_eq!(log.id(topic).await.expect("id"), id, "growing does not make another topic");
    let grown = [Ends { start: 0, end: 1 }, Ends { start: 0, end: 0 }, Ends { start: 0, end: 0 }];
    assert_eq!(log.ends(topic).await.expect("ends"), grown);
    assert_eq!(log.append(topic, 3, vec![payload("x")]).await.expect_err("no such partition").kind(), ErrorKind::NotFound);
    drop(log);
    let log = restart.open().await;
    assert_eq!((log.id(topic).await.expect("id"), log.ends(topic).await.expect("ends")), (id.clone(), grown.to_vec()));
    log.commit("conformance.g", topic, &[at(0, 1)]).await.expect("commit");
    log.delete(topic).await.expect("delete");
    assert_eq!(log.read(topic, at(0, 0), 1, NOW).await.expect_err("deleted").kind(), ErrorKind::NotFound);
    log.create(topic, 1).await.expect("create anew");
    assert_ne!(log.id(topic).await.expect("id"), id, "another topic of the same name has another id");
    assert_eq!(log.ends(topic).await.expect("ends"), [Ends { start: 0, end: 0 }]);
    assert_eq!(log.committed("conformance.g", topic).await.expect("committed"), [], "positions of the old topic are gone");
}

async fn a_member_alone_reads_every_partition(restart: &dyn Restart) {
    let (topic, group) = ("conformance.member", "conformance.alone");
    let log = restart.open().await;
    assert_eq!(log.join(group, topic).await.expect_err("no such topic").kind(), ErrorKind::NotFound);
    log.create(topic, 2).await.expect("create");
    let mut seat = log.join(group, topic).await.expect("join");
    let mut assigned = async |partitions: Vec<i32>| {
        let wanted = Assigned::Reads(partitions);
        let reached = tokio::time::timeout(2 * SOON, seat.assigned.wait_for(|a| *a == wanted)).await.is_ok_and(|a| a.is_ok());
        assert!(reached, "{wanted:?} is to be assigned, not {seat:?}");
    };
    assigned(vec![0, 1]).await;
    log.commit(group, topic, &[at(0, 0), at(1, 0)]).await.expect("a member commits");
    log.create(topic, 3).await.expect("grow");
    assigned(vec![0, 1, 2]).await;
    log.commit(group, topic, &[at(2, 0)]).await.expect("a member commits what came later");
    drop(seat);
    drop(log);
    let log = restart.open().await;
    assert_eq!(sorted(log.committed(group, topic).await.expect("committed")), [at(0, 0), at(1, 0), at(2, 0)]);
    let mut seat = log.join(group, topic).await.expect("join again");
    let again = tokio::time::timeout(2 * SOON, seat.assigned.wait_for(|a| *a == Assigned::Reads(vec![0, 1, 2]))).await;
    assert!(again.is_ok_and(|a| a.is_ok()), "who left gives way: {seat:?}");
}

async fn concurrent_appends_are_all_there_once_and_whole(restart: &dyn Restart) {
    let topic = "conformance.concurrent";
    let log = restart.open().await;
    log.create(topic, 2).await.expect("create");
    let appends = (0..40).map(|i| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let records = (0..5).map(|j| payload(&format!("{i}/{j}"))).collect();
            let partition = i % 2;
            (i, partition, log.append(topic, partition, records).await.expect("append"))
        })
    });
    let mut firsts = BTreeSet::new();
    for append in appends.collect::<Vec<_>>() {
        let (i, partition, first) = append.await.expect("joined");
        assert!(firsts.insert((partition, first)), "two appends got one offset");
        let records = log.read(topic, at(partition, first), 1 << 20, NOW).await.expect("read").records;
        let expected: Vec<_> = (0..5).map(|j| format!("{i}/{j}")).collect();
        assert_eq!(payloads(&records[..5]), expected, "the records of one append are adjacent and in order");
    }
    assert_eq!(log.ends(topic).await.expect("ends"), [Ends { start: 0, end: 100 }; 2]);
    drop(log);
    let log = restart.open().await;
    for partition in 0..2 {
        let records = read_all(log.as_ref(), topic, partition, 0).await;
        assert_eq!(records.iter().map(|r| r.offset).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }
}

async fn trimming_never_drops_what_it_should_keep(restart: &dyn Restart) {
    let topic = "conformance.trim";
    let log = restart.open().await;
    log.create(topic, 2).await.expect("create");
    for i in 0..50 {
        log.append(topic, 0, vec![payload(&format!("{i:0100}"))]).await.expect("append");
    }
    log.trim(topic, &[at(0, 30), at(1, 0)]).await.expect("trim");
    drop(log);
    let log = restart.open().await;
    let ends = log.ends(topic).await.expect("ends");
    assert!(ends[0].start <= 30 && ends[0].end == 50, "{ends:?}");
    assert_eq!(ends[1], Ends { start: 0, end: 0 });
    let records = read_all(log.as_ref(), topic, 0, ends[0].start).await;
    assert_eq!(records.iter().map(|r| r.offset).collect::<Vec<_>>(), (ends[0].start..50).collect::<Vec<_>>());
    if ends[0].start > 0 {
        let gone = log.read(topic, at(0, 0), 1, NOW).await.expect_err("trimmed");
        assert_eq!(gone.kind(), ErrorKind::Invalid);
        assert!(gone.to_string().contains("partition 0"), "names the partition: {gone}");
    }
    assert_eq!(log.append(topic, 0, vec![payload("on")]).await.expect("append"), 50);
    log.trim(topic, &[at(0, 10)]).await.expect("trimming less than before");
    assert_eq!(log.ends(topic).await.expect("ends")[0].start, ends[0].start, "start never goes back");
}

async fn empty_and_large_records_come_back(restart: &dyn Restart) {
    let topic = "conformance.sizes";
    let log = restart.open().await;
    log.create(topic, 1).await.expect("create");
    let large = Bytes::from((0..900_000u32).map(|i| (i % 251) as u8).collect::<Vec<_>>());
    let records = vec![
        NewRecord::default(),
        NewRecord { payload: large.clone(), ..NewRecord::default() },
        NewRecord { key: Some(Bytes::new()), ..NewRecord::default() },
    ];
    log.append(topic, 0, records).await.expect("append");
    drop(log);
    let log = restart.open().await;
    let records = read_all(log.as_ref(), topic, 0, 0).await;
    assert_eq!(records.len(), 3);
    assert_eq!((&records[0].key, records[0].payload.len()), (&None, 0));
    assert_eq!(records[1].payload, large);
    assert_eq!((&records[2].key, records[2].payload.len()), (&Some(Bytes::new()), 0), "an empty key is a key");
}

const fn nothing(next: i64) -> Batch {
    Batch { records: Vec::new(), next }
}

const fn at(partition: i32, offset: i64) -> Position {
    Position { partition, offset }
}

fn payload(text: &str) -> NewRecord {
    NewRecord { payload: Bytes::copy_from_slice(text.as_bytes()), ..NewRecord::default() }
}

fn payloads(records: &[Record]) -> Vec<&str> {
    records.iter().map(|r| std::str::from_utf8(&r.payload).expect("text was appended")).collect()
}

fn sorted(mut positions: Vec<Position>) -> Vec<Position> {
    positions.sort_unstable();
    positions
}

async fn read_all(log: &dyn Log, topic: &str, partition: i32, from: i64) -> Vec<Record> {
    let mut all = Vec::new();
    let mut next = from;
    loop {
        let batch = log.read(topic, at(partition, next), 4_000, NOW).await.expect("read");
        if batch.next == next {
            return all;
        }
        next = batch.next;
        all.extend(batch.records);
    }
}
