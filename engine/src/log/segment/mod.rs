//! A log in a folder of this machine.
//!
//! ```text
//! lock                                     one process at a time
//! log.json                                 who this log is
//! topics/<topic>/topic.json                its id and number of partitions; a folder without it is no topic
//! topics/<topic>/<partition>/acknowledged  how far the bytes are acknowledged
//! topics/<topic>/<partition>/checked       which segments need not be checked again
//! topics/<topic>/<partition>/<base>.segment
//! groups/<group>/<topic>.json              what the group committed
//! ```
//! Opening checks every byte that was not checked before: what was, when it is first read. What is acknowledged must be there and whole,
//! or it is a `Corrupt` error; what is beyond was torn by a kill, and is cut and counted.

mod acknowledged;
mod checked;
pub mod durable;
mod file;
mod folder;
mod groups;
mod open;
mod partition;
mod record;
#[cfg(test)]
mod tests;
mod topics;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::durable::Sync;
use self::folder::Folder;
use self::groups::Groups;
use self::topics::Topics;
use super::limits::{check_name, check_partitions, check_records, no_partition, no_topic, out_of_range};
use super::membership::Alone;
use super::{Batch, Ends, Log, Membership, NewRecord, NewTopic, Position, TopicId};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::faults;

/// How a local log writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub sync: Sync,
    /// A segment is not appended to once it has this many bytes.
    pub segment_bytes: u64,
    pub check: Check,
}

/// What opening reads and checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Segments that may have changed since they were checked last; others when they are first read.
    New,
    /// All.
    All,
}

impl Default for Settings {
    fn default() -> Self {
        Self { sync: Sync::EveryAppend, segment_bytes: 64 << 20, check: Check::New }
    }
}

/// A log in a folder. Dropping it waits for writes that are under way.
#[derive(Debug)]
pub struct LocalLog {
    folder: Arc<Folder>,
    topics: Arc<Topics>,
    groups: Arc<Groups>,
    members: Alone,
    torn_bytes: u64,
}

impl LocalLog {
    /// Opens the log in `folder`, making it if it is not there. Blocks: it reads what was written since it was last opened.
    ///
    /// # Errors
    /// `Conflict` when another process has it open; `Corrupt`, naming the file, when something acknowledged is missing or damaged.
    pub fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::open_with(folder, clock, Settings::default())
    }

    /// The same, with settings.
    ///
    /// # Errors
    /// As [`LocalLog::open`].
    pub fn open_with(folder: &Path, clock: Arc<dyn Clock>, settings: Settings) -> Result<Self> {
        let folder = Arc::new(Folder::open(folder, clock, settings)?);
        let groups = Arc::new(Groups::open(Arc::clone(&folder))?);
        let (topics, torn_bytes) = Topics::open(Arc::clone(&folder))?;
        Ok(Self { folder, topics: Arc::new(topics), groups, members: Alone::default(), torn_bytes })
    }

    /// Bytes of torn appends that opening cut.
    #[must_use]
    pub const fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// Runs work that touches files where blocking is allowed.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let under_way = self.folder.work();
        let carried = faults::carry(move || {
            let done = work();
            drop(under_way);
            done
        });
        tokio::task::spawn_blocking(carried).await.map_err(|e| Error::internal("the log's file work failed").with_source(e))?
    }
}

impl Drop for LocalLog {
    fn drop(&mut self) {
        self.folder.let_go();
    }
}

#[async_trait]
impl Log for LocalLog {
    async fn make(&self, topic: &str, NewTopic { partitions, .. }: NewTopic) -> Result<()> {
        check_name("topic", topic)?;
        check_partitions(topic, partitions)?;
        let (topics, name) = (Arc::clone(&self.topics), topic.to_owned());
        self.blocking(move || topics.create(&name, partitions)).await?;
        self.members.grown(topic, self.topics.get(topic)?.partitions.len());
        Ok(())
    }

    async fn delete(&self, topic: &str) -> Result<()> {
        check_name("topic", topic)?;
        let (topics, groups, topic) = (Arc::clone(&self.topics), Arc::clone(&self.groups), topic.to_owned());
        self.blocking(move || {
            topics.delete(&topic)?;
            groups.forget(&topic)
        })
        .await
    }

    async fn forget(&self, group: &str) -> Result<()> {
        check_name("group", group)?;
        let (groups, group) = (Arc::clone(&self.groups), group.to_owned());
        self.blocking(move || groups.delete(&group)).await
    }

    async fn id(&self, topic: &str) -> Result<TopicId> {
        Ok(TopicId { cluster: self.folder.cluster(), topic: self.topics.get(topic)?.id.clone() })
    }

    async fn ends(&self, topic: &str) -> Result<Vec<Ends>> {
        self.topics.get(topic)?.partitions.iter().map(|p| p.ends().ok_or_else(|| no_topic(topic))).collect()
    }

    async fn append(&self, topic: &str, partition: i32, records: Vec<NewRecord>) -> Result<i64> {
        check_records(topic, &records)?;
        let partition = self.topics.get(topic)?.partition(topic, partition)?;
        partition.append(records).await
    }

    async fn read(&self, topic: &str, from: Position, max_bytes: usize, wait: Duration) -> Result<Batch> {
        let partition = self.topics.get(topic)?.partition(topic, from.partition)?;
        let inside = |ends: Option<Ends>| match ends {
            None => Err(no_topic(topic)),
            Some(ends) if from.offset < ends.start || from.offset > ends.end => Err(out_of_range(topic, from, ends)),
            Some(ends) => Ok(ends),
        };
        let mut ends = inside(partition.ends())?;
        if from.offset == ends.end {
            ends = inside(partition.wait(from.offset, wait).await)?;
        }
        if from.offset == ends.end {
            return Ok(Batch { records: Vec::new(), next: from.offset });
        }
        let read = Arc::clone(&partition);
        let records = self.blocking(move || read.read(from.offset, max_bytes)).await?;
        // Every offset of this log holds a record.
        match (records.first(), records.last()) {
            (Some(first), Some(last)) if first.offset == from.offset => Ok(Batch { next: last.offset + 1, records }),
            _ => {
                // It was trimmed in between: said, never skipped.
                inside(partition.ends())?;
                Err(Error::internal(format!("read topic {topic} partition {}: no record at {}", from.partition, from.offset)))
            }
        }
    }

    async fn trim(&self, topic: &str, before: &[Position]) -> Result<()> {
        let found = self.topics.get(topic)?;
        let partitions: Result<Vec<_>> = before.iter().map(|p| Ok((found.partition(topic, p.partition)?, p.offset))).collect();
        let partitions = partitions?;
        self.blocking(move || partitions.into_iter().try_for_each(|(partition, offset)| partition.trim(offset))).await
    }

    async fn commit(&self, group: &str, topic: &str, positions: &[Position]) -> Result<()> {
        check_name("group", group)?;
        let found = self.topics.get(topic)?;
        if let Some(p) = positions.iter().find(|p| found.partition(topic, p.partition).is_err()) {
            return Err(no_partition(topic, p.partition));
        }
        let (groups, group, topic, positions) = (Arc::clone(&self.groups), group.to_owned(), topic.to_owned(), positions.to_vec());
        self.blocking(move || groups.commit(&group, (&topic, &found.id), &positions)).await
    }

    async fn join(&self, group: &str, topic: &str) -> Result<Membership> {
        check_name("group", group)?;
        Ok(self.members.join(topic, self.topics.get(topic)?.partitions.len()))
    }

    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<Position>> {
        check_name("group", group)?;
        let found = self.topics.get(topic)?;
        let (groups, group, topic) = (Arc::clone(&self.groups), group.to_owned(), topic.to_owned());
        self.blocking(move || groups.committed(&group, (&topic, &found.id))).await
    }
}
