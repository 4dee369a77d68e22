//! The signal revisions that are followed here: each once, however many features read it, and as long as one does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tress_configs::{Plan, SignalPlan};

use super::sweep::sweep;
use crate::error::{Error, ErrorKind, Result};
use crate::layout;
use crate::platform::Platform;
use crate::prepare;
use crate::roles::{Followed, Health, Now, Place, Tasks, Trim};
use crate::store::Budget;

/// The most memory of one tail before it spills.
const TAIL_BYTES: u64 = 256 << 20;
/// … and the most of it as a share of what bases may take.
const TAIL_SHARE: u64 = 8;
/// The longest UID: it becomes a folder's name.
const MAX_UID: usize = 128;
/// Bases and snapshots that are loaded at once; waiting for a changelog is no load.
const LOADS: usize = 8;
/// How often it is looked whether a tail has caught up.
const LOOK: Duration = Duration::from_millis(5);
const LONGEST_LOOK: Duration = Duration::from_millis(200);

/// All that are followed.
#[derive(Debug)]
pub struct Signals {
    platform: Platform,
    state: PathBuf,
    budget: Arc<Budget>,
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
    loads: Semaphore,
}

/// One revision's place. Held while it is started or stopped, so that it never runs twice.
#[derive(Debug, Default)]
struct Slot {
    running: tokio::sync::Mutex<Option<Arc<Signal>>>,
    /// The same, for those who only look.
    seen: Mutex<Option<Arc<Signal>>>,
    /// Rises under the lock of the slots only.
    users: AtomicU32,
}

/// A signal revision that is followed.
#[derive(Debug)]
pub struct Signal {
    pub uid: String,
    pub digest: String,
    pub plan: Arc<SignalPlan>,
    pub followed: Followed,
    pub health: Arc<Health>,
    tasks: tokio::sync::Mutex<Tasks>,
    shutdown: CancellationToken,
}

/// A signal revision that is read: it is followed while one of these is held.
#[derive(Debug)]
pub struct Use {
    pub signal: Arc<Signal>,
    _counted: Counted,
}

#[derive(Debug)]
struct Counted(Arc<Slot>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.users.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Signals {
    pub fn new(platform: Platform, state: PathBuf, budget: Budget) -> Self {
        Self { platform, state, budget: Arc::new(budget), slots: Mutex::default(), loads: Semaphore::new(LOADS) }
    }

    pub const fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// The revision of this UID and digest; starts to follow it unless it is.
    ///
    /// # Errors
    /// `NotFound` when it was not prepared; `Invalid` when it is of another digest; `Full` when its base is beyond the budget; when
    /// what is kept of it is damaged, or the lake does not answer.
    pub async fn take(&self, uid: &str, digest: &str) -> Result<Use> {
        check_uid(uid)?;
        let slot = {
            let mut slots = self.slots.lock();
            let slot = Arc::clone(slots.entry(uid.to_owned()).or_default());
            slot.users.fetch_add(1, Ordering::AcqRel);
            slot
        };
        let counted = Counted(Arc::clone(&slot));
        let mut running = slot.running.lock().await;
        let signal = match &*running {
            Some(signal) => Arc::clone(signal),
            None => {
                let signal = Arc::new(self.start(uid).await?);
                *running = Some(Arc::clone(&signal));
                *slot.seen.lock() = Some(Arc::clone(&signal));
                signal
            }
        };
        drop(running);
        if signal.digest != digest {
            let message =
                format!("signal revision {uid} has digest {}, the feature reads {digest}; prepare the feature anew", signal.digest);
            return Err(Error::invalid(message));
        }
        Ok(Use { signal, _counted: counted })
    }

    /// Every revision that is followed, with how many read it.
    pub fn all(&self) -> Vec<(Arc<Signal>, u32)> {
        let slots = self.slots.lock();
        slots.values().filter_map(|slot| Some((slot.seen.lock().clone()?, slot.users.load(Ordering::Acquire)))).collect()
    }

    /// Lets go of what nobody reads, and of its files.
    pub async fn tidy(&self) {
        let idle = |(uid, slot): (&String, &Arc<Slot>)| (slot.users.load(Ordering::Acquire) == 0).then(|| (uid.clone(), Arc::clone(slot)));
        let unread: Vec<(String, Arc<Slot>)> = self.slots.lock().iter().filter_map(idle).collect();
        for (uid, slot) in unread {
            let mut running = slot.running.lock().await;
            if slot.users.load(Ordering::Acquire) > 0 {
                continue;
            }
            if let Some(signal) = running.take() {
                slot.seen.lock().take();
                signal.stop().await;
                self.forget_metrics(&signal);
            }
            let mut slots = self.slots.lock();
            if slot.users.load(Ordering::Acquire) == 0 {
                slots.remove(&uid);
            }
        }
        // What is being started has a slot already.
        match sweep(&self.state, |uid| self.slots.lock().contains_key(uid)) {
            Ok(0) => {}
            Ok(folders) => tracing::info!(folders, "deleted files of signal revisions that are not followed any more"),
            Err(error) => {
                tracing::warn!(%error, "files of signal revisions that are gone could not be deleted; the next sweep tries again");
            }
        }
    }

    /// Lets go of all, whoever reads it.
    pub async fn stop(&self) {
        let slots: Vec<Arc<Slot>> = self.slots.lock().values().cloned().collect();
        for slot in slots {
            slot.seen.lock().take();
            if let Some(signal) = slot.running.lock().await.take() {
                signal.stop().await;
            }
        }
    }

    async fn start(&self, uid: &str) -> Result<Signal> {
        let _one_of_few = self.loads.acquire().await.map_err(|_| Error::internal("load: the gate is closed"))?;
        let revision = prepare::read(&self.platform, uid).await?;
        let revision = revision.ok_or_else(|| Error::not_found(format!("signal revision {uid} is not prepared; prepare it first")))?;
        let Plan::Signal(plan) = prepare::plan(&self.platform, &revision.digest).await? else {
            return Err(Error::corrupt(format!(
                "signal revision {uid} names a feature's plan; restore {} from a copy",
                layout::revision(uid)
            )));
        };
        let (plan, shutdown) = (Arc::new(plan), CancellationToken::new());
        let mut tasks = Tasks::new(shutdown.clone());
        let tail = TAIL_BYTES.min(self.budget.bytes() / TAIL_SHARE);
        let place = Place {
            scratch: &self.state,
            trim: Trim::Retention,
            tail: usize::try_from(tail).unwrap_or(usize::MAX),
            budget: Some(Arc::clone(&self.budget)),
        };
        let followed = Followed::start(&self.platform, (uid, &plan), place, &mut tasks).await?;
        self.platform.metrics().signal(&plan.name).digest(&revision.digest);
        let health = Arc::clone(tasks.health());
        Ok(Signal { uid: uid.to_owned(), digest: revision.digest, plan, followed, health, tasks: tokio::sync::Mutex::new(tasks), shutdown })
    }

    /// Revisions of one name share their series.
    fn forget_metrics(&self, gone: &Signal) {
        self.platform.metrics().signal(&gone.plan.name).forget_digest(&gone.digest);
        if self.all().iter().all(|(other, _)| other.plan.name != gone.plan.name) {
            self.platform.metrics().forget_signal(&gone.plan.name);
        }
    }

    /// Waits until everything that is in the changelog when it is called can be read.
    ///
    /// # Errors
    /// `Invalid` when the changelog no longer reaches back to what is held of the tail, or following it has failed for good;
    /// `NotFound` when there is no changelog; `Unavailable` when the log does not answer.
    pub async fn caught_up(&self, signal: &Signal) -> Result<()> {
        let (uid, shards) = (&signal.uid, signal.followed.store.shards());
        let ends = self.platform.own_log().ends(signal.followed.store.changelog()).await?;
        if ends.len() < shards.len() {
            return Err(Error::invalid(format!(
                "the changelog of signal revision {uid} has {} partitions, its plan {}; prepare the signal anew",
                ends.len(),
                shards.len()
            )));
        }
        for (shard, (held, end)) in shards.iter().zip(&ends).enumerate() {
            if held.position().max(signal.followed.store.based(shard)) < end.start {
                return Err(Error::invalid(format!(
                    "the changelog of signal revision {uid} no longer reaches back to what base and the tail's snapshot have: partition {shard} \
                     begins at {}, and {} is needed; fold the signal twice, keep changelogs longer, or backfill it as a new revision",
                    end.start,
                    held.position().max(signal.followed.store.based(shard))
                )));
            }
        }
        let mut pause = LOOK;
        while shards.iter().zip(&ends).any(|(shard, end)| shard.position() < end.end) {
            if let Some(reason) = signal.health.reason(Now::Failed) {
                return Err(Error::new(ErrorKind::Invalid, reason));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_LOOK);
        }
        Ok(())
    }
}

impl Signal {
    /// What is not as it should be, and readers have what was there before.
    pub fn troubles(&self) -> Vec<String> {
        let tasks = self.health.troubles().into_iter().filter(|t| t.now != Now::Runs).map(|t| format!("{}: {}", t.role, t.reason));
        self.followed.bases.trouble().into_iter().chain(self.followed.store.trouble()).chain(tasks).collect()
    }

    async fn stop(&self) {
        self.shutdown.cancel();
        if let Err(error) = self.tasks.lock().await.join().await {
            tracing::warn!(uid = self.uid, %error, "a signal revision did not stop in good order");
        }
    }
}

fn check_uid(uid: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if uid.is_empty() || uid.len() > MAX_UID || uid.starts_with('.') || !uid.chars().all(plain) {
        return Err(Error::invalid("a signal revision's UID has to be letters, digits, dashes, dots; prepare the feature anew"));
    }
    Ok(())
}
