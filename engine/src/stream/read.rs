//! Reads one raw partition, as far ahead as the byte budget allows.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::progress::Lease;
use super::{Settings, Shared, intake};
use crate::error::{Error, Result};
use crate::log::{Batch, Position, Record};

/// So many records of a partition are worth processing without waiting for more; no more of them are handed on at once.
pub const MICRO_BATCH: usize = 4096;

/// Records of one partition, in order.
#[derive(Debug)]
pub struct Fetched {
    pub lease: Lease,
    pub records: Vec<Record>,
    /// All of the partition before this offset is in these records or was before them. Offsets at an end may hold no records.
    pub next: i64,
    /// Their part of the byte budget, until all they led to is published.
    pub permit: OwnedSemaphorePermit,
}

/// Where what is read goes.
#[derive(Debug, Clone)]
pub struct To {
    pub budget: Arc<Semaphore>,
    pub fetched: mpsc::Sender<Fetched>,
}

/// Reads a partition from an offset on until `stop`.
pub async fn run(shared: Arc<Shared>, (lease, from): (Lease, i64), to: To, stop: CancellationToken) -> Result<()> {
    let Settings { poll, fetch_bytes, .. } = shared.settings;
    let mut at = Position { partition: lease.partition, offset: from };
    let who = format!("read partition {}", at.partition);
    loop {
        // Before it is read: what the end is told to be then was the end at this time at the latest.
        let as_of = shared.clock.now_micros();
        let read = || async { shared.raw.read(&shared.source.topic, at, fetch_bytes, poll).await.map_err(Error::of_a_new_partition) };
        let reading = shared.status.until_it_works(&who, &stop, read);
        let Some(batch) = stop.run_until_cancelled(reading).await else { return Ok(()) };
        let Batch { mut records, next } = batch?;
        let looking = shared.status.until_it_works(&who, &stop, || intake::still_the_same(&shared));
        let Some(same) = stop.run_until_cancelled(looking).await else { return Ok(()) };
        same?;
        if next == at.offset {
            shared.progress.at_end(lease, at.offset, as_of);
            continue;
        }
        while at.offset < next {
            let rest = records.split_off(records.len().min(MICRO_BATCH));
            at.offset = if rest.is_empty() { next } else { records.last().map_or(next, |last| last.offset + 1) };
            let taking = Arc::clone(&to.budget).acquire_many_owned(shared.settings.kib(&records));
            let Some(permit) = stop.run_until_cancelled(taking).await else { return Ok(()) };
            let permit = permit.map_err(|_| Error::internal("the byte budget was closed"))?;
            let handing = to.fetched.send(Fetched { lease, records, next: at.offset, permit });
            match stop.run_until_cancelled(handing).await {
                Some(Ok(())) => records = rest,
                _ => return Ok(()),
            }
        }
    }
}
