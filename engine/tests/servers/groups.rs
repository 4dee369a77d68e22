//! Several processes that share the partitions of a topic.

use std::collections::BTreeSet;
use std::time::Duration;

use tress_engine::ErrorKind;
use tress_engine::log::kafka::Connection;
use tress_engine::log::{Assigned, KafkaLog, Log, Membership, Position};

use crate::broker::{connection, name};
use crate::server::Server;

async fn until(what: &str, seats: &mut [&mut Membership], wanted: impl Fn(&[BTreeSet<i32>]) -> bool) -> Vec<BTreeSet<i32>> {
    for _ in 0..1200 {
        let held: Vec<BTreeSet<i32>> = seats
            .iter()
            .map(|seat| match &*seat.assigned.borrow() {
                Assigned::Reads(partitions) => partitions.iter().copied().collect(),
                _ => BTreeSet::new(),
            })
            .collect();
        if wanted(&held) {
            return held;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: {seats:?}")
}

/// Two processes share six partitions, nobody commits what is another's, and who leaves is taken over from where it was.
async fn two_share(connection: Connection) {
    let (first, second) = (KafkaLog::open(connection.clone()).unwrap(), KafkaLog::open(connection.clone()).unwrap());
    let (topic, group) = (name("shared"), name("sharing"));
    first.create(&topic, 6).await.unwrap();
    let all: BTreeSet<i32> = (0..6).collect();
    let mut one = first.join(&group, &topic).await.unwrap();
    until("one has all", &mut [&mut one], |held| held[0] == all).await;
    let mut two = second.join(&group, &topic).await.unwrap();
    let shared = |held: &[BTreeSet<i32>]| {
        !held[0].is_empty() && !held[1].is_empty() && held[0].is_disjoint(&held[1]) && held[0].union(&held[1]).eq(&all)
    };
    let held = until("two share", &mut [&mut one, &mut two], shared).await;
    let at = |partition: i32| [Position { partition, offset: 0 }];
    let (of_one, of_two) = (*held[0].first().unwrap(), *held[1].first().unwrap());
    first.commit(&group, &topic, &at(of_one)).await.unwrap();
    second.commit(&group, &topic, &at(of_two)).await.unwrap();
    let late = first.commit(&group, &topic, &at(of_two)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict, "{late}");
    let stranger = KafkaLog::open(connection).unwrap();
    let refused = stranger.commit(&group, &topic, &at(of_one)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    tokio::task::spawn_blocking(|| drop(one)).await.unwrap();
    until("two has all", &mut [&mut two], |held| held[0] == all).await;
    second.commit(&group, &topic, &at(of_one)).await.unwrap();
    let mut committed: Vec<i32> = stranger.committed(&group, &topic).await.unwrap().into_iter().map(|p| p.partition).collect();
    committed.sort_unstable();
    let mut expected = vec![of_one, of_two];
    expected.sort_unstable();
    assert_eq!(committed, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_a_topic_as_the_broker_says() {
    two_share(connection()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_a_topic_among_themselves_where_the_broker_is_older() {
    let server = tokio::task::spawn_blocking(|| {
        Server::start_with("kafka", vec![("TRESS_KAFKA_SETTINGS", "group.coordinator.rebalance.protocols=classic")])
    });
    let server = server.await.unwrap();
    two_share(Connection::plain(server.tell("bootstrap"))).await;
}
