//! Reads the raw partitions, as far ahead as the byte budget allows.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Settings, Shared};
use crate::error::{Error, Result};
use crate::layout;
use crate::log::{Batch, Position, Record};

/// The most records that are processed at once.
const MICRO_BATCH: usize = 4096;

/// Records of one partition, in order.
#[derive(Debug)]
pub struct Fetched {
    pub partition: i32,
    pub records: Vec<Record>,
    /// All of the partition before this offset is in these records or was before them. Offsets at an end may hold no records.
    pub next: i64,
    /// Their part of the byte budget, until all they led to is published.
    pub permit: OwnedSemaphorePermit,
}

/// Reads until `stop` is cancelled; finds partitions that come later.
pub async fn run(shared: Arc<Shared>, fetched: mpsc::Sender<Fetched>, stop: CancellationToken) -> Result<()> {
    let budget = Arc::new(Semaphore::new(shared.settings.budget_kib()));
    let mut readers = JoinSet::new();
    let mut first = true;
    loop {
        let looked = shared.status.until_it_works("look for partitions", &stop, || positions(&shared, first));
        // Told to stop: whether the topic answers no longer matters.
        let Some(found) = stop.run_until_cancelled(looked).await else { break };
        for from in found? {
            if shared.progress.begin(from) {
                let budget = Arc::clone(&budget);
                readers.spawn(read(Arc::clone(&shared), from, budget, fetched.clone(), stop.clone()));
            }
        }
        first = false;
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(shared.settings.heartbeat) => {}
            Some(ended) = readers.join_next() => ended.unwrap_or_else(|_| Err(panicked()))?,
        }
    }
    while let Some(ended) = readers.join_next().await {
        ended.unwrap_or_else(|_| Err(panicked()))?;
    }
    Ok(())
}

/// What a panic says may hold a user's value: it is on the standard error of the process, not here.
fn panicked() -> Error {
    Error::internal("a reader of the stream panicked: a mistake of this program, please report it")
}

/// Where to read: at first where the group left off, or at the start that was given; a partition found later from its beginning.
async fn positions(shared: &Shared, first: bool) -> Result<Vec<Position>> {
    let source = &shared.source;
    let id = shared.log.id(&source.topic).await?;
    if source.topic_id.as_ref().is_some_and(|expected| *expected != id.topic) {
        return Err(Error::invalid(format!(
            "read topic {}: it was deleted and made again since this revision was prepared; prepare a new revision",
            source.topic
        )));
    }
    let count = i32::try_from(shared.log.ends(&source.topic).await?.len()).unwrap_or(i32::MAX);
    let known = if first { shared.log.committed(&layout::stream_group(&shared.uid), &source.topic).await? } else { Vec::new() };
    let ours = (0..count).filter(|p| source.share.has(*p));
    let start = |partition: i32| {
        let given = known.iter().chain(if first { &source.starts[..] } else { &[] }).find(|p| p.partition == partition);
        Position { partition, offset: given.map_or(0, |p| p.offset) }
    };
    Ok(ours.map(start).collect())
}

async fn read(
    shared: Arc<Shared>,
    from: Position,
    budget: Arc<Semaphore>,
    fetched: mpsc::Sender<Fetched>,
    stop: CancellationToken,
) -> Result<()> {
    let Settings { poll, fetch_bytes, .. } = shared.settings;
    let mut at = from;
    let who = format!("read partition {}", at.partition);
    loop {
        let as_of = shared.clock.now_micros();
        let reading = shared.status.until_it_works(&who, &stop, || shared.log.read(&shared.source.topic, at, fetch_bytes, poll));
        let Some(batch) = stop.run_until_cancelled(reading).await else { return Ok(()) };
        let Batch { mut records, next } = batch?;
        if next == at.offset {
            shared.progress.at_end(at, as_of);
            continue;
        }
        while at.offset < next {
            let rest = records.split_off(records.len().min(MICRO_BATCH));
            at.offset = if rest.is_empty() { next } else { records.last().map_or(next, |last| last.offset + 1) };
            let taking = Arc::clone(&budget).acquire_many_owned(shared.settings.kib(&records));
            let Some(permit) = stop.run_until_cancelled(taking).await else { return Ok(()) };
            let permit = permit.map_err(|_| Error::internal("the byte budget was closed"))?;
            if fetched.send(Fetched { partition: at.partition, records, next: at.offset, permit }).await.is_err() {
                return Ok(());
            }
            records = rest;
        }
    }
}
