//! A signal revision that runs: its stream, the followers of its changelog, its bases, its upkeep.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tress_configs::SignalPlan;

use crate::base::Residence;
use crate::decode::Decoder;
use crate::error::{Error, ErrorKind, Result};
use crate::history::History;
use crate::lookup::reload::Reloading;
use crate::pipeline::Pipeline;
use crate::platform::Platform;
use crate::prepare::{self, Revision};
use crate::store::{self, Bases, Follower, SignalStore};
use crate::stream::{Stream, StreamState};
use crate::tail;
use crate::{faults, layout};

/// Memory of a tail before it spills.
const TAIL_BYTES: usize = 256 << 20;
/// How often the tail is tidied.
const UPKEEP: Duration = Duration::from_secs(2);
/// How often the tail is kept in the lake, and the changelog before it dropped.
const SNAPSHOT: Duration = Duration::from_secs(120);

/// A signal revision that runs.
#[derive(Debug)]
pub struct RunningSignal {
    pub uid: String,
    pub plan: Arc<SignalPlan>,
    pub revision: Revision,
    pub store: Arc<SignalStore>,
    pub follower: Arc<Follower>,
    pub bases: Arc<Bases>,
    stream: tokio::sync::watch::Receiver<StreamState>,
    /// Why a task ended that should not have.
    failed: Arc<Mutex<Option<String>>>,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
    shutdown: CancellationToken,
}

impl RunningSignal {
    /// Prepares the revision unless it was, loads what is kept of it, and starts its roles.
    ///
    /// # Errors
    /// As [`prepare::signal`]; `Corrupt` when what is kept is damaged.
    pub async fn start(platform: &Platform, plan: Arc<SignalPlan>, uid: String, scratch: &Path) -> Result<Self> {
        let revision = prepare::signal(platform, &plan, &uid).await?;
        let history = History::new(platform.lake().clone(), &uid, Arc::clone(&plan));
        let settings = tail::Settings { memory: TAIL_BYTES, spill_to: Some(scratch.join("spill").join(&uid)) };
        let store = Arc::new(SignalStore::new(history, &settings));
        store::restore(&store).await?;
        let bases = Arc::new(Bases::new(Arc::clone(&store), Residence::Folder(scratch.join("base").join(&uid))));
        bases.refresh().await?;

        let shutdown = CancellationToken::new();
        let failed: Arc<Mutex<Option<String>>> = Arc::default();
        let follower = Arc::new(Follower::new(Arc::clone(&store), Arc::clone(platform.own_log())));
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
        let stream = start_stream(platform, &plan, &revision, (&mut tasks, &shutdown)).await?;
        Ok(Self { uid, plan, revision, store, follower, bases, stream, failed, tasks: tokio::sync::Mutex::new(tasks), shutdown })
    }

    /// Why this signal does not go on; `None` = it does.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        if let Some(reason) = self.failed.lock().clone() {
            return Some(reason);
        }
        match &*self.stream.borrow() {
            StreamState::Failed { reason } => Some(reason.clone()),
            StreamState::Running | StreamState::Waiting { .. } => None,
        }
    }

    /// Why the stream takes no input for now; `None` = it does.
    #[must_use]
    pub fn waiting(&self) -> Option<String> {
        match &*self.stream.borrow() {
            StreamState::Waiting { reason } => Some(reason.clone()),
            StreamState::Running | StreamState::Failed { .. } => None,
        }
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
