//! A signal revision that runs: its stream, the followers of its changelog, its bases, its upkeep.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tress_configs::{Plan, SignalPlan};

use super::clean;
use super::metered::{self, Metered};
use crate::base::Residence;
use crate::error::Result;
use crate::faults::{self, Point};
use crate::history::History;
use crate::log::Log;
use crate::lookup::{Lookup, ReloadingLookup};
use crate::metrics::ColumnMetrics;
use crate::pipeline::Pipeline;
use crate::platform::Platform;
use crate::prepare::{self, Revision};
use crate::store::{self, Bases, Follower, SignalStore};
use crate::stream::{Counts, DecodeAndRun, Settings, Share, Source, Stream, StreamState, World};
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
/// How often the stream says how far it is: also what a reader waits for at most to see how fresh it is.
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
    stream: Stream,
    pub(super) columns: ColumnMetrics,
    /// Where its topic is.
    log: Arc<dyn Log>,
    /// Why a task ended that should not have.
    failed: Arc<Mutex<Option<String>>>,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
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
        let settings = tail::Settings { memory: TAIL_BYTES, spill_to: Some(scratch.join("spill").join(&uid)) };
        let store = Arc::new(SignalStore::new(history, &settings));
        store::restore(&store).await?;
        let bases = Arc::new(Bases::new(Arc::clone(&store), Residence::Folder(scratch.join("base").join(&uid))));
        bases.refresh().await?;

        let metrics = platform.metrics().signal(&plan.name);
        let shutdown = CancellationToken::new();
        let failed: Arc<Mutex<Option<String>>> = Arc::default();
        let follower =
            Arc::new(Follower::new(Arc::clone(&store), Arc::clone(platform.own_log()), (Arc::clone(platform.clock()), metrics.clone())));
        let mut tasks = JoinSet::new();
        for shard in 0..store.shards().len() {
            let (follower, shutdown, failed) = (Arc::clone(&follower), shutdown.clone(), Arc::clone(&failed));
            tasks.spawn(async move {
                if let Err(e) = follower.follow(shard, &shutdown).await {
                    tracing::error!(error = %e, "a shard is not followed any more");
                    failed.lock().get_or_insert(e.to_string());
                }
            });
        }
        let (watched, announced, stop) = (Arc::clone(&bases), follower.announced.subscribe(), shutdown.clone());
        tasks.spawn(async move { watched.watch(announced, &stop).await });
        tasks.spawn(upkeep(Arc::clone(&store), Arc::clone(platform.own_log()), shutdown.clone()));
        let lookups = reloading(platform, &plan).await?;
        tasks.spawn(refresh(lookups.clone(), shutdown.clone()));
        let columns = platform.metrics().columns(&plan.name, store.history().schema());
        let stream = stream(platform, (&plan, &revision), lookups, columns.clone())?;
        let (running, stop) = (stream.clone(), shutdown.clone());
        tasks.spawn(async move {
            // Its state says why it ended; whoever looks at the signal is told.
            if let Err(error) = running.run(stop).await {
                tracing::error!(%error, "a stream ended");
            }
        });
        let log = platform.log(&plan.source.stream.connection)?;
        let tasks = tokio::sync::Mutex::new(tasks);
        let signal = Arc::new(Self {
            uid,
            plan,
            revision,
            store,
            follower,
            bases,
            stream,
            columns,
            log,
            failed,
            tasks,
            folding: tokio::sync::Mutex::default(),
            shutdown,
        });
        let gauges = metered::watch(Arc::clone(&signal), (Arc::clone(platform.clock()), metrics), signal.shutdown.clone());
        let vacuum = clean::watch(Arc::clone(&signal), platform.clone(), signal.shutdown.clone());
        let mut tasks = signal.tasks.lock().await;
        tasks.spawn(gauges);
        tasks.spawn(vacuum);
        drop(tasks);
        Ok(signal)
    }

    /// Why this signal does not go on; `None` = it does.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        if let Some(reason) = self.failed.lock().clone() {
            return Some(reason);
        }
        match &*self.stream.state().borrow() {
            StreamState::Failed { reason } => Some(reason.clone()),
            StreamState::Running | StreamState::Waiting { .. } => None,
        }
    }

    /// Why the stream takes no input for now; `None` = it does.
    #[must_use]
    pub fn waiting(&self) -> Option<String> {
        match &*self.stream.state().borrow() {
            StreamState::Waiting { reason } => Some(reason.clone()),
            StreamState::Running | StreamState::Failed { .. } => None,
        }
    }

    /// The ends of its topic now, by partition.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn ends(&self) -> Result<Vec<(i32, i64)>> {
        Ok((0..).zip(self.log.ends(&self.revision.topic).await?).map(|(partition, ends)| (partition, ends.end)).collect())
    }

    /// What its stream counted since it was started.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.stream.counts()
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
    pub async fn stop(&self) {
        self.shutdown.cancel();
        let mut tasks = self.tasks.lock().await;
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(uid = self.uid, %error, "a task of a signal ended badly");
            }
        }
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

fn stream(
    platform: &Platform,
    (plan, revision): (&Arc<SignalPlan>, &Revision),
    lookups: Vec<Arc<ReloadingLookup>>,
    columns: ColumnMetrics,
) -> Result<Stream> {
    let lookups = lookups.into_iter().map(|lookup| lookup as Arc<dyn Lookup>).collect();
    let transform = Metered {
        inner: DecodeAndRun::new(Pipeline::new(Arc::clone(plan), lookups)?)?,
        metrics: platform.metrics().signal(&plan.name),
        columns,
        enrichments: plan.enrichments.iter().map(|e| e.name.clone()).collect(),
    };
    let source = Source {
        topic: revision.topic.clone(),
        topic_id: Some(revision.topic_id.clone()),
        starts: revision.start.iter().map(|p| Position { partition: p.partition, offset: p.offset }).collect(),
        share: Share::ALL,
    };
    let settings = Settings { heartbeat: HEARTBEAT, ..Settings::default() };
    let world = World { log: platform.log(&plan.source.stream.connection)?, clock: Arc::clone(platform.clock()) };
    Ok(Stream::with_settings(world, (&revision.uid, plan), (source, settings), Arc::new(transform)))
}

/// Keeps tables of enrichments at their newest version.
async fn refresh(lookups: Vec<Arc<ReloadingLookup>>, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
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
async fn upkeep(store: Arc<SignalStore>, log: Arc<dyn Log>, shutdown: CancellationToken) {
    let mut since_snapshot = Duration::ZERO;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
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
    tokio::task::block_in_place(|| store.shards().iter().try_for_each(tail::Shard::maintain))
}

/// Keeps the tail in the lake; then nobody needs the changelog before it.
async fn keep(store: &SignalStore, log: &dyn Log) -> Result<()> {
    let positions = store::take(store).await?;
    faults::point(Point::ChangelogTrim)?;
    log.trim(&layout::changelog(store.uid()), &positions).await
}
