//! A signal revision that runs whole in this process: streamed, followed, folded, tidied.

use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tress_configs::{Plan, SignalPlan};

use super::{clean, gauges};
use crate::error::{Context, Result};
use crate::log::Log;
use crate::platform::Platform;
use crate::prepare::{self, Revision};
use crate::roles::{Followed, Health, Now, Place, Role, Streamed, Tasks, Trim, Trouble};
use crate::store::{Bases, Follower, SignalStore};
use crate::stream::Counts;

/// A signal revision that runs.
#[derive(Debug)]
pub struct RunningSignal {
    pub uid: String,
    pub plan: Arc<SignalPlan>,
    pub revision: Revision,
    pub store: Arc<SignalStore>,
    pub follower: Arc<Follower>,
    pub bases: Arc<Bases>,
    pub(super) streamed: Streamed,
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
        let shutdown = CancellationToken::new();
        let mut tasks = Tasks::new(shutdown.clone());
        let health = Arc::clone(tasks.health());
        let Followed { store, follower, bases } = Followed::start(platform, (&uid, &plan), Place::alone(scratch), &mut tasks).await?;
        let streamed = Streamed::start(platform, &revision, &plan, &mut tasks).await?;

        let tasks = tokio::sync::Mutex::new(tasks);
        let folding = tokio::sync::Mutex::default();
        let signal = Arc::new(Self { uid, plan, revision, store, follower, bases, streamed, health, tasks, folding, shutdown });
        let (watched, clock, stop) = (Arc::clone(&signal), Arc::clone(platform.clock()), signal.shutdown.clone());
        let metrics = platform.metrics().signal(&signal.plan.name);
        let (vacuumed, platform, end) = (Arc::clone(&signal), platform.clone(), signal.shutdown.clone());
        let mut tasks = signal.tasks.lock().await;
        tasks.keep(Role::Gauges, move || {
            let gauges = gauges::watch(Arc::clone(&watched), (Arc::clone(&clock), metrics.clone()), stop.clone());
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
        self.streamed.waiting(&self.health)
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
        self.streamed.ends().await
    }

    /// What its stream counted since it was last begun.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.streamed.counts()
    }

    /// Tidies the tail, keeps it in the lake and drops the changelog before it: what otherwise happens every few minutes.
    ///
    /// # Errors
    /// `Full` when there is no room, `Unavailable` when lake or log do not answer: what was kept before stays.
    pub async fn keep(&self, log: &dyn Log) -> Result<()> {
        Followed::keep(&self.store, log, Trim::Here).await
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
