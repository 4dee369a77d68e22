//! A signal revision that is read here: its tail, followed from the changelog, its base, as it is announced, and their upkeep.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tress_configs::SignalPlan;

use super::supervise::{Role, Tasks};
use crate::base::Residence;
use crate::clock::Clock;
use crate::error::{ErrorKind, Result};
use crate::faults::{self, Point};
use crate::history::History;
use crate::log::Log;
use crate::platform::Platform;
use crate::prepare;
use crate::store::{self, Bases, Budget, Follower, SignalStore, Taken, Turn};
use crate::tail;

/// Memory of a tail before it spills.
const TAIL_BYTES: usize = 256 << 20;
/// How often the tail is tidied.
const UPKEEP: Duration = Duration::from_secs(2);
/// How often the tail is kept in the lake.
const SNAPSHOT: Duration = Duration::from_secs(120);
/// How often it is looked whether that is this process's to do, where others follow the same revision.
const LOOK: Duration = Duration::from_secs(30);
/// How often a snapshot may be replaced by a newer one while it is loaded.
const RESTORES: usize = 5;

/// Who drops the changelog once the lake has the tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trim {
    /// This process, which alone reads it.
    Here,
    /// Retention: others may need what this process does not.
    Retention,
}

/// Where and how this machine keeps what it follows.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// Files of this process, by revision.
    pub scratch: &'a Path,
    pub trim: Trim,
    /// Memory of a tail before it spills.
    pub tail: usize,
    /// What bases may take; `None` = as much as there is.
    pub budget: Option<Arc<Budget>>,
}

impl<'a> Place<'a> {
    /// Of the one process that follows the revision.
    #[must_use]
    pub const fn alone(scratch: &'a Path) -> Self {
        Self { scratch, trim: Trim::Here, tail: TAIL_BYTES, budget: None }
    }
}

/// A signal revision that features of this process read.
#[derive(Debug)]
pub struct Followed {
    pub store: Arc<SignalStore>,
    pub follower: Arc<Follower>,
    pub bases: Arc<Bases>,
}

impl Followed {
    /// Loads what is kept of the revision and starts to follow it, as tasks of `tasks`.
    ///
    /// # Errors
    /// `Corrupt` when what is kept is damaged; `Full` when there is no room; when the lake does not answer.
    pub async fn start(platform: &Platform, (uid, plan): (&str, &Arc<SignalPlan>), place: Place<'_>, tasks: &mut Tasks) -> Result<Self> {
        let Place { scratch, trim, tail: tail_bytes, budget } = place;
        let history = History::new(platform.lake().clone(), uid, Arc::clone(plan));
        let spill_to = scratch.join("spill").join(uid);
        tail::clear(&spill_to)?;
        let settings = tail::Settings { memory: tail_bytes, spill_to: Some(spill_to) };
        let topics = prepare::topics(platform, uid).await?;
        let store = Arc::new(restored(&history, &settings).await?.with_changelog(topics.changelog));
        let residence = Residence::Folder(scratch.join("base").join(uid));
        let bases = Arc::new(Bases::new(Arc::clone(&store), residence).within(budget));
        bases.begin().await?;
        let metrics = platform.metrics().signal(&plan.name);
        let told = (Arc::clone(platform.clock()), metrics);
        let follower = Arc::new(Follower::new(Arc::clone(&store), Arc::clone(platform.own_log()), told));

        for shard in 0..store.shards().len() {
            let (follower, stop) = (Arc::clone(&follower), tasks.shutdown().clone());
            tasks.keep(Role::Follower(shard), move || {
                let (follower, stop) = (Arc::clone(&follower), stop.clone());
                async move { follower.follow(shard, &stop).await }
            });
        }
        let (watched, announced, stop) = (Arc::clone(&bases), follower.announced.clone(), tasks.shutdown().clone());
        tasks.keep(Role::Bases, move || {
            let (watched, announced, stop) = (Arc::clone(&watched), announced.subscribe(), stop.clone());
            async move {
                watched.watch(announced, &stop).await;
                Ok(())
            }
        });
        let (kept, stop) = (Arc::clone(&store), tasks.shutdown().clone());
        let (own, clock) = (Arc::clone(platform.own_log()), Arc::clone(platform.clock()));
        tasks.keep(Role::Upkeep, move || upkeep(Arc::clone(&kept), (Arc::clone(&own), Arc::clone(&clock), trim), stop.clone()));
        Ok(Self { store, follower, bases })
    }

    /// Tidies the tail and keeps it in the lake: what otherwise happens every few minutes.
    ///
    /// # Errors
    /// `Full` when there is no room, `Unavailable` when lake or log do not answer: what was kept before stays.
    pub async fn keep(store: &SignalStore, log: &dyn Log, trim: Trim) -> Result<()> {
        tidy(store)?;
        keep(store, log, trim).await
    }
}

/// A store with what the newest snapshot has. Others may take a newer one meanwhile, and clear that one away: then it is begun again.
async fn restored(history: &History, settings: &tail::Settings) -> Result<SignalStore> {
    let mut attempts = 0;
    loop {
        let store = SignalStore::new(history.clone(), settings);
        match store::restore(&store).await {
            Ok(()) => return Ok(store),
            Err(error) if error.kind() == ErrorKind::Conflict && attempts < RESTORES => attempts += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Tidies the tail, and now and then keeps it in the lake.
async fn upkeep(
    store: Arc<SignalStore>,
    (log, clock, trim): (Arc<dyn Log>, Arc<dyn Clock>, Trim),
    shutdown: CancellationToken,
) -> Result<()> {
    let (mut since_snapshot, mut turn) = (Duration::ZERO, Turn::new(SNAPSHOT, clock));
    let look = if trim == Trim::Here { SNAPSHOT } else { LOOK };
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(UPKEEP) => {}
        }
        since_snapshot += UPKEEP;
        if let Err(error) = tidy(&store) {
            tracing::warn!(uid = store.uid(), %error, "the tail could not be tidied; trying again");
        }
        if since_snapshot < look {
            continue;
        }
        since_snapshot = Duration::ZERO;
        let kept = match trim {
            Trim::Here => keep(&store, log.as_ref(), trim).await,
            Trim::Retention => turn.take(&store).await.map(drop),
        };
        if let Err(error) = kept {
            tracing::warn!(uid = store.uid(), %error, "the tail could not be kept; a restart replays more of the changelog");
        }
    }
}

fn tidy(store: &SignalStore) -> Result<()> {
    tokio::task::block_in_place(|| store.tidy())
}

/// Keeps the tail in the lake; then this process needs nothing of the changelog before it.
async fn keep(store: &SignalStore, log: &dyn Log, trim: Trim) -> Result<()> {
    match (store::take(store).await?, trim) {
        (Taken::Lost, _) | (_, Trim::Retention) => Ok(()),
        (Taken::Kept { positions, .. }, Trim::Here) => {
            faults::point(Point::ChangelogTrim)?;
            log.trim(store.changelog(), &positions).await
        }
    }
}
