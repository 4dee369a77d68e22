//! A producer that writes in transactions, as other programs do: the engine itself does not.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(30);

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Commit,
    Abort,
}

/// Writes to the shared Kafka. The first record after an end begins a transaction.
pub struct Transactions {
    producer: FutureProducer,
    /// Sees also what is not committed.
    looking: std::sync::Arc<BaseConsumer>,
    /// The partitions that the open transaction wrote to.
    wrote: BTreeSet<(String, i32)>,
    open: bool,
}

impl Transactions {
    pub async fn new(id: String) -> Self {
        let client = |setting: &str, value: &str| {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", Server::kafka().tell("bootstrap")).set(setting, value);
            config
        };
        let producer: FutureProducer = client("transactional.id", &id).create().expect("a producer");
        let looking: BaseConsumer = client("isolation.level", "read_uncommitted").create().expect("a consumer");
        let made = producer.clone();
        tokio::task::spawn_blocking(move || made.init_transactions(PATIENCE)).await.expect("joined").expect("transactions");
        Self { producer, looking: std::sync::Arc::new(looking), wrote: BTreeSet::new(), open: false }
    }

    /// Returns when the broker has them.
    pub async fn send(&mut self, topic: &str, partition: i32, payloads: &[&str]) {
        if !std::mem::replace(&mut self.open, true) {
            self.producer.begin_transaction().expect("begin");
        }
        self.wrote.insert((topic.to_owned(), partition));
        for payload in payloads {
            let record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(topic).partition(partition).payload(payload.as_bytes());
            self.producer.send(record, PATIENCE).await.expect("sent");
        }
    }

    /// Returns when its marks are written, which brokers do after they have answered.
    pub async fn end(&mut self, how: End) {
        self.open = false;
        let (producer, looking, wrote) = (self.producer.clone(), self.looking.clone(), std::mem::take(&mut self.wrote));
        let ended = tokio::task::spawn_blocking(move || {
            let end = |(topic, partition): &(String, i32)| looking.fetch_watermarks(topic, *partition, PATIENCE).expect("ends").1;
            let before: Vec<i64> = wrote.iter().map(end).collect();
            match how {
                End::Commit => producer.commit_transaction(PATIENCE).expect("committed"),
                End::Abort => producer.abort_transaction(PATIENCE).expect("aborted"),
            }
            let began = Instant::now();
            while wrote.iter().map(end).zip(&before).any(|(now, before)| now <= *before) {
                assert!(began.elapsed() < PATIENCE, "no marks were written");
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        ended.await.expect("joined");
    }
}
