//! Which revisions are loaded: those that routes name, and for a while those that were asked for. Each fails for itself.
//!
//! Readers name a revision by the digest of its plan. Two objects may have the same plan and data of their own, when one was made anew:
//! then the one that counts is shown to readers as soon as it is ready, and the other one until then.

use std::collections::{BTreeMap, BTreeSet};
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
use super::signals::Signals;
use super::tracked::{All, Beside, Exact, Key, Phase, Told, Tracked, key_of};
use crate::clock::Stopwatch;
use crate::error::{Error, ErrorKind, Result};
use crate::platform::Platform;
use crate::serve::{About, Pinned, Reader, State};

/// How often what is to be done by time is looked at.
const TICK: Duration = Duration::from_millis(200);
/// The most revisions that are kept because they were asked for.
const MAX_ASKED: usize = 1_000;

/// All that are loaded, or are to be.
#[derive(Debug)]
pub struct Revisions {
    platform: Platform,
    reader: Arc<Reader>,
    signals: Arc<Signals>,
    pace: Pace,
    all: Mutex<All>,
    /// What `Load` asked for, and since when.
    asked: Mutex<BTreeMap<Exact, Stopwatch>>,
    news: Notify,
}

/// How a load ended.
type Ended = (Exact, CancellationToken, Result<Loaded>);

impl Revisions {
    pub fn new(platform: Platform, (reader, signals): (Arc<Reader>, Arc<Signals>), pace: Pace) -> Self {
        Self { platform, reader, signals, pace, all: Mutex::default(), asked: Mutex::default(), news: Notify::new() }
    }

    /// Begins to load revisions beside those that are loaded; one that failed is tried again at once.
    ///
    /// # Errors
    /// `Full` when too many were asked for already; none of these is loaded then.
    pub fn ask(&self, wanted: &[(QualifiedName, Pinned)]) -> Result<()> {
        {
            let mut asked = self.asked.lock();
            let new = wanted.iter().filter(|exact| !asked.contains_key(*exact)).count();
            if asked.len() + new > MAX_ASKED {
                let message = format!("load: {MAX_ASKED} revisions are kept because they were asked for; route some, or wait");
                return Err(Error::new(ErrorKind::Full, message));
            }
            asked.extend(wanted.iter().map(|exact| (exact.clone(), Stopwatch::start())));
        }
        let mut all = self.all.lock();
        for exact in wanted {
            if let Some(Tracked { phase: Phase::Failed { pause, .. }, .. }) = all.tracked.get_mut(exact) {
                *pause = Duration::ZERO;
            }
        }
        drop(all);
        self.news.notify_one();
        Ok(())
    }

    /// What is known of the revision that readers are shown; `None` = nothing names it.
    pub fn told(&self, key: &Key) -> Option<Told> {
        let all = self.all.lock();
        let pinned = Pinned { uid: all.shown.get(key)?.uid.clone(), digest: key.1.clone() };
        let Tracked { phase, .. } = all.tracked.get(&(key.0.clone(), pinned.clone()))?;
        Some(phase.told(pinned.uid))
    }

    /// What is known of revisions of a feature that readers are not shown.
    pub fn beside(&self, feature: &QualifiedName) -> Vec<Beside> {
        let all = self.all.lock();
        let is_shown = |pinned: &Pinned| all.shown.get(&(feature.clone(), pinned.digest.clone())).is_some_and(|s| s.uid == pinned.uid);
        let others = all.tracked.iter().filter(|((name, pinned), _)| name == feature && !is_shown(pinned));
        others.map(|((_, pinned), Tracked { phase, .. })| phase.beside(pinned)).collect()
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
        for tracked in self.all.lock().tracked.values() {
            tracked.cancel.cancel();
        }
        while loading.join_next().await.is_some() {}
        while tidying.join_next().await.is_some() {}
        *self.all.lock() = All::default();
    }

    /// Begins what is to be begun, and lets go of what nothing names any more; whether signals may be unread now.
    fn look(self: &Arc<Self>, loading: &mut JoinSet<Ended>) -> bool {
        let named = self.named();
        let mut all = self.all.lock();
        let gone = all.gone(&named, self.pace.grace);
        for exact in &gone {
            if let Some(tracked) = all.tracked.remove(exact) {
                tracked.cancel.cancel();
                tracing::info!(feature = %exact.0, digest = exact.1.digest, uid = exact.1.uid, "a revision was unloaded");
            }
        }
        for exact in &named {
            let again = match all.tracked.get(exact) {
                None => None,
                Some(Tracked { phase: Phase::Failed { kind, reason, since, pause }, failures, .. }) if since.elapsed() >= *pause => {
                    Some((*failures, (*kind, reason.clone())))
                }
                Some(_) => continue,
            };
            let cancel = CancellationToken::new();
            let (failures, before) = again.map_or((0, None), |(failures, before)| (failures, Some(before)));
            let begun = Tracked { phase: Phase::Loading { before }, failures, unnamed: None, cancel: cancel.clone() };
            all.tracked.insert(exact.clone(), begun);
            loading.spawn(Arc::clone(self).attempt(exact.clone(), cancel));
        }
        self.show(&mut all, &named);
        !gone.is_empty()
    }

    /// What is to be loaded, what counts more first: live, then trial, then what else routes name, then what was asked for.
    fn named(&self) -> Vec<Exact> {
        let mut named: Vec<Exact> = Vec::new();
        for (feature, route) in self.reader.routes.current().iter() {
            named.extend(route.revisions().map(|pinned| (feature.clone(), pinned.clone())));
        }
        let mut asked = self.asked.lock();
        asked.retain(|_, since| since.elapsed() < self.pace.asked);
        let routed: BTreeSet<&Exact> = named.iter().collect();
        let others: Vec<Exact> = asked.keys().filter(|exact| !routed.contains(exact)).cloned().collect();
        named.extend(others);
        named
    }

    /// Shows readers of each key the one that counts most of those that are ready, and nothing else than before where none is.
    fn show(&self, all: &mut All, named: &[Exact]) {
        let chosen = all.chosen(named);
        all.shown.retain(|key, _| {
            let stays = chosen.contains_key(key);
            if !stays {
                self.reader.unload(&key.0, &key.1);
            }
            stays
        });
        for (key, now) in chosen {
            if all.shown.get(&key) == Some(&now) {
                continue;
            }
            let (feature, digest) = &key;
            match all.tracked.get(&(feature.clone(), Pinned { uid: now.uid.clone(), digest: digest.clone() })) {
                Some(Tracked { phase: Phase::Ready(loaded), .. }) => {
                    self.reader.registry.ready(Arc::clone(&loaded.served), About::default());
                    tracing::info!(%feature, digest, uid = now.uid, "a revision is ready");
                }
                _ => self.reader.registry.loading(feature, digest),
            }
            all.shown.insert(key, now);
        }
    }

    async fn attempt(self: Arc<Self>, exact: Exact, cancel: CancellationToken) -> Ended {
        // What panics fails alone.
        let alone = AssertUnwindSafe(load(&self.platform, &self.signals, (&exact.0, &exact.1))).catch_unwind();
        let ended = match cancel.run_until_cancelled(alone).await {
            Some(Ok(ended)) => ended,
            Some(Err(_)) => Err(Error::internal("the load panicked: a mistake of this program, please report it")),
            None => Err(Error::internal("the load was given up")),
        };
        (exact, cancel, ended)
    }

    fn ended(&self, (exact, cancel, ended): Ended) {
        let (feature, Pinned { uid, digest }) = &exact;
        let named = self.named();
        let mut all = self.all.lock();
        // It may have been given up, and begun again, meanwhile.
        let Some(tracked) = all.tracked.get_mut(&exact).filter(|_| !cancel.is_cancelled()) else { return };
        match ended {
            Ok(loaded) => (tracked.phase, tracked.failures) = (Phase::Ready(loaded), 0),
            Err(error) => {
                let (kind, reason) = (error.kind(), error.to_string());
                let doubled = self.pace.again.saturating_mul(1 << tracked.failures.min(16));
                let pause = if may_work_soon(kind) { doubled.min(self.pace.longest) } else { self.pace.longest };
                tracing::warn!(%feature, digest, uid, error = reason, ?pause, "a revision could not be loaded; trying again after a pause");
                tracked.failures = tracked.failures.saturating_add(1);
                tracked.phase = Phase::Failed { kind, reason, since: Stopwatch::start(), pause };
            }
        }
        self.show(&mut all, &named);
        self.tell_failures(&all);
    }

    /// Tells readers what failed. That the outside world does not answer is no reason of a revision's own unless it answers for
    /// another: a process that could load nothing yet is not ready.
    fn tell_failures(&self, all: &All) {
        let answers = all.tracked.values().any(|tracked| matches!(tracked.phase, Phase::Ready(_)));
        for (exact @ (feature, Pinned { uid, digest }), tracked) in &all.tracked {
            // Readers have another one of the same contents.
            if all.shown.get(&key_of(exact)).is_none_or(|shown| shown.uid != *uid) {
                continue;
            }
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
