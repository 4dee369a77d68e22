//! Runs what was fetched through the pipeline, and gathers rows into records that are worth writing.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::progress::Covered;
use super::read::Fetched;
use crate::changelog::{Codec, Gather, Gathered};
use crate::clock::Stopwatch;
use crate::dead_letters;
use crate::error::Result;
use crate::log::NewRecord;

/// What is written together.
#[derive(Debug, Default)]
pub struct Unit {
    pub rows: Vec<Gathered>,
    pub dead: Vec<NewRecord>,
    /// Once this unit and all before it are acknowledged, all of these raw records are published. Empty while rows still wait.
    pub covered: BTreeMap<i32, Covered>,
    /// Given back when the unit is written.
    pub permits: Vec<OwnedSemaphorePermit>,
}

/// What was processed and is not yet handed on.
struct Waiting {
    gather: Gather,
    dead: Vec<NewRecord>,
    covered: BTreeMap<i32, Covered>,
    permits: Vec<OwnedSemaphorePermit>,
    since: Stopwatch,
}

/// Processes until there is nothing more to come, then hands on what waits.
pub async fn run(
    shared: Arc<Shared>,
    mut fetched: mpsc::Receiver<Fetched>,
    units: mpsc::Sender<Unit>,
    stop: CancellationToken,
) -> Result<()> {
    let gather = Gather::new(Codec::clone(&shared.codec), shared.shards);
    let mut waiting = Waiting { gather, dead: Vec::new(), covered: BTreeMap::new(), permits: Vec::new(), since: Stopwatch::start() };
    loop {
        let unit = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = tokio::time::sleep_until(waiting.since.reaches(shared.settings.linger)), if waiting.any() => waiting.flush()?,
            next = fetched.recv() => match next {
                None => break,
                Some(next) => process(&shared, next, &mut waiting, &stop).await?,
            },
            // The source is idle: what waits has no company to expect.
            () = tokio::time::sleep(shared.settings.idle), if waiting.any() => waiting.flush()?,
        };
        if (!unit.rows.is_empty() || !unit.covered.is_empty()) && units.send(unit).await.is_err() {
            return Ok(());
        }
    }
    let last = waiting.flush()?;
    // Nobody takes it only if writing has failed, which is told there.
    drop(units.send(last).await);
    Ok(())
}

/// Runs one batch, and returns the records that are full already.
async fn process(shared: &Shared, fetched: Fetched, waiting: &mut Waiting, stop: &CancellationToken) -> Result<Unit> {
    let Fetched { lease, records, next, permit } = fetched;
    if !shared.progress.holds(lease) {
        // It is another member's by now, who reads it again.
        return Ok(Unit::default());
    }
    if !waiting.any() {
        waiting.since = Stopwatch::start();
    }
    let before = waiting.covered.get(&lease.partition).filter(|c| c.lease == lease).and_then(|c| c.timestamp);
    let timestamp = records.last().map(|last| last.timestamp.saturating_mul(1000)).or(before);
    if records.is_empty() {
        // Nothing to process: it only has to come after what is under way.
        waiting.covered.insert(lease.partition, Covered { lease, offset: next, timestamp });
        return Ok(Unit::default());
    }
    let transforming = shared.status.until_it_works("process", stop, || shared.transform.transform(lease.partition, &records));
    // What is not processed when it is time to stop is left to who reads next.
    let Some(processed) = stop.run_until_cancelled(transforming).await else { return Ok(Unit::default()) };
    let processed = processed?;
    shared.status.count(records.len(), &processed);
    waiting.covered.insert(lease.partition, Covered { lease, offset: next, timestamp });
    waiting.permits.push(permit);
    waiting.dead.extend(processed.dead.iter().map(dead_letters::record));
    Ok(Unit { rows: waiting.gather.add(processed.rows)?, ..Unit::default() })
}

impl Waiting {
    fn any(&self) -> bool {
        !self.covered.is_empty()
    }

    fn flush(&mut self) -> Result<Unit> {
        Ok(Unit {
            rows: self.gather.flush()?,
            dead: std::mem::take(&mut self.dead),
            covered: std::mem::take(&mut self.covered),
            permits: std::mem::take(&mut self.permits),
        })
    }
}
