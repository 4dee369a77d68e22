//! A log in memory: for tests, and for reading a few records through the same modules. Nothing survives the process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::limits::{check_name, check_partitions, check_records, no_partition, no_topic, out_of_range};
use super::membership::Alone;
use super::{Batch, Ends, Log, Membership, NewRecord, NewTopic, Position, Record, TopicId};
use crate::clock::Clock;
use crate::error::Result;

/// Keeps records in memory.
#[derive(Debug)]
pub struct MemoryLog {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    groups: Alone,
}

#[derive(Debug, Default)]
struct State {
    created: u64,
    topics: BTreeMap<String, Topic>,
    /// By group and topic, then partition.
    committed: BTreeMap<(String, String), BTreeMap<i32, i64>>,
}

#[derive(Debug)]
struct Topic {
    id: String,
    partitions: Vec<Partition>,
}

#[derive(Debug)]
struct Partition {
    records: VecDeque<Record>,
    stamped: i64,
    ends: watch::Sender<Ends>,
}

impl MemoryLog {
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default(), groups: Alone::default() }
    }

    /// Leaves offsets at the end of a partition without records, as marks of transactions do.
    ///
    /// # Errors
    /// `NotFound` when there is no such partition.
    #[cfg(any(test, feature = "conformance"))]
    pub fn leave_out(&self, topic: &str, partition: i32, offsets: i64) -> Result<()> {
        self.state.lock().partition(topic, partition)?.ends.send_modify(|ends| ends.end += offsets);
        Ok(())
    }
}

impl State {
    fn topic(&mut self, topic: &str) -> Result<&mut Topic> {
        self.topics.get_mut(topic).ok_or_else(|| no_topic(topic))
    }

    fn partition(&mut self, topic: &str, partition: i32) -> Result<&mut Partition> {
        let partitions = &mut self.topic(topic)?.partitions;
        let index = usize::try_from(partition).ok();
        index.and_then(|p| partitions.get_mut(p)).ok_or_else(|| no_partition(topic, partition))
    }
}

impl Partition {
    fn new() -> Self {
        Self { records: VecDeque::new(), stamped: i64::MIN, ends: watch::Sender::new(Ends { start: 0, end: 0 }) }
    }

    /// Records from `offset` on, at least one if there is one.
    fn read(&self, offset: i64, max_bytes: usize) -> Batch {
        let first = self.records.partition_point(|r| r.offset < offset);
        let mut bytes = 0;
        let mut read = Vec::new();
        for record in self.records.iter().skip(first) {
            if !read.is_empty() && (bytes >= max_bytes || bytes + record.payload.len() > max_bytes) {
                break;
            }
            bytes += record.payload.len();
            read.push(record.clone());
        }
        let next = read.last().map_or(self.ends.borrow().end, |last: &Record| last.offset + 1);
        Batch { records: read, next }
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn make(&self, topic: &str, NewTopic { partitions, .. }: NewTopic) -> Result<()> {
        check_name("topic", topic)?;
        check_partitions(topic, partitions)?;
        let mut state = self.state.lock();
        let id = state.created;
        state.created += 1;
        let made = state.topics.entry(topic.to_owned()).or_insert_with(|| Topic { id: format!("{id:032x}"), partitions: Vec::new() });
        let count = usize::try_from(partitions).expect("checked above");
        while made.partitions.len() < count {
            made.partitions.push(Partition::new());
        }
        self.groups.grown(topic, made.partitions.len());
        Ok(())
    }

    async fn delete(&self, topic: &str) -> Result<()> {
        let mut state = self.state.lock();
        state.topics.remove(topic);
        state.committed.retain(|(_, of), _| of != topic);
        Ok(())
    }

    async fn forget(&self, group: &str) -> Result<()> {
        check_name("group", group)?;
        self.state.lock().committed.retain(|(of, _), _| of != group);
        Ok(())
    }

    async fn id(&self, topic: &str) -> Result<TopicId> {
        let topic = self.state.lock().topic(topic)?.id.clone();
        Ok(TopicId { cluster: "memory".into(), topic })
    }

    async fn ends(&self, topic: &str) -> Result<Vec<Ends>> {
        Ok(self.state.lock().topic(topic)?.partitions.iter().map(|p| *p.ends.borrow()).collect())
    }

    async fn append(&self, topic: &str, partition: i32, records: Vec<NewRecord>) -> Result<i64> {
        check_records(topic, &records)?;
        let now = self.clock.now_micros().div_euclid(1000);
        let mut state = self.state.lock();
        let partition = state.partition(topic, partition)?;
        let Ends { start, end } = *partition.ends.borrow();
        let mut offset = end;
        for NewRecord { key, payload, headers, timestamp } in records {
            let timestamp = timestamp.unwrap_or_else(|| {
                partition.stamped = partition.stamped.max(now);
                partition.stamped
            });
            partition.records.push_back(Record { offset, timestamp, key, payload, headers });
            offset += 1;
        }
        partition.ends.send_replace(Ends { start, end: offset });
        Ok(end)
    }

    async fn read(&self, topic: &str, from: Position, max_bytes: usize, wait: Duration) -> Result<Batch> {
        let mut ends = self.state.lock().partition(topic, from.partition)?.ends.subscribe();
        let now = *ends.borrow_and_update();
        if from.offset < now.start || from.offset > now.end {
            return Err(out_of_range(topic, from, now));
        }
        if from.offset == now.end {
            match tokio::time::timeout(wait, ends.wait_for(|e| e.end > from.offset)).await {
                Err(_elapsed) => return Ok(Batch { records: Vec::new(), next: from.offset }),
                Ok(Err(_dropped)) => return Err(no_topic(topic)),
                Ok(Ok(_)) => {}
            }
        }
        let mut state = self.state.lock();
        let partition = state.partition(topic, from.partition)?;
        let now = *partition.ends.borrow();
        if from.offset < now.start || from.offset > now.end {
            return Err(out_of_range(topic, from, now));
        }
        Ok(partition.read(from.offset, max_bytes))
    }

    async fn trim(&self, topic: &str, before: &[Position]) -> Result<()> {
        let mut state = self.state.lock();
        for position in before {
            let partition = state.partition(topic, position.partition)?;
            let Ends { start, end } = *partition.ends.borrow();
            let to = position.offset.clamp(start, end);
            let dropped = partition.records.partition_point(|r| r.offset < to);
            partition.records.drain(..dropped);
            partition.ends.send_replace(Ends { start: to, end });
        }
        Ok(())
    }

    async fn commit(&self, group: &str, topic: &str, positions: &[Position]) -> Result<()> {
        check_name("group", group)?;
        let mut state = self.state.lock();
        for position in positions {
            state.partition(topic, position.partition)?;
        }
        let committed = state.committed.entry((group.to_owned(), topic.to_owned())).or_default();
        committed.extend(positions.iter().map(|p| (p.partition, p.offset)));
        Ok(())
    }

    async fn join(&self, group: &str, topic: &str) -> Result<Membership> {
        check_name("group", group)?;
        let partitions = self.state.lock().topic(topic)?.partitions.len();
        Ok(self.groups.join(topic, partitions))
    }

    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<Position>> {
        let mut state = self.state.lock();
        state.topic(topic)?;
        let committed = state.committed.get(&(group.to_owned(), topic.to_owned()));
        Ok(committed.into_iter().flatten().map(|(&partition, &offset)| Position { partition, offset }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::FixedClock;
    use crate::log::conformance::{self, Restart};

    #[derive(Debug)]
    struct Same(Arc<MemoryLog>);

    #[async_trait]
    impl Restart for Same {
        async fn open(&self) -> Arc<dyn Log> {
            Arc::clone(&self.0) as Arc<dyn Log>
        }

        async fn leave_out(&self, topic: &str, partition: i32) -> bool {
            self.0.leave_out(topic, partition, 3).expect("there is such a partition");
            true
        }
    }

    #[tokio::test]
    async fn the_log_in_memory_keeps_the_contract() {
        conformance::keeps_the_contract(&Same(Arc::new(MemoryLog::new(Arc::new(FixedClock::new(5_000)))))).await;
    }
}
