//! A signal revision that runs: its stream, the followers of its changelog, its bases, its upkeep.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tress_configs::{Plan, SignalPlan};

use super::clean;
use super::metered::{self, Metered};
use super::supervise::{Health, Now, Role, Tasks, Trouble};
use crate::base::Residence;
use crate::error::{Context, Result};
use crate::faults::{self, Point};
use crate::history::History;
use crate::log::Log;
use crate::lookup::{Lookup, ReloadingLookup};
use crate::metrics::ColumnMetrics;
use crate::pipeline::Pipeline;
use crate::platform::Platform;
use crate::prepare::{self, Revision};
use crate::store::{self, Bases, Follower, SignalStore};
use crate::stream::{Counts, DecodeAndRun, Settings, Share, Source, Stream, StreamState, Transform, World};
use crate::tail;
use crate::{layout, log::Position};

/// Memory of a tail before it spills.
const TAIL_BYTES: usize = 256 << 20;
/// How often the tail is tidied.
const UPKEEP: Duration = Duration::from_secs(2);
/// How often the tail is kept in the lake, and the changelog before it dropped.
const SNAPSHOT: Duration = Duration::from_secs(120);

/// How often tables of enrichments are looked at for newer versions.
const TABLES: Duration = Duration::from_secs(10);
/// How soon the stream says that more was published: also what a reader waits for at most to see that it is there.
const HEARTBEAT: Duration = Duration::from_millis(250);

/// A signal revision that runs.
#[derive(Debug)]
pub struct RunningSignal {
    pub uid: String,
    pub plan: Arc<SignalPlan>,
    pub revision: Revision,
    pub store: Arc<SignalStore>,
    pub follower: Arc<Follower>,
    pub bases: Arc<Bases>,
    /// The one that runs now.
    stream: Arc<Mutex<Stream>>,
    pub(super) columns: ColumnMetrics,
    /// Where its topic is.
    log: Arc<dyn Log>,
    health: Arc<Health>,
    tasks: tokio::sync::Mutex<Tasks>,
    /// One fold, or one extension of base, at a time.
    pub(super) folding: tokio::sync::Mutex<()>,
    pub(super) shutdown: CancellationToken,
}

impl RunningSignal {
    /// Prepares the revision unless it was, loads what is kept of it, and starts its roles.
    ///
    /// # Errors
    /// As [`prepare::signal`]; `Corrupt` when what is kept is damaged.
    pub async fn start(platform: &Platform, plan: Arc<SignalPlan>, uid: String, scratch: &Path) -> Result<Arc<Self>> {
        let revision = prepare::signal(platform, &plan, &uid).await?;
        // A revision never changes: another program may compile the same definition to another plan, its data is of the recorded one.
        let plan = match prepare::plan(platform, &revision.digest).await? {
            Plan::Signal(recorded) if recorded != *plan => Arc::new(recorded),
            _ => plan,
        };
        let history = History::new(platform.lake().clone(), &uid, Arc::clone(&plan));
        let spill_to = scratch.join("spill").join(&uid);
        tail::clear(&spill_to)?;
        let settings = tail::Settings { memory: TAIL_BYTES, spill_to: Some(spill_to) };
        let store = Arc::new(SignalStore::new(history, &settings));
        store::restore(&store).await?;
        let bases = Arc::new(Bases::new(Arc::clone(&store), Residence::Folder(scratch.join("base").join(&uid))));
        bases.begin().await?;

        let metrics = platform.metrics().signal(&plan.name);
        let (shutdown, health) = (CancellationToken::new(), Arc::<Health>::default());
        let follower =
            Arc::new(Follower::new(Arc::clone(&store), Arc::clone(platform.own_log()), (Arc::clone(platform.clock()), metrics.clone())));
        let lookups = reloading(platform, &plan).await?;
        let columns = platform.metrics().columns(&plan.name, store.history().schema());
        let make = streams(platform, (&plan, &revision), lookups.clone(), columns.clone()).await?;
        let stream = Arc::new(Mutex::new(make()));
        let log = platform.log(&plan.source.stream.connection)?;

        let mut tasks = Tasks::new(Arc::clone(&health), shutdown.clone());
        for shard in 0..store.shards().len() {
            let (follower, stop) = (Arc::clone(&follower), shutdown.clone());
            tasks.keep(Role::Follower(shard), move || {
                let (follower, stop) = (Arc::clone(&follower), stop.clone());
                async move { follower.follow(shard, &stop).await }
            });
        }
        let (watched, announced, stop) = (Arc::clone(&bases), follower.announced.clone(), shutdown.clone());
        tasks.keep(Role::Bases, move || {
            let (watched, announced, stop) = (Arc::clone(&watched), announced.subscribe(), stop.clone());
            async move {
                watched.watch(announced, &stop).await;
                Ok(())
            }
        });
        let (kept, own, stop) = (Arc::clone(&store), Arc::clone(platform.own_log()), shutdown.clone());
        tasks.keep(Role::Upkeep, move || upkeep(Arc::clone(&kept), Arc::clone(&own), stop.clone()));
        let stop = shutdown.clone();
        tasks.keep(Role::Tables, move || refresh(lookups.clone(), stop.clone()));
        let (current, stop) = (Arc::clone(&stream), shutdown.clone());
        tasks.keep(Role::Stream, move || {
            // A stream is run once: another one goes on from what this one has committed.
            let (fresh, stop) = (make(), stop.clone());
            *current.lock() = fresh.clone();
            async move { fresh.run(stop).await }
        });

        let tasks = tokio::sync::Mutex::new(tasks);
        let folding = tokio::sync::Mutex::default();
        let signal = Arc::new(Self { uid, plan, revision, store, follower, bases, stream, columns, log, health, tasks, folding, shutdown });
        let (watched, clock, stop) = (Arc::clone(&signal), Arc::clone(platform.clock()), signal.shutdown.clone());
        let (vacuumed, platform, end) = (Arc::clone(&signal), platform.clone(), signal.shutdown.clone());
        let mut tasks = signal.tasks.lock().await;
        tasks.keep(Role::Gauges, move || {
            let gauges = metered::watch(Arc::clone(&watched), (Arc::clone(&clock), metrics.clone()), stop.clone());
            async move {
                gauges.await;
                Ok(())
            }
        });
        tasks.keep(Role::Vacuum, move || {
            let cleaning = clean::watch(Arc::clone(&vacuumed), platform.clone(), end.clone());
            async move {
                cleaning.await;
                Ok(())
            }
        });
        drop(tasks);
        Ok(signal)
    }

    /// Why this signal does not go on; `None` = it does, or will by itself.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.health.reason(Now::Failed)
    }

    /// Why it takes no input, or a part of it does not run, for now; `None` = all goes on.
    #[must_use]
    pub fn waiting(&self) -> Option<String> {
        match &*self.stream.lock().state().borrow() {
            StreamState::Waiting { reason } => Some(reason.clone()),
            StreamState::Running | StreamState::Failed { .. } => self.health.reason(Now::Pauses),
        }
    }

    /// What ended of its tasks though nobody stopped it, since it was started.
    #[must_use]
    pub fn troubles(&self) -> Vec<Trouble> {
        self.health.troubles()
    }

    /// The ends of its topic now, by partition.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn ends(&self) -> Result<Vec<(i32, i64)>> {
        Ok((0..).zip(self.log.ends(&self.revision.topic).await?).map(|(partition, ends)| (partition, ends.end)).collect())
    }

    /// What its stream counted since it was last begun.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.stream.lock().counts()
    }

    /// Tidies the tail, keeps it in the lake and drops the changelog before it: what otherwise happens every few minutes.
    ///
    /// # Errors
    /// `Full` when there is no room, `Unavailable` when lake or log do not answer: what was kept before stays.
    pub async fn keep(&self, log: &dyn Log) -> Result<()> {
        tidy(&self.store)?;
        keep(&self.store, log).await
    }

    /// Stops all roles; the stream commits what it has published.
    ///
    /// # Errors
    /// When the last writes fail; nothing is lost, the next start reads again.
    pub async fn stop(&self) -> Result<()> {
        self.shutdown.cancel();
        self.tasks.lock().await.join().await.context(|| format!("stop signal revision {}", self.uid))
    }
}

async fn reloading(platform: &Platform, plan: &SignalPlan) -> Result<Vec<Arc<ReloadingLookup>>> {
    let mut lookups = Vec::with_capacity(plan.enrichments.len());
    for enrichment in &plan.enrichments {
        let store = Arc::clone(platform.tables(&enrichment.lookup.connection)?.store());
        lookups.push(Arc::new(ReloadingLookup::load(store, enrichment.clone()).await?));
    }
    Ok(lookups)
}

/// Makes streams of this revision: one runs at a time, and each goes on from what the one before has committed.
async fn streams(
    platform: &Platform,
    (plan, revision): (&Arc<SignalPlan>, &Revision),
    lookups: Vec<Arc<ReloadingLookup>>,
    columns: ColumnMetrics,
) -> Result<impl Fn() -> Stream + Send + use<>> {
    let lookups = lookups.into_iter().map(|lookup| lookup as Arc<dyn Lookup>).collect();
    let transform: Arc<dyn Transform> = Arc::new(Metered {
        inner: DecodeAndRun::new(prepare::decoder(platform, plan, revision).await?, Pipeline::new(Arc::clone(plan), lookups)?),
        metrics: platform.metrics().signal(&plan.name),
        columns,
        enrichments: plan.enrichments.iter().map(|e| e.name.clone()).collect(),
    });
    let source = Source {
        topic: revision.topic.clone(),
        topic_id: Some(revision.topic_id.clone()),
        starts: revision.start.iter().map(|p| Position { partition: p.partition, offset: p.offset }).collect(),
        share: Share::ALL,
    };
    let settings = Settings { heartbeat: HEARTBEAT, ..Settings::default() };
    let world = World { log: platform.log(&plan.source.stream.connection)?, clock: Arc::clone(platform.clock()) };
    let (uid, plan) = (revision.uid.clone(), Arc::clone(plan));
    Ok(move || Stream::with_settings(world.clone(), (&uid, &plan), (source.clone(), settings), Arc::clone(&transform)))
}

/// Keeps tables of enrichments at their newest version.
async fn refresh(lookups: Vec<Arc<ReloadingLookup>>, shutdown: CancellationToken) -> Result<()> {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(TABLES) => {}
        }
        for lookup in &lookups {
            if let Err(error) = lookup.refresh().await {
                tracing::warn!(%error, "a table could not be loaded again; the version before goes on answering");
            }
        }
    }
}

/// Tidies the tail, and now and then keeps it in the lake and drops the changelog before it.
async fn upkeep(store: Arc<SignalStore>, log: Arc<dyn Log>, shutdown: CancellationToken) -> Result<()> {
    let mut since_snapshot = Duration::ZERO;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(UPKEEP) => {}
        }
        since_snapshot += UPKEEP;
        if let Err(error) = tidy(&store) {
            tracing::warn!(uid = store.uid(), %error, "the tail could not be tidied; trying again");
        }
        if since_snapshot < SNAPSHOT {
            continue;
        }
        since_snapshot = Duration::ZERO;
        if let Err(error) = keep(&store, log.as_ref()).await {
            tracing::warn!(uid = store.uid(), %error, "the tail could not be kept; a restart replays more of the changelog");
        }
    }
}

fn tidy(store: &SignalStore) -> Result<()> {
    tokio::task::block_in_place(|| store.tidy())
}

/// Keeps the tail in the lake; then nobody needs the changelog before it.
async fn keep(store: &SignalStore, log: &dyn Log) -> Result<()> {
    let positions = store::take(store).await?;
    faults::point(Point::ChangelogTrim)?;
    log.trim(&layout::changelog(store.uid()), &positions).await
}
