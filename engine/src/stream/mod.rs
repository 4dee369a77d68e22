//! The stream of one signal revision: raw topic → rows → changelog.
//!
//! ```text
//! group ─▶ intake ─▶ read ─(Fetched)─▶ process ─(Unit)─▶ publish ─▶ changelog, dead letters
//!                      ▲ byte budget     gather             ╰────▶ commit of raw offsets, heartbeats
//! ```
//! Several processes share the partitions, as members of the revision's group: each reads what it is assigned, from where the group has
//! committed. Of a partition that goes to another member nothing more is said or committed here.
//!
//! A raw offset is committed only after every row and dead letter that it led to is acknowledged. So a kill anywhere reads some raw
//! records again and writes the same rows again, which readers drop as equal copies.
//! A log that is full or does not answer makes the stream wait: it takes nothing in, says why, and goes on by itself.

mod intake;
#[cfg(test)]
mod kills;
mod process;
mod progress;
mod publish;
mod read;
mod status;
#[cfg(test)]
mod tests;
mod transform;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tress_configs::SignalPlan;

use self::progress::Progress;
use self::status::Status;
pub use self::status::{Counts, StreamState};
pub use self::transform::{DecodeAndRun, Transform};
use crate::changelog::{Codec, Published};
use crate::clock::{Clock, Stopwatch};
use crate::error::{Error, Result};
use crate::log::{Log, Position, Record};

/// What a stream reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub topic: String,
    /// The id that the topic had when the revision was prepared: another topic of that name is refused.
    pub topic_id: Option<String>,
    /// Where to start partitions that the group has not committed. Others start at 0.
    pub starts: Vec<Position>,
}

/// Where a stream writes: topics that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub changelog: String,
    pub dead_letters: String,
}

/// How a stream batches and waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Between commits, looks for new partitions, and heartbeats that say that more was published.
    pub heartbeat: Duration,
    /// Between heartbeats that say no more than that nothing came.
    pub quiet: Duration,
    /// How long records wait for company while the source is idle …
    pub idle: Duration,
    /// … and at most, unless what came before is still being written.
    pub linger: Duration,
    /// How long each record that was written keeps the next write waiting, up to `linger`: what costs little is written often.
    pub pace: Duration,
    /// How long a read waits at the end of a partition.
    pub poll: Duration,
    /// How much is read of a partition at once.
    pub fetch_bytes: usize,
    /// How much may be read and not yet published, of all partitions.
    pub budget_bytes: usize,
    /// How long a stream that is stopped may take to write and commit what it has processed.
    pub drain: Duration,
}

/// What the stream's tasks share.
#[derive(Debug)]
struct Shared {
    /// The raw topic, and what its group has committed.
    raw: Arc<dyn Log>,
    /// Changelog and dead letters.
    own: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    transform: Arc<dyn Transform>,
    uid: String,
    codec: Codec,
    shards: u32,
    source: Source,
    target: Target,
    settings: Settings,
    progress: Progress,
    status: Status,
    /// When the topic was last seen to be the one that is meant.
    looked: Mutex<Option<Stopwatch>>,
}

/// The stream of one signal revision. Made, then run once.
#[derive(Debug, Clone)]
pub struct Stream(Arc<Shared>);

/// The outside world, as a stream needs it.
#[derive(Debug, Clone)]
pub struct World {
    /// Where the raw topic is.
    pub raw: Arc<dyn Log>,
    /// Where changelogs and dead letters are; it may be the same.
    pub own: Arc<dyn Log>,
    pub clock: Arc<dyn Clock>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(1),
            quiet: Duration::from_secs(1),
            idle: Duration::from_millis(1),
            linger: Duration::from_millis(25),
            pace: Duration::from_millis(1),
            poll: Duration::from_millis(250),
            fetch_bytes: 1 << 20,
            budget_bytes: 32 << 20,
            drain: Duration::from_secs(20),
        }
    }
}

impl Settings {
    fn budget_kib(&self) -> usize {
        (self.budget_bytes >> 10).max(1)
    }

    /// What records take of the budget: never more than all of it, so that even a huge one passes.
    fn kib(&self, records: &[Record]) -> u32 {
        let bytes: usize = records.iter().map(|r| r.payload.len() + 64).sum();
        u32::try_from(bytes.div_ceil(1024).min(self.budget_kib())).unwrap_or(u32::MAX)
    }
}

impl Stream {
    /// The stream of the revision `uid` of `plan`'s signal. `transform` is [`DecodeAndRun`] of that plan.
    #[must_use]
    pub fn new(world: World, (uid, plan): (&str, &SignalPlan), places: (Source, Target), transform: Arc<dyn Transform>) -> Self {
        Self::with_settings(world, (uid, plan), (places, Settings::default()), transform)
    }

    /// The same, with settings.
    #[must_use]
    pub fn with_settings(
        World { raw, own, clock }: World,
        (uid, plan): (&str, &SignalPlan),
        ((source, target), settings): ((Source, Target), Settings),
        transform: Arc<dyn Transform>,
    ) -> Self {
        Self(Arc::new(Shared {
            raw,
            own,
            clock,
            transform,
            uid: uid.to_owned(),
            codec: Codec::new(plan),
            shards: plan.shards,
            source,
            target,
            settings,
            progress: Progress::default(),
            status: Status::default(),
            looked: Mutex::default(),
        }))
    }

    /// What it does now.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<StreamState> {
        self.0.status.state()
    }

    /// How far each raw partition is published: every row of it can be read in the changelog.
    #[must_use]
    pub fn published(&self) -> watch::Receiver<Vec<Published>> {
        self.0.status.published()
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.status.counts()
    }

    /// Runs until `stop` is cancelled; then writes and commits what was processed, and leaves the group.
    ///
    /// # Errors
    /// What cannot be waited out: raw records that retention dropped, a topic made anew, damaged data, a raw event that the
    /// definition does not tolerate. After `stop`: when the last writes fail; nothing is lost, the next run reads again.
    pub async fn run(&self, stop: CancellationToken) -> Result<()> {
        let done = self.run_tasks(stop).await;
        if let Err(e) = &done {
            self.0.status.failed(e);
        }
        done
    }

    async fn run_tasks(&self, stop: CancellationToken) -> Result<()> {
        let shared = &self.0;
        let stop = stop.child_token();
        let (fetched_to, fetched) = mpsc::channel(64);
        let (units_to, units) = mpsc::channel(4);
        let (end, written) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(intake::run(Arc::clone(shared), fetched_to, intake::Stops { stop: stop.clone(), written: written.clone() }));
        tasks.spawn(process::run(Arc::clone(shared), fetched, units_to, stop.clone()));
        let publishing = publish::run(Arc::clone(shared), units, end.clone());
        tasks.spawn(async move {
            // Told also by a panic.
            let _written = written.drop_guard();
            publishing.await
        });
        let drain = shared.settings.drain;
        let mut late = pin!(async {
            stop.cancelled().await;
            tokio::time::sleep(drain).await;
        });
        let mut outcome = Ok(());
        loop {
            let ended = tokio::select! {
                ended = tasks.join_next() => ended,
                () = &mut late, if !end.is_cancelled() => {
                    end.cancel();
                    continue;
                }
            };
            let Some(ended) = ended else { break };
            let ended = ended
                .unwrap_or_else(|_| Err(Error::internal("a task of the stream panicked: a mistake of this program, please report it")));
            if let (Err(e), Ok(())) = (ended, &outcome) {
                // The first to fail says why; the others end in good order.
                outcome = Err(e);
                stop.cancel();
            }
        }
        outcome
    }
}
