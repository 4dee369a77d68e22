//! Appending: in order, acknowledged by all replicas, bounded in bytes.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::join_all;
use parking_lot::Mutex;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::future_producer::Delivery;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::util::Timeout;
use tokio::sync::Semaphore;

use super::client::Watch;
use super::credentials::Credentials;
use super::{REQUEST, refusal};
use crate::clock::Stopwatch;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::log::NewRecord;

/// The most bytes that wait for the broker, of all appends.
const BUDGET_KIB: usize = 64 << 10;
/// How long records are tried before their append fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Appends records. One client; a client that has failed for good, or was made with secrets of before, is replaced.
pub struct Producer {
    credentials: Arc<Credentials>,
    client: ArcSwap<Sending>,
    budget: Semaphore,
    /// Held while the records of one append are queued: they stay adjacent.
    queueing: Mutex<()>,
}

struct Sending {
    /// Of which secrets it was made.
    generation: u64,
    producer: FutureProducer<Watch>,
    watch: Watch,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Producer")
    }
}

impl Producer {
    pub fn open(credentials: &Arc<Credentials>) -> Result<Self> {
        Ok(Self {
            client: ArcSwap::from_pointee(Sending::open(credentials)?),
            credentials: Arc::clone(credentials),
            budget: Semaphore::new(BUDGET_KIB),
            queueing: Mutex::default(),
        })
    }

    /// The offset of the first; there must be one.
    pub async fn append(&self, topic: &str, partition: i32, records: &[NewRecord]) -> Result<i64> {
        let doing = || format!("append to {topic}/{partition}");
        let bytes: usize = records.iter().map(|r| r.payload.len() + r.key.as_ref().map_or(0, bytes::Bytes::len) + 128).sum();
        let share = u32::try_from(bytes.div_ceil(1024).min(BUDGET_KIB)).unwrap_or(u32::MAX);
        let _share = self.budget.acquire_many(share).await.map_err(|_| Error::internal("the producer's budget was closed"))?;
        let client = self.client()?;
        let start = Stopwatch::start();
        let (mut queued, mut refused) = (Vec::with_capacity(records.len()), None);
        {
            let _adjacent = self.queueing.lock();
            for record in records {
                match client.producer.send_result(outgoing(topic, partition, record)) {
                    Ok(delivery) => queued.push(delivery),
                    Err((e, _)) => {
                        refused = Some(e);
                        break;
                    }
                }
            }
        }
        // All of them are waited for: nothing of a failed append arrives after it was told.
        let mut first = None;
        for delivered in join_all(queued).await {
            match delivered {
                Ok(Ok(Delivery { offset, .. })) => first = first.or(Some(offset)),
                Ok(Err((e, _))) => refused = refused.or(Some(e)),
                Err(_closed) => return Err(Error::new(ErrorKind::Unavailable, "the producer was closed meanwhile")).context(doing),
            }
        }
        if let Some(e) = refused {
            return Err(refusal::of(&e, client.watch.trouble(start))).context(doing);
        }
        first.ok_or_else(|| Error::internal("an append without records")).context(doing)
    }

    /// Looks which partitions a topic has now: by itself the client does so every few minutes.
    pub async fn look_at(&self, topic: &str) -> Result<()> {
        let (client, topic) = (self.client()?, topic.to_owned());
        let asked = tokio::task::spawn_blocking(move || client.producer.client().fetch_metadata(Some(&topic), REQUEST).map(drop));
        asked.await.map_err(refusal::ended)?.map_err(|e| refusal::of(&e, None))
    }

    fn client(&self) -> Result<Arc<Sending>> {
        let client = self.client.load_full();
        if client.producer.client().fatal_error().is_none() && client.generation == self.credentials.generation() {
            return Ok(client);
        }
        // Appends that are under way hold the one before until they are delivered.
        let anew = Arc::new(Sending::open(&self.credentials)?);
        self.client.store(Arc::clone(&anew));
        Ok(anew)
    }
}

impl Sending {
    fn open(credentials: &Credentials) -> Result<Self> {
        // Before the files are read: what is mounted in between is noticed.
        let generation = credentials.generation();
        let watch = Watch::default();
        let mut config = credentials.connection().config()?;
        config
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            // Callers gather; what they hand over is to go now.
            .set("linger.ms", "0")
            .set("message.timeout.ms", PATIENCE.as_millis().to_string())
            // The budget bounds what waits; these are beyond it.
            .set("queue.buffering.max.kbytes", (4 * BUDGET_KIB).to_string())
            .set("queue.buffering.max.messages", "0")
            // Whether a record is too large is the topic's to say; a batch stays below what brokers take by default.
            .set("message.max.bytes", (64 << 20).to_string())
            .set("batch.size", "900000");
        let producer = FutureProducer::from_config_and_context(&config, watch.clone()).map_err(|e| refusal::of(&e, None))?;
        Ok(Self { generation, producer, watch })
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        // Appends hold the client until they are delivered: nothing is left.
        drop(self.producer.flush(Timeout::After(Duration::ZERO)));
    }
}

fn outgoing<'a>(topic: &'a str, partition: i32, record: &'a NewRecord) -> FutureRecord<'a, [u8], [u8]> {
    let NewRecord { key, payload, headers, timestamp } = record;
    FutureRecord {
        topic,
        partition: Some(partition),
        payload: Some(payload),
        key: key.as_deref(),
        timestamp: *timestamp,
        headers: (!headers.is_empty()).then(|| {
            let to = OwnedHeaders::new_with_capacity(headers.len());
            headers.iter().fold(to, |to, (key, value)| to.insert(Header { key, value: Some(value.as_ref()) }))
        }),
    }
}
