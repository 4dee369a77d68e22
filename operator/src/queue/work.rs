//! The work on keys: one loop a controller.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::due::{Due, Seen};
use super::{Key, Next, Triggers};
use crate::clock::Stopwatch;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::metrics::{Metrics, Outcome};

/// Looks at one key: reads, decides, writes, reports. Told again what it has done already, it does nothing.
pub type Reconcile = for<'a> fn(&'a Context, &'a Key) -> BoxFuture<'a, Result<Next>>;

/// How a controller works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How many keys at a time.
    pub concurrency: usize,
    /// The longest that a look may take.
    pub patience: Duration,
    /// Every key is looked at so often though nothing changed.
    pub resync: Duration,
    /// How long looks may go on after the end was asked for.
    pub parting: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            concurrency: 8,
            patience: Duration::from_secs(120),
            resync: Duration::from_secs(10 * 3600),
            parting: Duration::from_millis(1500),
        }
    }
}

/// Over how long the keys of a resync are spread.
const SPREAD: Duration = Duration::from_secs(600);

/// The keys of one controller. Cheap to clone; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Queue(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    due: Mutex<Due>,
    woken: Notify,
    /// Whether anybody works on it: else nothing is kept.
    open: AtomicBool,
}

impl Queue {
    /// These are due at once.
    pub fn add(&self, keys: Vec<Key>) {
        if keys.is_empty() || !self.is_open() {
            return;
        }
        let now = now();
        let mut due = self.due();
        for key in keys {
            due.add(key, now);
        }
        drop(due);
        self.0.woken.notify_one();
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.open.load(Ordering::Acquire)
    }

    fn open(&self) {
        *self.due() = Due::default();
        self.0.open.store(true, Ordering::Release);
    }

    fn close(&self) {
        self.0.open.store(false, Ordering::Release);
        *self.due() = Due::default();
    }

    fn due(&self) -> MutexGuard<'_, Due> {
        self.0.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One controller: its keys, what wakes them, and what is done with one.
pub struct Controller {
    name: &'static str,
    triggers: Triggers,
    reconcile: Reconcile,
    pace: Pace,
    queue: Queue,
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller").field("name", &self.name).field("pace", &self.pace).finish_non_exhaustive()
    }
}

impl Controller {
    /// `Controller::new("signal", signal::triggers(), |context, key| Box::pin(signal::reconcile(context, key)))`
    #[must_use]
    pub fn new(name: &'static str, triggers: Triggers, reconcile: Reconcile) -> Self {
        Self { name, triggers, reconcile, pace: Pace::default(), queue: Queue::default() }
    }

    #[must_use]
    pub fn with_pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Has changes wake its keys; to be called once.
    pub fn connect(&self, context: &Arc<Context>) {
        self.triggers.connect(context, &self.queue);
    }

    /// Works until `shutdown`: every key once, then those that are woken.
    pub async fn run(&self, context: Arc<Context>, metrics: &Metrics, shutdown: &CancellationToken) {
        self.queue.open();
        self.queue.add(self.triggers.all(&context));
        let mut platform = context.platform.changes();
        let mut resync = Stopwatch::start().reaches(self.pace.resync);
        let mut work = Work { controller: self, context, metrics, running: JoinSet::new(), keys: HashMap::new() };
        loop {
            let next = work.begin_what_is_due();
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(ended) = work.running.join_next_with_id() => work.ended(ended),
                () = self.queue.0.woken.notified() => {}
                () = until(next) => {}
                () = platform.next() => self.queue.add(self.triggers.all(&work.context)),
                () = sleep_until(resync) => {
                    self.resync(&work.context);
                    resync = Stopwatch::start().reaches(self.pace.resync);
                }
            }
        }
        work.part().await;
        self.queue.close();
    }

    /// Every key, spread by its own hash.
    fn resync(&self, context: &Context) {
        let now = now();
        let mut due = self.queue.due();
        for key in self.triggers.all(context) {
            let hash = u32::try_from(xxhash_rust::xxh3::xxh3_64(key.to_string().as_bytes()) % 1024).unwrap_or_default();
            due.add(key, now + SPREAD * hash / 1024);
        }
    }
}

/// What is under way.
struct Work<'a> {
    controller: &'a Controller,
    context: Arc<Context>,
    metrics: &'a Metrics,
    running: JoinSet<Seen>,
    keys: HashMap<Id, Key>,
}

impl Work<'_> {
    /// When the next key is due, unless as many as may are under way.
    fn begin_what_is_due(&mut self) -> Option<Instant> {
        let now = now();
        let mut due = self.controller.queue.due();
        while self.running.len() < self.controller.pace.concurrency
            && let Some(key) = due.take(now)
        {
            let look = look(self.controller, Arc::clone(&self.context), self.metrics.clone(), key.clone());
            let id = self.running.spawn(look).id();
            self.keys.insert(id, key);
        }
        self.metrics.waiting(self.controller.name, due.depth(now));
        due.first().filter(|_| self.running.len() < self.controller.pace.concurrency)
    }

    fn ended(&mut self, ended: Result<(Id, Seen), JoinError>) {
        let (id, seen) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // The panic's own words are on stderr.
                tracing::error!(controller = self.controller.name, "a reconcile panicked");
                (error.id(), Seen::Failed)
            }
        };
        if let Some(key) = self.keys.remove(&id) {
            self.controller.queue.due().ended(&key, seen, now());
        }
    }

    /// Lets what is under way end; what does not is dropped where it waits: the next look goes on from there.
    async fn part(mut self) {
        let all = async { while self.running.join_next().await.is_some() {} };
        if timeout(self.controller.pace.parting, all).await.is_err() {
            self.running.shutdown().await;
        }
    }
}

/// One look, in a task of its own.
fn look(controller: &Controller, context: Arc<Context>, metrics: Metrics, key: Key) -> impl Future<Output = Seen> + Send + 'static {
    let Controller { name, reconcile, pace, .. } = controller;
    let (name, reconcile, patience) = (*name, *reconcile, pace.patience);
    async move {
        let took = Stopwatch::start();
        let result = timeout(patience, reconcile(&context, &key)).await;
        let result = result.unwrap_or_else(|_| Err(Error::Timeout { doing: "look at it".to_owned() }));
        let (seen, outcome) = match result {
            Ok(Next::Rest) => (Seen::Well(None), Outcome::Done),
            Ok(Next::At(at)) => (Seen::Well(Some(instant(&context, at))), Outcome::Done),
            Err(Error::Conflict) => {
                tracing::debug!(controller = name, %key, "somebody else was first");
                (Seen::Conflict, Outcome::Conflict)
            }
            // The term ends anyway; the next leader looks at everything.
            Err(Error::NotLeader) => (Seen::Well(None), Outcome::Failed),
            Err(error @ Error::Leaving { .. }) => {
                tracing::debug!(controller = name, %key, %error, "nothing is made any more");
                (Seen::Failed, Outcome::Conflict)
            }
            Err(error) => {
                tracing::warn!(controller = name, %key, %error, "a reconcile failed");
                (Seen::Failed, Outcome::Failed)
            }
        };
        metrics.reconciled(name, outcome, took.elapsed());
        seen
    }
}

/// The least pause before a key is looked at again for its time's sake.
const LEAST: Duration = Duration::from_millis(100);

/// When the clock will show `at`.
fn instant(context: &Context, at: jiff::Timestamp) -> Instant {
    let left = Duration::try_from(at.duration_since(context.clock.now())).unwrap_or_default();
    Stopwatch::start().reaches(left.max(LEAST))
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn now() -> Instant {
    Stopwatch::start().reaches(Duration::ZERO)
}
