//! A place in one partition from which records are read on, and the consumer that it shares with others.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use parking_lot::Mutex;
use rdkafka::consumer::Consumer;
use rdkafka::consumer::stream_consumer::StreamPartitionQueue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::client::{Client, Watch};
use super::credentials::Credentials;
use super::{REQUEST, refusal};
use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::log::Record;

/// One consumer. It reads a partition at one place only, so a second reader of a partition needs another lane.
#[derive(Debug)]
pub struct Lane {
    /// Of which secrets it was made.
    pub generation: u64,
    client: Client,
    taken: Mutex<BTreeSet<(String, i32)>>,
}

/// A partition that one lane reads for one cursor. Dropping it gives it back.
pub struct Taken {
    lane: Arc<Lane>,
    topic: String,
    partition: i32,
}

/// Reads on from one offset.
pub struct Cursor {
    taken: Taken,
    pub topic: String,
    pub partition: i32,
    /// The offset of the next record, if nothing was skipped.
    pub next: i64,
    /// `None` once it is closed.
    queue: Option<StreamPartitionQueue<Watch>>,
    /// Since when it is used: complaints from before do not explain what happens now.
    opened: Stopwatch,
}

/// What a cursor came upon.
#[derive(Debug)]
pub enum Next {
    Record(Record),
    /// The end of the partition, some time ago.
    End,
    /// The position is outside what the partition holds; or the partition was added and this consumer does not know it yet.
    OutOfRange,
}

impl Lane {
    pub fn open(credentials: &Credentials) -> Result<Self> {
        let generation = credentials.generation();
        let mut config = credentials.connection().consumer()?;
        config
            // librdkafka wants one; nothing is committed in its name.
            .set("group.id", "tress.readers")
            .set("enable.partition.eof", "true")
            .set("fetch.min.bytes", "1")
            // A partition that is added waits for the fetch that is under way: not long.
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "50")
            .set("fetch.queue.backoff.ms", "20")
            .set("fetch.max.bytes", (16 << 20).to_string())
            // What is read ahead of each partition: librdkafka's 64 MB are far too many for a pod.
            .set("fetch.message.max.bytes", (1 << 20).to_string())
            .set("queued.max.messages.kbytes", "2048")
            .set("queued.min.messages", "10000")
            // A large record is read all the same.
            .set("receive.message.max.bytes", (100 << 20).to_string());
        Ok(Self { generation, client: Client::new(&config)?, taken: Mutex::default() })
    }

    pub fn idle(&self) -> bool {
        self.taken.lock().is_empty()
    }

    /// Takes the partition; `None` when this lane reads it already.
    pub fn take(lane: &Arc<Self>, topic: &str, partition: i32) -> Option<Taken> {
        let new = lane.taken.lock().insert((topic.to_owned(), partition));
        new.then(|| Taken { lane: Arc::clone(lane), topic: topic.to_owned(), partition })
    }
}

impl Taken {
    /// The end now: what this lane reads from here on is read up to there.
    pub async fn end(&self) -> Result<i64> {
        let wanted = place(&self.topic, self.partition, Offset::End)?;
        let asked = self.lane.client.blocking(move |consumer| {
            let found = consumer.offsets_for_times(wanted, REQUEST)?;
            let element = found.elements().into_iter().next().ok_or(KafkaError::OffsetFetch(Code::UnknownPartition))?;
            element.error()?;
            match element.offset() {
                Offset::Offset(end) => Ok(end),
                _ => Err(KafkaError::OffsetFetch(Code::OperationTimedOut)),
            }
        });
        asked.await
    }

    /// Lets this lane's consumer learn what partitions the topic has now: by itself it asks every few minutes.
    pub async fn look_again(&self) -> Result<()> {
        let topic = self.topic.clone();
        self.lane.client.blocking(move |consumer| consumer.fetch_metadata(Some(&topic), REQUEST).map(drop)).await
    }

    /// A cursor at this offset.
    pub async fn cursor(self, next: i64) -> Result<Cursor> {
        let lane = Arc::clone(&self.lane);
        let _turn = lane.client.turn().await?;
        tokio::task::spawn_blocking(move || self.open(next)).await.map_err(refusal::ended)?
    }

    /// Blocks for moments.
    fn open(self, next: i64) -> Result<Cursor> {
        let (topic, partition) = (self.topic.clone(), self.partition);
        let mut cursor = Cursor { taken: self, topic, partition, next, queue: None, opened: Stopwatch::start() };
        let consumer = &cursor.taken.lane.client.consumer;
        // The queue is split before the partition is fetched, so that nothing of it goes to the consumer's own queue.
        let queue = consumer.split_partition_queue(&cursor.topic, partition);
        let queue = queue.ok_or_else(|| Error::internal(format!("read {}/{partition}: librdkafka gives no queue", cursor.topic)))?;
        let from = place(&cursor.topic, partition, Offset::Offset(next))?;
        consumer.incremental_assign(&from).map_err(|e| refusal::of(&e, None))?;
        cursor.queue = Some(queue);
        Ok(cursor)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.lane.taken.lock().remove(&(std::mem::take(&mut self.topic), self.partition));
    }
}

impl Cursor {
    /// Of which secrets its lane was made.
    pub fn generation(&self) -> u64 {
        self.taken.lane.generation
    }

    /// What is here already.
    pub fn ready(&mut self) -> Result<Option<Next>> {
        let Some(queue) = &self.queue else { return Ok(None) };
        let Some(came) = queue.recv().now_or_never() else { return Ok(None) };
        let next = next_of(came);
        self.after(next).map(Some)
    }

    /// Waits for what comes next. Nothing is lost when the wait is given up.
    pub async fn wait(&mut self) -> Result<Next> {
        let Some(queue) = &self.queue else { return Err(Error::internal("a closed cursor is read")) };
        let next = next_of(queue.recv().await);
        self.after(next)
    }

    fn after(&mut self, next: Result<Next, KafkaError>) -> Result<Next> {
        match next {
            Ok(Next::Record(record)) => {
                self.next = record.offset + 1;
                Ok(Next::Record(record))
            }
            Ok(other) => Ok(other),
            Err(e) => Err(refusal::of(&e, self.taken.lane.client.watch.trouble(self.opened))),
        }
    }

    /// Why nothing comes.
    pub fn no_answer(&self) -> Error {
        refusal::of_code(Code::OperationTimedOut, self.taken.lane.client.watch.trouble(self.opened))
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        // First the queue, then the partition, then its place in the lane: whoever takes it next gets nothing that is left of this one.
        self.queue = None;
        if let Ok(list) = place(&self.topic, self.partition, Offset::Invalid)
            && let Err(e) = self.taken.lane.client.consumer.incremental_unassign(&list)
        {
            tracing::debug!(error = %e, "a partition was not given back");
        }
    }
}

fn place(topic: &str, partition: i32, offset: Offset) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, offset).map_err(|e| refusal::of(&e, None))?;
    Ok(list)
}

fn next_of(came: Result<BorrowedMessage<'_>, KafkaError>) -> Result<Next, KafkaError> {
    match came {
        Ok(message) => Ok(Next::Record(record(&message))),
        Err(KafkaError::PartitionEOF(_)) => Ok(Next::End),
        Err(e) => match e.rdkafka_error_code() {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::NoOffset | Code::UnknownPartition) => Ok(Next::OutOfRange),
            _ => Err(e),
        },
    }
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map_or_else(Vec::new, |all| {
        all.iter().map(|h| (h.key.to_owned(), h.value.map_or_else(Bytes::new, Bytes::copy_from_slice))).collect()
    });
    Record {
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or(0),
        key: message.key().map(Bytes::copy_from_slice),
        payload: message.payload().map_or_else(Bytes::new, Bytes::copy_from_slice),
        headers,
    }
}
