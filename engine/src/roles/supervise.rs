//! Keeps the tasks of a signal going: one that panics, or ends though nobody stopped it, is told and begun again.
//!
//! ```text
//! begin ─▶ runs ─┬─ stopped ─────────────────────────────▶ done, with what its last writes said
//!                ├─ a panic, or what may work later ─ told, pause ─▶ begin
//!                └─ what will not work later ────────────▶ failed: readers keep what is there, and whoever looks is told.
//!                                                          Followers are begun again all the same: a log may be mended, a base may come
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Stopwatch;
use crate::error::{Error, Result};

/// How long a task that ended waits before it is begun again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    /// The first; each further one is twice as long …
    pub first: Duration,
    /// … and at most this long.
    pub longest: Duration,
    /// A task that ran as long as this is over what ended it before: the next pause is the first again.
    pub calm: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { first: Duration::from_millis(250), longest: Duration::from_secs(60), calm: Duration::from_secs(120) }
    }
}

/// What a task does for its signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Raw topic to changelog.
    Stream,
    /// One shard of the changelog to the tail.
    Follower(usize),
    /// Brings new bases to readers.
    Bases,
    /// Tidies the tail and keeps it in the lake.
    Upkeep,
    /// Loads newer versions of enrichments' tables.
    Tables,
    /// Sets gauges.
    Gauges,
    /// Raw topic to raw table.
    Archive,
    /// Deletes what nothing refers to.
    Vacuum,
}

impl Role {
    /// Whether it is worth another try though nothing here can mend what ended it: it only reads, and what it reads is made elsewhere.
    const fn comes_back(self) -> bool {
        matches!(self, Self::Follower(_))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream => f.write_str("the stream"),
            Self::Follower(shard) => write!(f, "the follower of shard {shard}"),
            Self::Bases => f.write_str("the loader of bases"),
            Self::Upkeep => f.write_str("the upkeep of the tail"),
            Self::Tables => f.write_str("the loader of tables"),
            Self::Archive => f.write_str("the archive"),
            Self::Gauges => f.write_str("the gauges"),
            Self::Vacuum => f.write_str("the vacuum"),
        }
    }
}

/// What came of a task that ended though nobody stopped it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub role: Role,
    /// How often it ended that way since the signal was started.
    pub times: u32,
    /// Why, the last time.
    pub reason: String,
    pub now: Now,
}

/// What such a task does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    /// It was begun again.
    Runs,
    /// It will be begun again.
    Pauses,
    /// It will not by itself: the reason says what to do. A follower is begun again now and then, in case that was done.
    Failed,
}

/// The troubles of one signal's tasks: they stay told after the tasks run again.
#[derive(Debug, Default)]
pub struct Health {
    pauses: Pauses,
    troubles: Mutex<BTreeMap<Role, Trouble>>,
    /// Why the first task failed for good.
    failed: watch::Sender<Option<String>>,
}

impl Health {
    /// By role.
    #[must_use]
    pub fn troubles(&self) -> Vec<Trouble> {
        self.troubles.lock().values().cloned().collect()
    }

    /// Why one of the tasks is as it is `now`; the first, by role.
    #[must_use]
    pub fn reason(&self, now: Now) -> Option<String> {
        self.troubles.lock().values().find(|t| t.now == now).map(|t| t.reason.clone())
    }

    /// Waits until one of the tasks has failed for good: why.
    pub async fn failed(&self) -> String {
        let mut failed = self.failed.subscribe();
        // The sender is this: it does not go away meanwhile.
        failed.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone()).unwrap_or_default()
    }

    fn ended(&self, role: Role, error: &Error, now: Now) {
        if now == Now::Failed && !role.comes_back() {
            self.failed.send_if_modified(|reason| reason.is_none() && reason.replace(error.to_string()).is_none());
        }
        let mut troubles = self.troubles.lock();
        let trouble = troubles.entry(role).or_insert(Trouble { role, times: 0, reason: String::new(), now });
        trouble.times = trouble.times.saturating_add(1);
        trouble.reason = error.to_string();
        trouble.now = now;
    }

    fn runs(&self, role: Role) {
        if let Some(trouble) = self.troubles.lock().get_mut(&role) {
            trouble.now = Now::Runs;
        }
    }
}

/// The tasks of one signal.
#[derive(Debug)]
pub struct Tasks {
    running: JoinSet<Result<()>>,
    health: Arc<Health>,
    shutdown: CancellationToken,
}

impl Tasks {
    #[must_use]
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { running: JoinSet::new(), health: Arc::default(), shutdown }
    }

    /// Cancelled when they are to end.
    #[must_use]
    pub const fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// What became of them so far.
    #[must_use]
    pub const fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Keeps a task going. `begin` makes it anew, to go on from what is committed.
    pub fn keep<F>(&mut self, role: Role, begin: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (health, shutdown) = (Arc::clone(&self.health), self.shutdown.clone());
        self.running.spawn(async move { keep(role, &health, &shutdown, begin).await });
    }

    /// Waits until all have ended, once `shutdown` is cancelled.
    ///
    /// # Errors
    /// The first that says that its last writes failed: nothing is lost, the next start reads again.
    pub async fn join(&mut self) -> Result<()> {
        let mut outcome = Ok(());
        while let Some(ended) = self.running.join_next().await {
            let ended = ended.unwrap_or_else(|_| Err(Error::internal("what keeps a task of a signal going ended")));
            outcome = outcome.and(ended);
        }
        outcome
    }
}

/// Runs a task, over and over if need be, until `shutdown`. What ends it before is in `health`.
///
/// # Errors
/// Those of the last writes, after `shutdown`.
async fn keep<F>(role: Role, health: &Health, shutdown: &CancellationToken, mut begin: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let Pauses { first, longest, calm } = health.pauses;
    let mut pause = first;
    loop {
        let began = Stopwatch::start();
        let ended = once(role, begin()).await;
        if shutdown.is_cancelled() {
            return ended;
        }
        let error = match ended {
            Err(error) => error,
            Ok(()) => Error::internal(format!("{role} ended, though nobody stopped it")),
        };
        if !error.kind().may_work_later() {
            health.ended(role, &error, Now::Failed);
            if !role.comes_back() {
                tracing::error!(%role, %error, "a task of a signal has failed and is not begun again");
                return Ok(());
            }
            tracing::error!(%role, %error, pause = ?longest, "a task of a signal has failed; it is begun again all the same after a pause");
            if shutdown.run_until_cancelled(tokio::time::sleep(longest)).await.is_none() {
                return Ok(());
            }
            health.runs(role);
            continue;
        }
        if began.elapsed() >= calm {
            pause = first;
        }
        tracing::error!(%role, %error, ?pause, "a task of a signal ended; it is begun again after a pause");
        health.ended(role, &error, Now::Pauses);
        if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Ok(());
        }
        pause = (pause * 2).min(longest);
        health.runs(role);
    }
}

/// A task of its own, so that a panic ends it alone; aborted when this is dropped.
async fn once(role: Role, task: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
    let mut running = JoinSet::new();
    running.spawn(task);
    match running.join_next().await {
        Some(Ok(ended)) => ended,
        // What a panic says may hold a user's value: it is on the standard error of the process, not here.
        Some(Err(_)) | None => Err(Error::internal(format!("{role} panicked: a mistake of this program, please report it"))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::error::ErrorKind;

    const QUICK: Pauses = Pauses { first: Duration::from_millis(2), longest: Duration::from_millis(8), calm: Duration::from_secs(60) };

    /// A task that ends by `how` each of its first `times`, then runs until it is stopped, which is at once.
    async fn run(times: u32, how: impl Fn() -> Result<()> + Clone + Send + 'static) -> (u32, Vec<Trouble>, Duration) {
        run_as(Role::Upkeep, times, how).await
    }

    async fn run_as(role: Role, times: u32, how: impl Fn() -> Result<()> + Clone + Send + 'static) -> (u32, Vec<Trouble>, Duration) {
        let health = Health { pauses: QUICK, ..Health::default() };
        let (shutdown, begun, since) = (CancellationToken::new(), AtomicU32::new(0), Stopwatch::start());
        let kept = keep(role, &health, &shutdown, || {
            let (how, stop, nth) = (how.clone(), shutdown.clone(), begun.fetch_add(1, Ordering::SeqCst));
            async move {
                if nth < times {
                    return how();
                }
                stop.cancel();
                Ok(())
            }
        });
        tokio::time::timeout(Duration::from_secs(20), kept).await.expect("in time").unwrap();
        (begun.load(Ordering::SeqCst), health.troubles(), since.elapsed())
    }

    #[tokio::test]
    async fn a_task_that_panics_is_told_and_begun_again_and_stays_told() {
        let (begun, troubles, _) = run(3, || panic!("a value of a user")).await;
        assert_eq!(begun, 4);
        let [Trouble { role: Role::Upkeep, times: 3, reason, now: Now::Runs }] = troubles.as_slice() else { panic!("{troubles:?}") };
        assert!(reason.contains("the upkeep of the tail panicked") && !reason.contains("a value of a user"), "{reason}");
    }

    #[tokio::test]
    async fn a_task_that_ends_though_nobody_stopped_it_is_begun_again() {
        let (begun, troubles, _) = run(1, || Ok(())).await;
        assert_eq!((begun, troubles[0].times, troubles[0].now), (2, 1, Now::Runs));
        let (begun, troubles, _) = run(2, || Err(Error::new(ErrorKind::Full, "no room"))).await;
        assert_eq!((begun, troubles[0].times, troubles[0].reason.as_str()), (3, 2, "no room"));
    }

    #[tokio::test]
    async fn what_will_not_work_later_is_not_tried_again() {
        let (begun, troubles, _) = run(1, || Err(Error::corrupt("damaged"))).await;
        assert_eq!((begun, troubles[0].reason.as_str(), troubles[0].now), (1, "damaged", Now::Failed));
    }

    #[tokio::test]
    async fn a_follower_is_begun_again_whatever_ended_it_after_the_longest_pause() {
        let (begun, troubles, took) = run_as(Role::Follower(1), 2, || Err(Error::corrupt("damaged"))).await;
        let [Trouble { times: 2, now: Now::Runs, .. }] = troubles.as_slice() else { panic!("{troubles:?}") };
        assert_eq!(begun, 3);
        assert!(took >= QUICK.longest * 2, "{took:?}");
    }

    #[tokio::test]
    async fn pauses_grow_up_to_the_longest() {
        let (begun, _, took) = run(6, || Err(Error::internal("again"))).await;
        assert_eq!(begun, 7);
        assert!(took >= Duration::from_millis(2 + 4 + 8 + 8 + 8 + 8), "{took:?}");
    }

    #[tokio::test]
    async fn what_the_last_writes_say_is_returned() {
        let (health, shutdown) = (Health::default(), CancellationToken::new());
        shutdown.cancel();
        let ended = keep(Role::Stream, &health, &shutdown, || async { Err(Error::new(ErrorKind::Full, "no room")) }).await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Full);
        assert_eq!(health.troubles(), []);
    }
}
