//! Against a broker that librdkafka plays: it counts requests by refusing the ones that are named.

use bytes::Bytes;
use futures::future::join_all;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;
use crate::log::kafka::Connection;
use crate::log::{KafkaLog, Log};

/// For good, and of this request only.
const REFUSED: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE;

fn played() -> (MockCluster<'static, DefaultProducerContext>, KafkaLog) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 2, 1).unwrap();
    let log = KafkaLog::open(Connection::plain(cluster.bootstrap_servers())).unwrap();
    (cluster, log)
}

fn records(count: usize) -> Vec<NewRecord> {
    (0..count).map(|n| NewRecord { payload: Bytes::from(format!("{n}")), ..NewRecord::default() }).collect()
}

async fn end(log: &KafkaLog) -> i64 {
    log.ends("t").await.unwrap()[0].end
}

#[tokio::test(flavor = "multi_thread")]
async fn the_records_of_one_append_are_one_request() {
    let (cluster, log) = played();
    assert_eq!(log.append("t", 0, records(1)).await.unwrap(), 0);
    for _ in 0..20 {
        let before = end(&log).await;
        cluster.request_errors(RDKafkaApiKey::Produce, &[REFUSED]);
        assert_eq!(log.append("t", 0, records(50)).await.unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(end(&log).await, before, "some of them were in another request, which was not refused");
        assert_eq!(log.append("t", 0, records(3)).await.unwrap(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_that_come_while_one_is_under_way_are_one_request_and_each_learns_its_offset() {
    let (cluster, log) = played();
    let log = Arc::new(log);
    log.append("t", 0, records(1)).await.unwrap();
    cluster.broker_round_trip_time(1, Duration::from_millis(1000)).unwrap();
    let append = |count: usize| {
        let log = Arc::clone(&log);
        tokio::spawn(async move { log.append("t", 0, records(count)).await })
    };
    let first = append(7);
    // It is on its way by then, and will be for a while.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let others = join_all((1..=20).map(append)).await;
    assert_eq!(first.await.unwrap().unwrap(), 1);
    let mut expected = 8;
    let mut starts: Vec<(i64, i64)> = others.into_iter().zip(1..).map(|(start, count)| (start.unwrap().unwrap(), count)).collect();
    starts.sort_unstable();
    for (start, count) in starts {
        assert_eq!(start, expected, "each has its records in a row");
        expected += count;
    }
    let first = append(7);
    tokio::time::sleep(Duration::from_millis(300)).await;
    cluster.request_errors(RDKafkaApiKey::Produce, &[REFUSED]);
    let others = join_all((1..=20).map(append)).await;
    assert!(others.into_iter().all(|other| other.unwrap().is_err()), "all were in the request that was refused");
    assert_eq!(first.await.unwrap().unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_is_given_up_leaves_no_other_waiting() {
    let (cluster, log) = played();
    log.append("t", 0, records(1)).await.unwrap();
    cluster.broker_round_trip_time(1, Duration::from_millis(200)).unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(50), log.append("t", 0, records(10))).await;
    assert!(given_up.is_err());
    assert_eq!(log.append("t", 0, records(1)).await.unwrap(), 11, "what was sent is stored all the same, and before it");
}
