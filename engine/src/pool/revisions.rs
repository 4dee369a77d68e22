//! Which revisions are loaded: those that routes name, and for a while those that were asked for. Each fails for itself.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tress_configs::name::QualifiedName;

use super::Pace;
use super::load::{Loaded, load};
use super::signals::{Signals, Use};
use crate::clock::Stopwatch;
use crate::error::{Error, ErrorKind, Result};
use crate::platform::Platform;
use crate::serve::{About, Pinned, Reader, State};

/// How often what is to be done by time is looked at.
const TICK: Duration = Duration::from_millis(200);
/// The most revisions that are kept because they were asked for.
const MAX_ASKED: usize = 1_000;

/// A revision of a feature, by the digest of its plan.
pub type Key = (QualifiedName, String);

/// All that are loaded, or are to be.
#[derive(Debug)]
pub struct Revisions {
    platform: Platform,
    reader: Arc<Reader>,
    signals: Arc<Signals>,
    pace: Pace,
    tracked: Mutex<BTreeMap<Key, Tracked>>,
    /// What `Load` asked for: its UID, and since when.
    asked: Mutex<BTreeMap<Key, (String, Stopwatch)>>,
    news: Notify,
}

/// One of them.
#[derive(Debug)]
struct Tracked {
    uid: String,
    phase: Phase,
    /// Attempts that failed in a row.
    failures: u32,
    /// Since when nothing names it.
    unnamed: Option<Stopwatch>,
    /// Ends its load.
    cancel: CancellationToken,
}

#[derive(Debug)]
enum Phase {
    Loading {
        /// Why the attempt before failed.
        before: Option<(ErrorKind, String)>,
    },
    Ready(Vec<Use>),
    Failed {
        kind: ErrorKind,
        reason: String,
        since: Stopwatch,
        pause: Duration,
    },
}

/// What is told of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub uid: String,
    /// Why it failed, or failed before it was tried again.
    pub reason: String,
    /// UIDs of its signals, in the plan's order; none before it is ready.
    pub signals: Vec<String>,
}

/// How a load ended.
type Ended = (Key, CancellationToken, Result<Loaded>);

impl Revisions {
    pub fn new(platform: Platform, (reader, signals): (Arc<Reader>, Arc<Signals>), pace: Pace) -> Self {
        Self { platform, reader, signals, pace, tracked: Mutex::default(), asked: Mutex::default(), news: Notify::new() }
    }

    /// Begins to load revisions beside those that are loaded; one that failed is tried again at once.
    ///
    /// # Errors
    /// `Full` when too many were asked for already; none of these is loaded then.
    pub fn ask(&self, wanted: &[(QualifiedName, Pinned)]) -> Result<()> {
        {
            let mut asked = self.asked.lock();
            let new = wanted.iter().filter(|(feature, pinned)| !asked.contains_key(&(feature.clone(), pinned.digest.clone()))).count();
            if asked.len() + new > MAX_ASKED {
                let message = format!("load: {MAX_ASKED} revisions are kept because they were asked for; route some, or wait");
                return Err(Error::new(ErrorKind::Full, message));
            }
            for (feature, Pinned { uid, digest }) in wanted {
                asked.insert((feature.clone(), digest.clone()), (uid.clone(), Stopwatch::start()));
            }
        }
        let mut tracked = self.tracked.lock();
        for (feature, pinned) in wanted {
            if let Some(Tracked { phase: Phase::Failed { pause, .. }, .. }) = tracked.get_mut(&(feature.clone(), pinned.digest.clone())) {
                *pause = Duration::ZERO;
            }
        }
        drop(tracked);
        self.news.notify_one();
        Ok(())
    }

    /// What is known of a revision; `None` = nothing names it.
    pub fn told(&self, key: &Key) -> Option<Told> {
        let tracked = self.tracked.lock();
        let Tracked { uid, phase, .. } = tracked.get(key)?;
        let (reason, signals) = match phase {
            Phase::Loading { before } => (before.as_ref().map(|(_, reason)| reason.clone()).unwrap_or_default(), Vec::new()),
            Phase::Ready(uses) => (String::new(), uses.iter().map(|used| used.signal.uid.clone()).collect()),
            Phase::Failed { reason, .. } => (reason.clone(), Vec::new()),
        };
        Some(Told { uid: uid.clone(), reason, signals })
    }

    /// Loads and lets go, until `shutdown`.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let mut changes = self.reader.routes.subscribe();
        let (mut loading, mut tidying) = (JoinSet::<Ended>::new(), JoinSet::<()>::new());
        let mut tidy = true;
        loop {
            tidy |= self.look(&mut loading);
            // Copies from before a restart are of use until everything that is named has found its own.
            if tidy && tidying.is_empty() && self.reader.not_ready().is_none() {
                let signals = Arc::clone(&self.signals);
                tidying.spawn(async move { signals.tidy().await });
                tidy = false;
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = changes.changed() => {}
                () = self.news.notified() => {}
                Some(ended) = loading.join_next() => if let Ok(ended) = ended {
                    // What failed may have left signals that nobody reads.
                    tidy |= ended.2.is_err();
                    self.ended(ended);
                },
                Some(_) = tidying.join_next() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
        for tracked in self.tracked.lock().values() {
            tracked.cancel.cancel();
        }
        while loading.join_next().await.is_some() {}
        while tidying.join_next().await.is_some() {}
        self.tracked.lock().clear();
    }

    /// Begins what is to be begun, and lets go of what nothing names any more; whether signals may be unread now.
    fn look(self: &Arc<Self>, loading: &mut JoinSet<Ended>) -> bool {
        let named = self.named();
        let mut tracked = self.tracked.lock();
        let mut gone: Vec<Key> = Vec::new();
        for (key, tracked) in tracked.iter_mut() {
            match named.get(key) {
                // Another object of the same contents: its data is elsewhere.
                Some(uid) if *uid != tracked.uid => gone.push(key.clone()),
                Some(_) => tracked.unnamed = None,
                None => {
                    if tracked.unnamed.get_or_insert_with(Stopwatch::start).elapsed() >= self.pace.grace {
                        gone.push(key.clone());
                    }
                }
            }
        }
        for key in &gone {
            if let Some(tracked) = tracked.remove(key) {
                tracked.cancel.cancel();
                self.reader.unload(&key.0, &key.1);
                tracing::info!(feature = %key.0, digest = key.1, uid = tracked.uid, "a revision was unloaded");
            }
        }
        for (key, uid) in named {
            let (feature, digest) = &key;
            let again = match tracked.get(&key) {
                None => {
                    self.reader.registry.loading(feature, digest);
                    None
                }
                Some(Tracked { phase: Phase::Failed { kind, reason, since, pause }, failures, .. }) if since.elapsed() >= *pause => {
                    Some((*failures, (*kind, reason.clone())))
                }
                Some(_) => continue,
            };
            let cancel = CancellationToken::new();
            let (failures, before) = again.map_or((0, None), |(failures, before)| (failures, Some(before)));
            let begun = Tracked { uid: uid.clone(), phase: Phase::Loading { before }, failures, unnamed: None, cancel: cancel.clone() };
            tracked.insert(key.clone(), begun);
            loading.spawn(Arc::clone(self).attempt(key, uid, cancel));
        }
        !gone.is_empty()
    }

    /// What is to be loaded. A route counts more than what was asked for.
    fn named(&self) -> BTreeMap<Key, String> {
        let mut named = BTreeMap::new();
        for (feature, route) in self.reader.routes.current().iter() {
            for Pinned { uid, digest } in route.revisions() {
                // Live, then trial: the first counts where two objects have the same contents.
                named.entry((feature.clone(), digest.clone())).or_insert_with(|| uid.clone());
            }
        }
        let mut asked = self.asked.lock();
        asked.retain(|_, (_, since)| since.elapsed() < self.pace.asked);
        for (key, (uid, _)) in asked.iter() {
            named.entry(key.clone()).or_insert_with(|| uid.clone());
        }
        named
    }

    async fn attempt(self: Arc<Self>, key: Key, uid: String, cancel: CancellationToken) -> Ended {
        let pinned = Pinned { uid, digest: key.1.clone() };
        // What panics fails alone.
        let alone = AssertUnwindSafe(load(&self.platform, &self.signals, (&key.0, &pinned))).catch_unwind();
        let ended = match cancel.run_until_cancelled(alone).await {
            Some(Ok(ended)) => ended,
            Some(Err(_)) => Err(Error::internal("the load panicked: a mistake of this program, please report it")),
            None => Err(Error::internal("the load was given up")),
        };
        (key, cancel, ended)
    }

    fn ended(&self, (key, cancel, ended): Ended) {
        let (feature, digest) = &key;
        let mut all = self.tracked.lock();
        // It may have been given up, and begun again, meanwhile.
        let Some(tracked) = all.get_mut(&key).filter(|_| !cancel.is_cancelled()) else { return };
        match ended {
            Ok(Loaded { served, uses }) => {
                self.reader.registry.ready(served, About::default());
                (tracked.phase, tracked.failures) = (Phase::Ready(uses), 0);
                tracing::info!(%feature, digest, uid = tracked.uid, "a revision is ready");
            }
            Err(error) => {
                let (kind, reason) = (error.kind(), error.to_string());
                let doubled = self.pace.again.saturating_mul(1 << tracked.failures.min(16));
                let pause = if may_work_soon(kind) { doubled.min(self.pace.longest) } else { self.pace.longest };
                tracing::warn!(%feature, digest, uid = tracked.uid, error = reason, ?pause, "a revision could not be loaded; trying again after a pause");
                tracked.failures = tracked.failures.saturating_add(1);
                tracked.phase = Phase::Failed { kind, reason, since: Stopwatch::start(), pause };
            }
        }
        self.tell_failures(&all);
    }

    /// Tells readers what failed. That the outside world does not answer is no reason of a revision's own unless it answers for
    /// another: a process that could load nothing yet is not ready.
    fn tell_failures(&self, all: &BTreeMap<Key, Tracked>) {
        let answers = all.values().any(|tracked| matches!(tracked.phase, Phase::Ready(_)));
        for ((feature, digest), tracked) in all {
            let failed = match &tracked.phase {
                Phase::Failed { kind, reason, .. } => Some((kind, reason)),
                Phase::Loading { before } => before.as_ref().map(|(kind, reason)| (kind, reason)),
                Phase::Ready(_) => None,
            };
            let Some((_, reason)) = failed.filter(|(kind, _)| answers || **kind != ErrorKind::Unavailable) else { continue };
            let told = self.reader.registry.state(feature, digest);
            if !matches!(told, Some(State::Failed { reason: ref before }) if before == reason) {
                self.reader.registry.failed(feature, digest, reason.clone());
            }
        }
    }
}

/// Whether a pause alone may help; else somebody has to do something.
const fn may_work_soon(kind: ErrorKind) -> bool {
    kind.may_work_later() || matches!(kind, ErrorKind::NotFound)
}
