//! Runs what was fetched through the pipeline, and gathers rows into records that are worth writing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::progress::{Covered, Lease};
use super::read::{Fetched, MICRO_BATCH};
use super::{Settings, Shared};
use crate::changelog::{Codec, Gather, Gathered};
use crate::clock::Stopwatch;
use crate::dead_letters;
use crate::error::Result;
use crate::log::{NewRecord, Record};

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

/// What was fetched and is not yet handed on.
struct Waiting {
    /// By partition, what is not processed yet: a step of the pipeline costs much the same for one record as for a hundred.
    raw: BTreeMap<i32, Raw>,
    gather: Gather,
    /// Records that are to be written first.
    full: Vec<Gathered>,
    dead: Vec<NewRecord>,
    covered: BTreeMap<i32, Covered>,
    permits: Vec<OwnedSemaphorePermit>,
    /// When the first and the last of what waits came.
    since: Stopwatch,
    latest: Stopwatch,
    /// When something was handed on last, and for how long nothing more is after that.
    handed: Stopwatch,
    pause: Duration,
}

/// Records of one partition, in order.
struct Raw {
    lease: Lease,
    records: Vec<Record>,
    kib: usize,
    next: i64,
}

/// Processes until there is nothing more to come, then hands on what waits.
pub async fn run(
    shared: Arc<Shared>,
    mut fetched: mpsc::Receiver<Fetched>,
    units: mpsc::Sender<Unit>,
    stop: CancellationToken,
) -> Result<()> {
    let mut waiting = Waiting::new(Gather::new(Codec::clone(&shared.codec), shared.shards));
    loop {
        let due = waiting.due(&shared.settings);
        // While something waits to be written there is time to gather more.
        let its_turn = async {
            tokio::time::sleep_until(due).await;
            units.reserve_many(units.max_capacity()).await.is_ok()
        };
        let unit = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            taken = its_turn, if waiting.any() => {
                if !taken {
                    break;
                }
                waiting.process_all(&shared, &stop).await?;
                waiting.flush(&shared.settings)?
            }
            next = fetched.recv() => match next {
                None => break,
                Some(next) => waiting.take(&shared, next, &stop).await?,
            },
        };
        if (!unit.rows.is_empty() || !unit.covered.is_empty()) && units.send(unit).await.is_err() {
            return Ok(());
        }
    }
    let last = waiting.flush(&shared.settings)?;
    // Nobody takes it only if writing has failed, which is told there.
    drop(units.send(last).await);
    Ok(())
}

impl Waiting {
    fn new(gather: Gather) -> Self {
        let now = Stopwatch::start();
        let (raw, full, dead, covered, permits) = (BTreeMap::new(), Vec::new(), Vec::new(), BTreeMap::new(), Vec::new());
        Self { raw, gather, full, dead, covered, permits, since: now, latest: now, handed: now, pause: Duration::ZERO }
    }

    fn any(&self) -> bool {
        !self.raw.is_empty() || !self.covered.is_empty()
    }

    /// When it is handed on.
    fn due(&self, settings: &Settings) -> Instant {
        let gathered = self.latest.reaches(settings.idle).min(self.since.reaches(settings.linger));
        gathered.max(self.handed.reaches(self.pause))
    }

    /// Takes what was fetched; processes what is enough to be worth it, and returns the records that are full by then.
    async fn take(&mut self, shared: &Shared, fetched: Fetched, stop: &CancellationToken) -> Result<Unit> {
        let Fetched { lease, mut records, next, permit } = fetched;
        if !shared.progress.holds(lease) {
            // It is another member's by now, who reads it again.
            return Ok(Unit::default());
        }
        self.latest = Stopwatch::start();
        if !self.any() {
            self.since = self.latest;
        }
        let new = || Raw { lease, records: Vec::new(), kib: 0, next };
        let raw = self.raw.entry(lease.partition).or_insert_with(new);
        if raw.lease != lease {
            *raw = new();
        }
        raw.records.append(&mut records);
        raw.kib += permit.num_permits();
        raw.next = next;
        self.permits.push(permit);
        if raw.records.len() < MICRO_BATCH && raw.kib < shared.settings.fetch_bytes >> 10 {
            return Ok(Unit::default());
        }
        let enough = self.raw.remove(&lease.partition);
        let rows = match enough {
            Some(raw) => self.process(shared, raw, stop).await?,
            None => Vec::new(),
        };
        Ok(Unit { rows, ..Unit::default() })
    }

    /// What is full by then is left to the flush that follows.
    async fn process_all(&mut self, shared: &Shared, stop: &CancellationToken) -> Result<()> {
        while let Some((_, raw)) = self.raw.pop_first() {
            let full = self.process(shared, raw, stop).await?;
            self.full.extend(full);
        }
        Ok(())
    }

    /// Runs one batch, and returns the records that are full already.
    async fn process(&mut self, shared: &Shared, raw: Raw, stop: &CancellationToken) -> Result<Vec<Gathered>> {
        let Raw { lease, records, next, .. } = raw;
        if !shared.progress.holds(lease) {
            return Ok(Vec::new());
        }
        let before = self.covered.get(&lease.partition).filter(|c| c.lease == lease).and_then(|c| c.timestamp);
        let timestamp = records.last().map(|last| last.timestamp.saturating_mul(1000)).or(before);
        if records.is_empty() {
            // Nothing to process: it only has to come after what is under way.
            self.covered.insert(lease.partition, Covered { lease, offset: next, timestamp });
            return Ok(Vec::new());
        }
        let transforming = shared.status.until_it_works("process", stop, || shared.transform.transform(lease.partition, &records));
        // What is not processed when it is time to stop is left to who reads next.
        let Some(processed) = stop.run_until_cancelled(transforming).await else { return Ok(Vec::new()) };
        let processed = processed?;
        shared.status.count(records.len(), &processed);
        self.covered.insert(lease.partition, Covered { lease, offset: next, timestamp });
        self.dead.extend(processed.dead.iter().map(dead_letters::record));
        self.gather.add(processed.rows)
    }

    fn flush(&mut self, settings: &Settings) -> Result<Unit> {
        let mut rows = std::mem::take(&mut self.full);
        rows.extend(self.gather.flush()?);
        let written: usize = rows.iter().map(|gathered| gathered.records.len()).sum();
        self.pause = settings.pace.saturating_mul(u32::try_from(written).unwrap_or(u32::MAX)).min(settings.linger);
        self.handed = Stopwatch::start();
        Ok(Unit {
            rows,
            dead: std::mem::take(&mut self.dead),
            covered: std::mem::take(&mut self.covered),
            permits: std::mem::take(&mut self.permits),
        })
    }
}
