//! Appending: in order, acknowledged by all replicas, bounded in bytes.
//!
//! ```text
//! append ─▶ its partition's turn ─▶ librdkafka ─▶ one request ─▶ answer ─▶ all appends that were in it are told ─▶ the next turn
//! ```

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::util::Timeout;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::client::Watch;
use super::credentials::Credentials;
use super::delivery::{Deliveries, Delivery, Outcome};
use super::turns::{Place, Turn, Turns};
use super::{REQUEST, refusal};
use crate::clock::Stopwatch;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::log::NewRecord;

/// The most bytes that wait for the broker, of all appends.
const BUDGET_KIB: usize = 64 << 10;
/// How long records are tried before their append fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most bytes of a request: below what brokers take by default.
const BATCH_BYTES: usize = 900_000;

/// Appends records. One client; a client that has failed for good, or was made with secrets of before, is replaced.
pub struct Producer {
    sender: Arc<Sender>,
    budget: Arc<Semaphore>,
}

struct Sender {
    credentials: Arc<Credentials>,
    client: ArcSwap<Sending>,
    turns: Turns<Waiting>,
}

struct Waiting {
    records: Arc<[NewRecord]>,
    told: oneshot::Sender<Result<i64>>,
    /// Of the budget, until it is told.
    share: OwnedSemaphorePermit,
}

struct Sending {
    /// Of which secrets it was made.
    generation: u64,
    producer: ThreadedProducer<Deliveries>,
    watch: Watch,
}

/// An append of which the client has all records.
struct Sent {
    client: Arc<Sending>,
    since: Stopwatch,
    outcome: oneshot::Receiver<Outcome>,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Producer")
    }
}

impl Producer {
    pub fn open(credentials: &Arc<Credentials>) -> Result<Self> {
        let client = ArcSwap::from_pointee(Sending::open(credentials)?);
        let sender = Sender { credentials: Arc::clone(credentials), client, turns: Turns::default() };
        Ok(Self { sender: Arc::new(sender), budget: Arc::new(Semaphore::new(BUDGET_KIB)) })
    }

    /// The offset of the first; there must be one.
    pub async fn append(&self, topic: &str, partition: i32, records: Arc<[NewRecord]>) -> Result<i64> {
        let doing = || format!("append to {topic}/{partition}");
        let bytes: usize = records.iter().map(|r| r.payload.len() + r.key.as_ref().map_or(0, bytes::Bytes::len) + 128).sum();
        let share = u32::try_from(bytes.div_ceil(1024).min(BUDGET_KIB)).unwrap_or(u32::MAX);
        let share = Arc::clone(&self.budget).acquire_many_owned(share).await;
        let share = share.map_err(|_| Error::internal("the producer's budget was closed"))?;
        let (place, (told, outcome)) = ((topic.to_owned(), partition), oneshot::channel());
        if self.sender.turns.wait(&place, bytes, Waiting { records, told, share }) == Turn::Mine {
            // A task of its own: an append that is given up must not leave others waiting.
            tokio::spawn(Arc::clone(&self.sender).send_all(place));
        }
        outcome.await.map_err(|_closed| closed()).flatten().context(doing)
    }

    /// Looks which partitions a topic has now: by itself the client does so every few minutes.
    pub async fn look_at(&self, topic: &str) -> Result<()> {
        let (client, topic) = (self.sender.client()?, topic.to_owned());
        let asked = tokio::task::spawn_blocking(move || client.producer.client().fetch_metadata(Some(&topic), REQUEST).map(drop));
        asked.await.map_err(refusal::ended)?.map_err(|e| refusal::of(&e, None))
    }
}

impl Sender {
    /// Sends what waits for a partition, until nothing does.
    async fn send_all(self: Arc<Self>, place: Place) {
        while let Some(appends) = self.turns.next(&place, BATCH_BYTES) {
            let sent: Vec<_> = appends.into_iter().map(|append| (self.send(&place, &append.records), append)).collect();
            for (sent, Waiting { told, share, .. }) in sent {
                let outcome = match sent {
                    Ok(sent) => sent.outcome().await,
                    Err(e) => Err(e),
                };
                drop(share);
                // Whoever asked may be gone.
                drop(told.send(outcome));
            }
        }
    }

    fn send(&self, (topic, partition): &Place, records: &[NewRecord]) -> Result<Sent> {
        let client = self.client()?;
        let since = Stopwatch::start();
        let (delivery, outcome) = Delivery::of(records.len());
        let mut refused = None;
        for (queued, record) in records.iter().enumerate() {
            if let Err((e, _)) = client.producer.send(outgoing((topic, *partition), record, Arc::clone(&delivery))) {
                refused = Some((records.len() - queued, e));
                break;
            }
        }
        delivery.queued(refused);
        Ok(Sent { client, since, outcome })
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

impl Sent {
    /// All records are waited for: nothing of a failed append arrives after it was told.
    async fn outcome(self) -> Result<i64> {
        match self.outcome.await {
            Ok(Outcome { refused: Some(e), .. }) => Err(refusal::of(&e, self.client.watch.trouble(self.since))),
            Ok(Outcome { first: Some(first), .. }) => Ok(first),
            Ok(_) => Err(Error::internal("an append without records")),
            Err(_closed) => Err(closed()),
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the producer was closed meanwhile")
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
            // Callers gather. What one hands over is to be one request: without this moment the first records leave alone, and the others
            // have to wait until those are acknowledged.
            .set("linger.ms", "1")
            .set("message.timeout.ms", PATIENCE.as_millis().to_string())
            // The budget bounds what waits; these are beyond it.
            .set("queue.buffering.max.kbytes", (4 * BUDGET_KIB).to_string())
            .set("queue.buffering.max.messages", "0")
            // Whether a record is too large is the topic's to say; a batch stays below what brokers take by default.
            .set("message.max.bytes", (64 << 20).to_string())
            .set("batch.size", BATCH_BYTES.to_string());
        let producer = ThreadedProducer::from_config_and_context(&config, Deliveries(watch.clone())).map_err(|e| refusal::of(&e, None))?;
        Ok(Self { generation, producer, watch })
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        // Appends hold the client until they are delivered: nothing is left.
        drop(self.producer.flush(Timeout::After(Duration::ZERO)));
    }
}

fn outgoing<'a>(
    (topic, partition): (&'a str, i32),
    record: &'a NewRecord,
    delivery: Arc<Delivery>,
) -> BaseRecord<'a, [u8], [u8], Arc<Delivery>> {
    let NewRecord { key, payload, headers, timestamp } = record;
    BaseRecord {
        topic,
        partition: Some(partition),
        payload: Some(payload),
        key: key.as_deref(),
        timestamp: *timestamp,
        headers: (!headers.is_empty()).then(|| {
            let to = OwnedHeaders::new_with_capacity(headers.len());
            headers.iter().fold(to, |to, (key, value)| to.insert(Header { key, value: Some(value.as_ref()) }))
        }),
        delivery_opaque: delivery,
    }
}
