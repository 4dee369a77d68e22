//! A log in Apache Kafka.
//!
//! ```text
//! append ─▶ producer ─────────▶ broker      idempotent, acks=all, bounded in bytes
//! read ───▶ cursors ─▶ lanes ─▶ broker      a consumer per lane, a queue per partition, positions of our own
//! ends, id, create … ─▶ topics ▶ broker
//! join ───▶ seat ─────────────▶ broker      who reads what; the records come by `read`
//! commit, committed ─▶ groups ─▶ broker     positions carry the topic's id, so that another topic's are not taken for its own
//! ```

mod client;
mod connection;
mod credentials;
mod cursor;
mod cursors;
mod delivery;
mod describe;
mod epoch;
mod groups;
mod member;
mod produce;
mod refusal;
mod topics;
mod turns;

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

pub use self::connection::{ClientCertificate, Connection, Mechanism, MissingTopics, Sasl, Tls};
use self::credentials::Credentials;
use self::cursors::Cursors;
use self::groups::Groups;
use self::member::Seat;
use self::produce::Producer;
use self::topics::Topics;
use super::limits::{check_name, check_partitions, check_records};
use super::{Batch, Ends, Log, Membership, NewRecord, NewTopic, Position, TopicId};
use crate::error::{ErrorKind, Result};

/// How long one request may take before the broker counts as not answering.
const REQUEST: Duration = Duration::from_secs(10);

/// A log in Apache Kafka. Opening it talks to nobody; each call says when the broker does not answer.
#[derive(Debug)]
pub struct KafkaLog {
    topics: Arc<Topics>,
    producer: Producer,
    cursors: Cursors,
    groups: Groups,
    credentials: Arc<Credentials>,
    /// Of this process.
    seats: Mutex<Vec<Weak<Seat>>>,
}

impl KafkaLog {
    /// A log at this address. Needs a Tokio runtime.
    ///
    /// # Errors
    /// `Invalid` when a setting cannot be; `NotFound` when a file of a secret is not there.
    pub fn open(connection: Connection) -> Result<Self> {
        let credentials = Arc::new(Credentials::of(connection));
        let topics = Arc::new(Topics::open(&credentials)?);
        Ok(Self {
            producer: Producer::open(&credentials)?,
            cursors: Cursors::new(Arc::clone(&credentials), Arc::clone(&topics)),
            groups: Groups::new(Arc::clone(&credentials)),
            topics,
            credentials,
            seats: Mutex::default(),
        })
    }
}

#[async_trait]
impl Log for KafkaLog {
    async fn make(&self, topic: &str, new: NewTopic) -> Result<()> {
        check_name("topic", topic)?;
        check_partitions(topic, new.partitions)?;
        self.topics.create(topic, new).await
    }

    async fn delete(&self, topic: &str) -> Result<()> {
        check_name("topic", topic)?;
        self.cursors.forget(topic);
        self.topics.delete(topic).await
    }

    async fn forget(&self, group: &str) -> Result<()> {
        check_name("group", group)?;
        self.groups.forget(group);
        self.topics.delete_group(group).await
    }

    async fn id(&self, topic: &str) -> Result<TopicId> {
        self.topics.id(topic).await
    }

    async fn ends(&self, topic: &str) -> Result<Vec<Ends>> {
        self.topics.ends(topic).await
    }

    async fn append(&self, topic: &str, partition: i32, records: Vec<NewRecord>) -> Result<i64> {
        check_records(topic, &records)?;
        self.topics.has(topic, partition).await?;
        if records.is_empty() {
            return Ok(self.topics.ends_of(topic, partition).await?.end);
        }
        let records: Arc<[NewRecord]> = records.into();
        let refused = match self.producer.append(topic, partition, Arc::clone(&records)).await {
            Ok(first) => return Ok(first),
            Err(e) => e,
        };
        // Whether it is still there is asked again.
        self.topics.forget(topic);
        if refused.kind() != ErrorKind::NotFound {
            return Err(refused);
        }
        self.topics.has(topic, partition).await?;
        // It is: the producer has not heard of it yet.
        self.producer.look_at(topic).await?;
        self.producer.append(topic, partition, records).await
    }

    async fn read(&self, topic: &str, from: Position, max_bytes: usize, wait: Duration) -> Result<Batch> {
        self.cursors.read(topic, from, max_bytes, wait).await
    }

    async fn trim(&self, topic: &str, before: &[Position]) -> Result<()> {
        self.topics.trim(topic, before).await
    }

    async fn commit(&self, group: &str, topic: &str, positions: &[Position]) -> Result<()> {
        check_name("group", group)?;
        let seat = self.seats.lock().iter().filter_map(Weak::upgrade).find(|s| s.group == group && s.reads(topic));
        if let Some(seat) = seat {
            return seat.commit(positions).await;
        }
        let id = self.topics.known_id(topic).await?;
        self.groups.commit(group, (topic, &id.topic), positions).await
    }

    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<Position>> {
        check_name("group", group)?;
        let id = self.topics.id(topic).await?;
        let partitions = self.topics.partitions(topic).await?;
        self.groups.committed(group, (topic, &id.topic), partitions).await
    }

    async fn join(&self, group: &str, topic: &str) -> Result<Membership> {
        check_name("group", group)?;
        let id = self.topics.id(topic).await?;
        let seat = Arc::new(Seat::take(&self.credentials, group, (topic, id.topic))?);
        let mut seats = self.seats.lock();
        seats.retain(|s| s.strong_count() > 0);
        seats.push(Arc::downgrade(&seat));
        Ok(Membership::new(seat.assigned(), Arc::clone(&seat), seat.left()))
    }
}
