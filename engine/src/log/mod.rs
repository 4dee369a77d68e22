//! The seam to the log of records: Kafka on a cluster, segment files on one machine.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod limits;
mod membership;
pub mod memory;
pub mod segment;

#[cfg(feature = "kafka")]
pub use kafka::KafkaLog;
pub use membership::{Assigned, Membership};
pub use memory::MemoryLog;
pub use segment::LocalLog;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// A record to append.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewRecord {
    pub key: Option<Bytes>,
    pub payload: Bytes,
    pub headers: Vec<(String, Bytes)>,
    /// Milliseconds since 1970; `None` = the log stamps it, once, at append.
    pub timestamp: Option<i64>,
}

/// A record as it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    pub key: Option<Bytes>,
    pub payload: Bytes,
    pub headers: Vec<(String, Bytes)>,
}

/// What a read found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Every record from where was read up to `next`, in order.
    pub records: Vec<Record>,
    /// Where to read on. Also without records it may lie further on: offsets between hold none (marks of transactions, what was
    /// aborted, what compaction removed). Where was read itself = nothing is there yet.
    pub next: i64,
}

/// The offsets that a partition holds: from `start` up to, but not, `end`. What an open transaction wrote, and all behind it, is not
/// held yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    pub start: i64,
    pub end: i64,
}

/// A place in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
}

/// A topic to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTopic {
    pub partitions: i32,
    /// How long records are kept at least; `None` = as the log has it. A log on one machine keeps them until they are trimmed.
    pub retention: Option<Duration>,
    /// On how many brokers each partition is; `None` = as the log has it.
    pub replicas: Option<i16>,
}

impl NewTopic {
    /// With that many partitions, and as the log has it otherwise.
    #[must_use]
    pub const fn of(partitions: i32) -> Self {
        Self { partitions, retention: None, replicas: None }
    }
}

/// Who a topic is: a topic that was deleted and created again has another id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicId {
    pub cluster: String,
    pub topic: String,
}

/// A partitioned, durable, append-only log.
///
/// # Contract
/// - *Durability*: when `append` returns, its records survive a kill of this process and are read by everyone. An `append` that
///   failed may have stored all, some or none of its records.
/// - *Order*: offsets of a partition rise, by one unless some hold no records; records of one `append` are in order, and adjacent
///   unless another process appends to the partition meanwhile.
/// - *Reading* does not consume. `read` waits up to `wait` when there is nothing at `from`, then returns no records. Who goes on at
///   `next` comes to the end, and misses nothing: what an open transaction holds back is beyond the end until it is committed.
///   Below `start` it is an `Invalid` error that names the partition: what was retained away is never skipped in silence.
///   Beyond `end` it is one too: such a position belongs to another topic.
/// - *Groups*: `commit` replaces what a group had for those partitions, atomically per partition and durably. A process that has
///   joined the group commits as its member: a partition that belongs to another member by now is a `Conflict`. To others a group
///   that has members is one too.
/// - *Retries*: every call may be repeated.
#[async_trait]
pub trait Log: Send + Sync + std::fmt::Debug {
    /// Makes a topic unless it is there. An existing topic with fewer partitions gains the missing ones; otherwise it stays as it is.
    async fn make(&self, topic: &str, new: NewTopic) -> Result<()>;
    /// Makes a topic as the log has it.
    async fn create(&self, topic: &str, partitions: i32) -> Result<()> {
        self.make(topic, NewTopic::of(partitions)).await
    }
    /// Deletes a topic and everything committed for it; it is fine if there is none.
    async fn delete(&self, topic: &str) -> Result<()>;
    /// Deletes a group and everything it committed; it is fine if there is none. `Conflict` while it has members.
    async fn forget(&self, group: &str) -> Result<()>;
    /// `NotFound` when there is no such topic.
    async fn id(&self, topic: &str) -> Result<TopicId>;
    /// By partition, from 0 on. `NotFound` when there is no such topic.
    async fn ends(&self, topic: &str) -> Result<Vec<Ends>>;
    /// Appends and returns the offset of the first.
    async fn append(&self, topic: &str, partition: i32, records: Vec<NewRecord>) -> Result<i64>;
    /// Up to about `max_bytes` of records from `from` on, at least one if there is one.
    async fn read(&self, topic: &str, from: Position, max_bytes: usize, wait: Duration) -> Result<Batch>;
    /// Drops records before each position, as far as whole files allow.
    async fn trim(&self, topic: &str, before: &[Position]) -> Result<()>;
    async fn commit(&self, group: &str, topic: &str, positions: &[Position]) -> Result<()>;
    /// Takes a seat in a group, whose members share out the partitions of the topic, also those that are added later. A process takes
    /// one seat of a group at a time. Reading is as ever: a member reads what it was assigned.
    async fn join(&self, group: &str, topic: &str) -> Result<Membership>;
    /// What the group last committed, by partition; partitions without a commit are absent.
    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<Position>>;
}
