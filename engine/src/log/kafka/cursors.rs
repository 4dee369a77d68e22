//! Reading from any position: cursors are kept where they are, so that who reads on goes on without asking anew.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::timeout;

use super::credentials::Credentials;
use super::cursor::{Cursor, Lane, Next, Taken};
use super::topics::Topics;
use crate::clock::Stopwatch;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::log::limits::out_of_range;
use crate::log::{Batch, Position, Record};

/// How long what exists may take to come.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a cursor that nobody reads is kept: what it has read ahead takes memory.
const KEPT: Duration = Duration::from_secs(30);
/// The most cursors of one partition that are kept.
const KEPT_EACH: usize = 4;
/// How long nothing comes before the end is asked for.
const ASK: Duration = Duration::from_millis(500);
/// How long a record is waited for that may have been on its way while the end was asked for.
const ON_ITS_WAY: Duration = Duration::from_millis(300);

/// All that is being read.
#[derive(Debug)]
pub struct Cursors {
    credentials: Arc<Credentials>,
    topics: Arc<Topics>,
    lanes: Mutex<Vec<Arc<Lane>>>,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    cursor: Cursor,
    since: Stopwatch,
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} at {}", self.cursor.topic, self.cursor.partition, self.cursor.next)
    }
}

/// Records until there are enough.
struct Filling {
    from: Position,
    records: Vec<Record>,
    bytes: usize,
    max_bytes: usize,
}

impl Filling {
    /// Whether there is room for more.
    fn add(&mut self, record: Record) -> bool {
        self.bytes += record.payload.len() + 64;
        self.records.push(record);
        self.bytes < self.max_bytes
    }
}

impl Cursors {
    pub fn new(credentials: Arc<Credentials>, topics: Arc<Topics>) -> Self {
        Self { credentials, topics, lanes: Mutex::default(), idle: Mutex::default() }
    }

    pub async fn read(&self, topic: &str, from: Position, max_bytes: usize, wait: Duration) -> Result<Batch> {
        let doing = || format!("read topic {topic} partition {}", from.partition);
        let mut cursor = self.at(topic, from).await?;
        let mut filling = Filling { from, records: Vec::new(), bytes: 0, max_bytes };
        // A cursor that failed is not read on from; one that was given up keeps what it has not handed out.
        let mut left = self.fill(&mut cursor, wait, &mut filling).await.context(doing)?;
        if left != Left::There && filling.records.is_empty() {
            drop(cursor);
            (cursor, left) = self.pass_over(topic, &mut filling).await.context(doing)?;
        }
        let next = match filling.records.last() {
            Some(last) => last.offset + 1,
            None if left == Left::There => cursor.next,
            None => from.offset,
        };
        if left == Left::There {
            self.keep(cursor);
        }
        Ok(Batch { records: filling.records, next })
    }

    /// Lets go of all that reads a topic.
    pub fn forget(&self, topic: &str) {
        let gone: Vec<Idle> = self.idle.lock().extract_if(.., |idle| idle.cursor.topic == topic).collect();
        drop(gone);
    }

    async fn fill(&self, cursor: &mut Cursor, wait: Duration, filling: &mut Filling) -> Result<Left> {
        let from = filling.from;
        if let Some(left) = self.drain(cursor, filling).await? {
            return Ok(left);
        }
        let asked = Stopwatch::start();
        loop {
            let over = wait.saturating_sub(asked.elapsed());
            if let Some(left) = self.come(cursor, over.min(ASK), filling).await? {
                return Ok(left);
            }
            // Nothing came. Whether nothing is there only the broker can say.
            let ends = self.topics.ends_of(&cursor.topic, from.partition).await?;
            if from.offset < ends.start || from.offset > ends.end {
                return Err(out_of_range(&cursor.topic, from, ends));
            }
            if from.offset < ends.end {
                return Ok(self.come(cursor, ON_ITS_WAY, filling).await?.unwrap_or(Left::Gone));
            }
            if asked.elapsed() >= wait {
                return Ok(Left::There);
            }
        }
    }

    /// Waits for something that can be handed out; `None` = in vain.
    async fn come(&self, cursor: &mut Cursor, wait: Duration, filling: &mut Filling) -> Result<Option<Left>> {
        let since = Stopwatch::start();
        while let Ok(next) = timeout(wait.saturating_sub(since.elapsed()), cursor.wait()).await {
            if let Some(left) = self.take(next?, cursor, filling).await? {
                return Ok(Some(left));
            }
        }
        Ok(None)
    }

    /// Something is to be there and did not come: records that are slow, or offsets that hold none.
    ///
    /// The end is asked for first, and by the consumer that reads; then the position is read anew. A cursor says once that it came to
    /// the end, and an answer that it has from before would prove nothing: this one's can only be of the end that was told, or of a
    /// later one. So all before the end that was told has been looked at, and what is not there by then holds no records.
    async fn pass_over(&self, topic: &str, filling: &mut Filling) -> Result<(Cursor, Left)> {
        let from = filling.from;
        let taken = self.lane(topic, from.partition)?;
        let end = match taken.end().await {
            // It was added: the topics know it, and this consumer has to ask what there is of the topic.
            Err(e) if e.kind() == ErrorKind::NotFound => {
                self.topics.ends_of(topic, from.partition).await?;
                taken.look_again().await?;
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    "the partition was added, and its leader is not known yet; it is tried again",
                ));
            }
            end => end?,
        };
        let mut cursor = taken.cursor(from.offset).await?;
        loop {
            match timeout(PATIENCE, cursor.wait()).await {
                Err(_elapsed) => return Err(cursor.no_answer()),
                Ok(Ok(Next::End)) => {
                    cursor.next = end.max(from.offset);
                    return Ok((cursor, Left::There));
                }
                Ok(next) => {
                    if let Some(left) = self.take(next?, &mut cursor, filling).await? {
                        return Ok((cursor, left));
                    }
                }
            }
        }
    }

    /// Takes what came, and what is here by then; `None` = nothing that can be handed out.
    async fn take(&self, next: Next, cursor: &mut Cursor, filling: &mut Filling) -> Result<Option<Left>> {
        match next {
            Next::Record(record) => {
                if filling.add(record) {
                    self.drain(cursor, filling).await?;
                }
                Ok(Some(Left::There))
            }
            Next::End => Ok(None),
            Next::OutOfRange => self.outside(cursor, filling.from).await.map(Some),
        }
    }

    /// Takes what is here; `None` = nothing is.
    async fn drain(&self, cursor: &mut Cursor, filling: &mut Filling) -> Result<Option<Left>> {
        while let Some(next) = cursor.ready()? {
            match next {
                Next::Record(record) => {
                    if !filling.add(record) {
                        break;
                    }
                }
                Next::End => {}
                Next::OutOfRange if filling.records.is_empty() => return self.outside(cursor, filling.from).await.map(Some),
                // What was read is handed out; the next read comes upon it again.
                Next::OutOfRange => return Ok(Some(Left::Gone)),
            }
        }
        Ok((!filling.records.is_empty()).then_some(Left::There))
    }

    /// The broker refused the position.
    async fn outside(&self, cursor: &Cursor, from: Position) -> Result<Left> {
        let ends = self.topics.ends_of(&cursor.topic, from.partition).await?;
        if from.offset < ends.start || from.offset > ends.end {
            return Err(out_of_range(&cursor.topic, from, ends));
        }
        // The end has moved since, another broker leads, or it was said of a cursor before this one: a new cursor finds out.
        Ok(Left::Gone)
    }

    /// A cursor at a position: the one that was left there, or a new one.
    async fn at(&self, topic: &str, from: Position) -> Result<Cursor> {
        let generation = self.credentials.generation();
        let (found, stale) = {
            let mut idle = self.idle.lock();
            let old: Vec<Idle> = idle.extract_if(.., |i| i.cursor.generation() != generation).collect();
            let here = |i: &Idle| i.cursor.topic == topic && i.cursor.partition == from.partition && i.cursor.next == from.offset;
            let found = idle.iter().position(here).map(|index| idle.swap_remove(index).cursor);
            let stale: Vec<Idle> = idle.extract_if(.., |i| i.since.elapsed() > KEPT).collect();
            (found, (old, stale))
        };
        drop(stale);
        if let Some(cursor) = found {
            return Ok(cursor);
        }
        self.topics.has(topic, from.partition).await?;
        self.lane(topic, from.partition)?.cursor(from.offset).await
    }

    fn keep(&self, cursor: Cursor) {
        let mut idle = self.idle.lock();
        let same = |i: &Idle| i.cursor.topic == cursor.topic && i.cursor.partition == cursor.partition;
        let oldest = if idle.iter().filter(|i| same(i)).count() < KEPT_EACH {
            None
        } else {
            (0..idle.len()).filter(|n| same(&idle[*n])).min_by_key(|n| idle[*n].since).map(|n| idle.swap_remove(n))
        };
        idle.push(Idle { cursor, since: Stopwatch::start() });
        drop(idle);
        drop(oldest);
    }

    /// The partition, taken of a lane that does not read it yet.
    fn lane(&self, topic: &str, partition: i32) -> Result<Taken> {
        let generation = self.credentials.generation();
        let mut lanes = self.lanes.lock();
        // Cursors that are read now hold what their lane is made of.
        lanes.retain(|l| l.generation == generation);
        if let Some(taken) = lanes.iter().find_map(|l| Lane::take(l, topic, partition)) {
            return Ok(taken);
        }
        // One lane is kept though nobody needs it now.
        let mut first = true;
        lanes.retain(|l| std::mem::take(&mut first) || !l.idle());
        let lane = Arc::new(Lane::open(&self.credentials)?);
        let taken = Lane::take(&lane, topic, partition);
        lanes.push(lane);
        taken.ok_or_else(|| Error::internal("a new lane reads something already"))
    }
}

/// What became of a cursor that did not fail.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    There,
    /// Nothing comes by it any more, though its position may be before the end.
    Gone,
}
