//! The stream of a signal revision, kept going: begun again where it left off when it ends though nobody stopped it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tress_configs::SignalPlan;

use super::metered::Metered;
use super::supervise::{Health, Role, Tasks};
use crate::changelog::Published;
use crate::error::Result;
use crate::log::{Log, Position};
use crate::lookup::{Lookup, ReloadingLookup};
use crate::metrics::ColumnMetrics;
use crate::pipeline::Pipeline;
use crate::platform::Platform;
use crate::prepare::{self, OwnTopics, Revision};
use crate::rows::row_schema;
use crate::stream::{Counts, DecodeAndRun, Settings, Source, Stream, StreamState, Target, Transform, World};

/// How often tables of enrichments are looked at for newer versions.
const TABLES: Duration = Duration::from_secs(10);
/// How soon the stream says that more was published: also what a reader waits for at most to see that it is there.
const HEARTBEAT: Duration = Duration::from_millis(250);

/// The stream of a signal revision that runs in this process.
#[derive(Debug)]
pub struct Streamed {
    /// The one that runs now.
    stream: Arc<Mutex<Stream>>,
    /// What its rows look like.
    pub columns: ColumnMetrics,
    /// Where its topic is.
    log: Arc<dyn Log>,
    topic: String,
}

impl Streamed {
    /// Starts the stream and the loading of its tables, as tasks of `tasks`.
    ///
    /// # Errors
    /// When a table of an enrichment cannot be loaded, or the plan cannot be run.
    pub async fn start(platform: &Platform, revision: &Revision, plan: &Arc<SignalPlan>, tasks: &mut Tasks) -> Result<Self> {
        let lookups = reloading(platform, plan).await?;
        let columns = platform.metrics().columns(&plan.name, &row_schema(plan));
        let make = streams(platform, (plan, revision), lookups.clone(), columns.clone()).await?;
        let stream = Arc::new(Mutex::new(make()));
        let log = platform.log(&plan.source.stream.connection)?;
        let stop = tasks.shutdown().clone();
        tasks.keep(Role::Tables, move || refresh(lookups.clone(), stop.clone()));
        let (current, stop) = (Arc::clone(&stream), tasks.shutdown().clone());
        tasks.keep(Role::Stream, move || {
            // A stream is run once: another one goes on from what this one has committed.
            let (fresh, stop) = (make(), stop.clone());
            *current.lock() = fresh.clone();
            async move { fresh.run(stop).await }
        });
        Ok(Self { stream, columns, log, topic: revision.topic.clone() })
    }

    /// What it counted since it was last begun.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.stream.lock().counts()
    }

    /// How far it has published each partition that it reads.
    #[must_use]
    pub fn published(&self) -> Vec<Published> {
        self.stream.lock().published().borrow().clone()
    }

    /// Why it takes no input for now; `None` = it does.
    #[must_use]
    pub fn waiting(&self, health: &Health) -> Option<String> {
        match &*self.stream.lock().state().borrow() {
            StreamState::Waiting { reason } => Some(reason.clone()),
            StreamState::Running | StreamState::Failed { .. } => health.reason(super::Now::Pauses),
        }
    }

    /// The ends of its topic now, by partition.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn ends(&self) -> Result<Vec<(i32, i64)>> {
        Ok((0..).zip(self.log.ends(&self.topic).await?).map(|(partition, ends)| (partition, ends.end)).collect())
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
    };
    let settings = Settings { heartbeat: HEARTBEAT, ..Settings::default() };
    let OwnTopics { changelog, dead_letters, .. } = revision.topics();
    let target = Target { changelog, dead_letters };
    let (raw, own) = (platform.log(&plan.source.stream.connection)?, Arc::clone(platform.own_log()));
    let world = World { raw, own, clock: Arc::clone(platform.clock()) };
    let (uid, plan) = (revision.uid.clone(), Arc::clone(plan));
    Ok(move || Stream::with_settings(world.clone(), (&uid, &plan), ((source.clone(), target.clone()), settings), Arc::clone(&transform)))
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
