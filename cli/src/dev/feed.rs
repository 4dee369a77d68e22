//! From an input to its topic: each record once, across restarts and kills.
//!
//! Each record carries which input it is of and its line. All records of one append go into one partition, and appends of an input
//! follow one another: so a kill leaves a prefix of the input in the topic, and the greatest line in the topic says where to go on.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tress_engine::log::{Log, NewRecord, Position};
use tress_engine::node::Node;
use tress_engine::{Error, ErrorKind};

use super::fields::Fields;
use super::follow::{AtEnd, Follow};
use super::input::{From, Input};
use super::records::{self, Record};
use crate::say;

const INPUT: &str = "tress.input";
const LINE: &str = "tress.line";
/// Records of one append.
const BATCH: usize = 4096;
/// Bytes of one append.
const BATCH_BYTES: usize = 4 << 20;
/// Bytes that are read back at once.
const READ_BYTES: usize = 4 << 20;
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// An input on its way.
#[derive(Debug)]
pub struct Feed {
    pub input: Input,
    pub node: Arc<Node>,
    pub fields: Fields,
    pub at_end: AtEnd,
    /// Records appended in this run.
    pub appended: Arc<AtomicU64>,
    pub stop: CancellationToken,
}

/// A record that waits to be appended, with the input's id.
type Waiting = (Arc<str>, Record);

impl Feed {
    /// Appends what comes, until the input ends or is told to stop.
    ///
    /// # Errors
    /// When the input cannot be read. A disk that is full is no error: it is waited for.
    pub async fn run(self) -> anyhow::Result<()> {
        let (sender, receiver) = mpsc::channel(BATCH);
        let (input, at_end, fields) = (self.input.clone(), self.at_end, self.fields.clone());
        let (node, stop, handle) = (Arc::clone(&self.node), self.stop.clone(), Handle::current());
        // A thread of its own: a read of a terminal or a pipe may wait for ever, and must not keep the runtime from ending.
        let (done, reading) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name(format!("input {}", input.topic))
            .spawn(move || {
                let read =
                    read(&input, (at_end, &stop), &fields, &sender, |id| handle.block_on(last_line(node.as_ref(), &input.topic, id)));
                drop(sender);
                let _gone = done.send(read);
            })
            .context("start a thread")?;
        tokio::select! {
            appended = self.append(receiver) => appended?,
            () = self.stop.cancelled() => return Ok(()),
        }
        match reading.await {
            Ok(read) => read.with_context(|| format!("read {}", self.input.shown())),
            Err(_) => Ok(()),
        }
    }

    async fn append(&self, mut receiver: mpsc::Receiver<Waiting>) -> anyhow::Result<()> {
        while let Some((id, first)) = receiver.recv().await {
            let mut bytes = first.payload.len();
            let mut batch = vec![first];
            while batch.len() < BATCH && bytes < BATCH_BYTES {
                let Ok((_, record)) = receiver.try_recv() else { break };
                bytes += record.payload.len();
                batch.push(record);
            }
            self.append_batch(&id, batch).await?;
        }
        Ok(())
    }

    /// Appends a batch, however long it takes until there is room.
    async fn append_batch(&self, id: &str, mut batch: Vec<Record>) -> anyhow::Result<()> {
        let mut pause = Duration::from_millis(200);
        let mut waited = false;
        while !batch.is_empty() {
            let key = Bytes::from(format!("{id}:{}", batch[0].line));
            let records = batch.iter().map(|record| new_record(id, &key, record)).collect();
            match self.node.append(&self.input.topic, records).await {
                Ok(()) => break,
                Err(e) if matches!(e.kind(), ErrorKind::Full | ErrorKind::Unavailable) => {
                    if !waited {
                        say!("no input is taken from {}: {e}; going on when there is room", self.input.shown());
                        waited = true;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                    // What failed may have stored a part.
                    if let Ok(last) = last_line(&self.node, &self.input.topic, id).await {
                        batch.retain(|record| record.line > last);
                    }
                }
                Err(e) => return Err(e.into()),
            }
        }
        if waited {
            say!("there is room again: going on with {}", self.input.shown());
        }
        self.appended.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

fn new_record(id: &str, key: &Bytes, record: &Record) -> NewRecord {
    NewRecord {
        key: Some(key.clone()),
        payload: record.payload.clone().into(),
        headers: vec![(INPUT.into(), Bytes::copy_from_slice(id.as_bytes())), (LINE.into(), record.line.to_string().into())],
        timestamp: None,
    }
}

/// Reads an input from behind its last appended line on.
fn read(
    input: &Input,
    (at_end, stop): (AtEnd, &CancellationToken),
    fields: &Fields,
    out: &mpsc::Sender<Waiting>,
    last_line: impl Fn(&str) -> Result<u64, Error>,
) -> anyhow::Result<()> {
    let (path, reader): (_, Box<dyn std::io::Read>) = match &input.from {
        From::Stdin => (None, Box::new(std::io::stdin())),
        From::File(path) => (Some(path.as_path()), Box::new(Follow::new(File::open(path)?, at_end, stop.clone()))),
    };
    let mut reader = BufReader::new(reader);
    let first = records::line(&mut reader)?;
    if first.is_empty() {
        return Ok(());
    }
    let id: Arc<str> = input.id(first.trim_ascii()).into();
    let last = last_line(&id)?;
    let form = records::form(path, &first);
    let mut skipped = 0u64;
    records::each(form, first, reader, fields, |record| {
        // What was being written when we were told to stop may be half a record.
        if stop.is_cancelled() {
            return false;
        }
        if record.line <= last {
            skipped += 1;
            return true;
        }
        if skipped > 0 {
            say!("{}: {skipped} records were appended before; going on behind line {last}", input.shown());
            skipped = 0;
        }
        out.blocking_send((Arc::clone(&id), record)).is_ok()
    })?;
    if skipped > 0 {
        say!("{}: all {skipped} records were appended before", input.shown());
    }
    Ok(())
}

/// The greatest line of an input that is in its topic; 0 = none is.
async fn last_line(node: &Node, topic: &str, id: &str) -> Result<u64, Error> {
    let log = node.platform().own_log();
    let ends = match log.ends(topic).await {
        Ok(ends) => ends,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(0),
        Err(e) => return Err(e),
    };
    let mut last = 0;
    for (partition, ends) in (0..).zip(ends) {
        last = last.max(last_in(log.as_ref(), topic, (partition, ends.start, ends.end), id).await?);
    }
    Ok(last)
}

/// Looks from the end of a partition back, in steps that grow, for the input's last record there.
async fn last_in(log: &dyn Log, topic: &str, (partition, start, end): (i32, i64, i64), id: &str) -> Result<u64, Error> {
    let mut step = 64;
    let mut upper = end;
    while upper > start {
        let lower = (upper - step).max(start);
        let (mut at, mut last) = (lower, 0);
        while at < upper {
            let batch = log.read(topic, Position { partition, offset: at }, READ_BYTES, Duration::ZERO).await?;
            if batch.next == at {
                break;
            }
            at = batch.next;
            for record in batch.records.iter().filter(|r| r.offset < upper) {
                let header = |name: &str| record.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v);
                if header(INPUT).is_some_and(|v| v == id.as_bytes()) {
                    let line = header(LINE).and_then(|v| std::str::from_utf8(v).ok()).and_then(|v| v.parse().ok());
                    last = line.unwrap_or(last).max(last);
                }
            }
        }
        if last > 0 {
            return Ok(last);
        }
        upper = lower;
        step *= 4;
    }
    Ok(0)
}
