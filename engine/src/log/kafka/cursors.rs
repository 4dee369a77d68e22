//! Reading from any position: cursors are kept where they are, so that who reads on goes on without asking anew.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::connection::Connection;
use super::cursor::{Cursor, Lane, Next};
use super::refusal;
use super::topics::Topics;
use crate::error::{Context, Result};
use crate::log::limits::out_of_range;
use crate::log::{Position, Record};

/// How long records that exist may take to come.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a cursor that nobody reads is kept: what it has read ahead takes memory.
const KEPT: Duration = Duration::from_secs(30);
/// The most cursors of one partition that are kept.
const KEPT_EACH: usize = 4;
/// What may follow the end that was seen: a record that was on its way while the end was asked for.
const ON_ITS_WAY: Duration = Duration::from_millis(300);

/// All that is being read.
#[derive(Debug)]
pub struct Cursors {
    connection: Connection,
    topics: Arc<Topics>,
    lanes: Mutex<Vec<Arc<Lane>>>,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    cursor: Cursor,
    since: Instant,
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} at {}", self.cursor.topic, self.cursor.partition, self.cursor.next)
    }
}

/// Records until there are enough.
struct Batch {
    records: Vec<Record>,
    bytes: usize,
    max_bytes: usize,
}

impl Batch {
    /// Whether there is room for more.
    fn add(&mut self, record: Record) -> bool {
        self.bytes += record.payload.len() + 64;
        self.records.push(record);
        self.bytes < self.max_bytes
    }
}

impl Cursors {
    pub fn new(connection: Connection, topics: Arc<Topics>) -> Self {
        Self { connection, topics, lanes: Mutex::default(), idle: Mutex::default() }
    }

    pub async fn read(&self, topic: &str, from: Position, max_bytes: usize, wait: Duration) -> Result<Vec<Record>> {
        let mut cursor = self.at(topic, from).await?;
        let mut batch = Batch { records: Vec::new(), bytes: 0, max_bytes };
        let read = self.fill(&mut cursor, from, wait, &mut batch).await;
        // A cursor that failed is not read on from; one that was given up keeps what it has not handed out.
        if read.context(|| format!("read topic {topic} partition {}", from.partition))? == Left::There {
            self.keep(cursor);
        }
        Ok(batch.records)
    }

    /// Lets go of all that reads a topic.
    pub fn forget(&self, topic: &str) {
        let gone: Vec<Idle> = self.idle.lock().extract_if(.., |idle| idle.cursor.topic == topic).collect();
        drop(gone);
    }

    async fn fill(&self, cursor: &mut Cursor, from: Position, wait: Duration, batch: &mut Batch) -> Result<Left> {
        if self.drain(cursor, from, batch).await? {
            return Ok(Left::There);
        }
        let asked = Instant::now();
        while let Ok(next) = timeout(wait.saturating_sub(asked.elapsed()), cursor.wait()).await {
            match next? {
                Next::Record(record) => {
                    if batch.add(record) {
                        self.drain(cursor, from, batch).await?;
                    }
                    return Ok(Left::There);
                }
                Next::End => {}
                Next::OutOfRange => return self.outside(cursor, from).await,
            }
        }
        // Nothing came. Whether nothing is there only the broker can say.
        let ends = self.topics.ends_of(&cursor.topic, from.partition).await?;
        if from.offset < ends.start || from.offset > ends.end {
            return Err(out_of_range(&cursor.topic, from, ends));
        }
        if from.offset == ends.end {
            return Ok(Left::There);
        }
        let mut patience = PATIENCE;
        loop {
            match timeout(patience, cursor.wait()).await {
                Err(_elapsed) if patience == PATIENCE => return Err(cursor.no_answer()),
                // From here to the end there are only marks of transactions.
                Err(_elapsed) => return Ok(Left::There),
                Ok(next) => match next? {
                    Next::Record(record) => {
                        if batch.add(record) {
                            self.drain(cursor, from, batch).await?;
                        }
                        return Ok(Left::There);
                    }
                    Next::End => patience = ON_ITS_WAY,
                    Next::OutOfRange => return self.outside(cursor, from).await,
                },
            }
        }
    }

    /// Takes what is here; whether that was anything.
    async fn drain(&self, cursor: &mut Cursor, from: Position, batch: &mut Batch) -> Result<bool> {
        while let Some(next) = cursor.ready()? {
            match next {
                Next::Record(record) => {
                    if !batch.add(record) {
                        break;
                    }
                }
                Next::End => {}
                Next::OutOfRange if batch.records.is_empty() => return self.outside(cursor, from).await.map(|_| false),
                // What was read is handed out; the next read comes upon it again.
                Next::OutOfRange => break,
            }
        }
        Ok(!batch.records.is_empty())
    }

    /// The broker refused the position.
    async fn outside(&self, cursor: &Cursor, from: Position) -> Result<Left> {
        let ends = self.topics.ends_of(&cursor.topic, from.partition).await?;
        if from.offset < ends.start || from.offset > ends.end {
            return Err(out_of_range(&cursor.topic, from, ends));
        }
        // The end has moved since, or another broker leads: a new cursor finds out.
        Ok(Left::Gone)
    }

    /// A cursor at a position: the one that was left there, or a new one.
    async fn at(&self, topic: &str, from: Position) -> Result<Cursor> {
        let (found, stale) = {
            let mut idle = self.idle.lock();
            let here = |i: &Idle| i.cursor.topic == topic && i.cursor.partition == from.partition && i.cursor.next == from.offset;
            let found = idle.iter().position(here).map(|index| idle.swap_remove(index).cursor);
            let stale: Vec<Idle> = idle.extract_if(.., |i| i.since.elapsed() > KEPT).collect();
            (found, stale)
        };
        drop(stale);
        if let Some(cursor) = found {
            return Ok(cursor);
        }
        self.topics.has(topic, from.partition).await?;
        let lane = self.lane(topic, from.partition)?;
        let topic = topic.to_owned();
        tokio::task::spawn_blocking(move || lane.cursor((&topic, from.partition), from.offset)).await.map_err(refusal::ended)?
    }

    fn keep(&self, cursor: Cursor) {
        let mut idle = self.idle.lock();
        let same = |i: &Idle| i.cursor.topic == cursor.topic && i.cursor.partition == cursor.partition;
        let oldest = if idle.iter().filter(|i| same(i)).count() < KEPT_EACH {
            None
        } else {
            (0..idle.len()).filter(|n| same(&idle[*n])).min_by_key(|n| idle[*n].since).map(|n| idle.swap_remove(n))
        };
        idle.push(Idle { cursor, since: Instant::now() });
        drop(idle);
        drop(oldest);
    }

    /// A lane that does not read the partition yet, with the partition taken.
    fn lane(&self, topic: &str, partition: i32) -> Result<Arc<Lane>> {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.iter().find(|l| l.take(topic, partition)) {
            return Ok(Arc::clone(lane));
        }
        // One lane is kept though nobody needs it now.
        let mut first = true;
        lanes.retain(|l| std::mem::take(&mut first) || !l.idle());
        let lane = Arc::new(Lane::open(&self.connection)?);
        lane.take(topic, partition);
        lanes.push(Arc::clone(&lane));
        Ok(lane)
    }
}

/// What became of a cursor that did not fail.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    There,
    Gone,
}
