//! From what is live to what is desired: build beside, catch up, swap, retire.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tress_configs::name::QualifiedName;
use tress_configs::plan::BatchPlan;
use tress_configs::{FeaturePlan, Plan, SignalPlan};

use super::fold;
use super::signal::RunningSignal;
use super::state::{LiveFeature, LiveSignal, State};
use super::{Change, Compiled, Desired, Fold, Inner};
use crate::error::{Error, ErrorKind, Result};
use crate::prepare;
use crate::serve::{About, Absent, Pinned, Route, RouteFile};
use crate::store::ServedFeature;

/// How often it is looked whether a new revision is caught up.
const LOOK: Duration = Duration::from_millis(20);
/// How long a stream that waits is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What runs: changed only by whoever holds its lock.
#[derive(Debug, Default)]
pub struct Running {
    /// By UID.
    pub signals: BTreeMap<String, Arc<RunningSignal>>,
    pub features: BTreeMap<QualifiedName, RunningFeature>,
    /// As it is on disk.
    pub state: State,
    /// What people say of features.
    pub about: BTreeMap<QualifiedName, About>,
}

#[derive(Debug, Clone)]
pub struct RunningFeature {
    pub plan: Arc<FeaturePlan>,
    pub served: Arc<ServedFeature>,
}

impl Running {
    /// The newest schema version of a signal that runs, and of it the revision that features read.
    pub(super) fn signal(&self, name: &QualifiedName) -> Result<Arc<RunningSignal>> {
        let read: BTreeSet<&String> = self.state.features.values().flat_map(|f| &f.signals).collect();
        let of_name = self.signals.values().filter(|s| s.plan.name == *name);
        let best = of_name.max_by_key(|s| (read.contains(&s.uid), s.plan.schema_version));
        best.cloned().ok_or_else(|| {
            let known: BTreeSet<String> = self.signals.values().map(|s| s.plan.name.to_string()).collect();
            Error::not_found(format!("signal {name} does not run here; these do: {}", known.into_iter().collect::<Vec<_>>().join(", ")))
        })
    }
}

/// The UID of a signal revision on one machine: its name and what it is, so that a definition that comes back finds its data.
fn uid(name: &QualifiedName, source_hash: &str) -> String {
    let hash = source_hash.rsplit(':').next().unwrap_or(source_hash);
    format!("{}.{}.{}", name.namespace, name.name, hash.get(..12).unwrap_or(hash))
}

impl Inner {
    /// Makes what was live at the last stop live again. What fails is unavailable by itself, with its reason.
    pub(super) async fn restore(&self, running: &mut Running) -> Result<()> {
        let features = running.state.features.clone();
        for (text, live) in features {
            let name = parse(&text)?;
            if let Err(e) = self.restore_feature(running, &name, &live).await {
                tracing::error!(feature = text, error = %e, "a feature could not be loaded");
                self.reader.registry.failed(&name, &live.digest, e.to_string());
            }
        }
        self.route(running).await
    }

    async fn restore_feature(&self, running: &mut Running, name: &QualifiedName, live: &LiveFeature) -> Result<()> {
        let Plan::Feature(plan) = prepare::plan(&self.platform, &live.digest).await? else {
            return Err(Error::corrupt(format!("plan {} is not a feature's", live.digest)));
        };
        let mut signals = Vec::with_capacity(live.signals.len());
        for uid in &live.signals {
            let known = running.state.signals.get(uid).cloned();
            let known =
                known.ok_or_else(|| Error::corrupt(format!("node.json does not know signal revision {uid}; remove it to build anew")))?;
            let Plan::Signal(signal) = prepare::plan(&self.platform, &known.digest).await? else {
                return Err(Error::corrupt(format!("plan {} is not a signal's", known.digest)));
            };
            signals.push(self.start(running, Arc::new(signal), uid, &known.source_hash).await?);
        }
        for signal in &signals {
            caught_up(signal).await?;
        }
        self.load(running, name, Arc::new(plan), &signals)
    }

    /// Brings what runs to what is desired; see [`super::Node::apply`].
    pub(super) async fn reconcile(&self, running: &mut Running, desired: Desired) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        let before = std::mem::replace(&mut running.about, desired.about.clone());
        for (name, feature) in &running.features {
            if running.about.get(name) != before.get(name) {
                self.reader.registry.ready(Arc::clone(&feature.served), running.about.get(name).cloned().unwrap_or_default());
            }
        }
        for feature in &desired.features {
            let name = feature.plan.name.clone();
            let change = match self.bring(running, feature, &desired.signals).await {
                Ok(change) => change,
                Err(e) if e.kind() == ErrorKind::Full => return Err(e),
                Err(e) => Change::Failed { feature: name, reason: e.to_string() },
            };
            changes.push(change);
        }
        let wanted: BTreeSet<&QualifiedName> = desired.features.iter().map(|f| &f.plan.name).collect();
        // Also what could not be loaded at the start: it is live all the same, and has to go when its definition does.
        let mut live: BTreeSet<QualifiedName> = running.features.keys().cloned().collect();
        live.extend(running.state.features.keys().map(|text| parse(text)).collect::<Result<Vec<_>>>()?);
        let gone: Vec<QualifiedName> = live.into_iter().filter(|name| !wanted.contains(name)).collect();
        for name in gone {
            running.features.remove(&name);
            let was = running.state.features.remove(&name.to_string());
            self.route(running).await?;
            if let Some(was) = was {
                self.reader.unload(&name, &was.digest);
            }
            changes.push(Change::Removed { feature: name });
        }
        // A signal that no feature reads is followed all the same: whoever defines it first and reads it later finds it warm.
        for signal in &desired.signals {
            let live = uid(&signal.plan.name, &signal.source_hash);
            if let Err(e) = self.start(running, Arc::clone(&signal.plan), &live, &signal.source_hash).await {
                tracing::warn!(signal = %signal.plan.name, error = %e, "a signal could not be started");
            }
        }
        // Once more for all: what a full disk kept from being routed is routed now.
        self.route(running).await?;
        self.retire(running, &desired).await?;
        Ok(changes)
    }

    /// Makes one feature live as it is desired.
    async fn bring(&self, running: &mut Running, feature: &Compiled<FeaturePlan>, signals: &[Compiled<SignalPlan>]) -> Result<Change> {
        let name = feature.plan.name.clone();
        let digest = Plan::Feature(FeaturePlan::clone(&feature.plan)).digest();
        let live = running.state.features.get(&name.to_string()).cloned();
        let same = |live: &LiveFeature| live.source_hash == feature.source_hash || live.digest == digest;
        if live.as_ref().is_some_and(same) && running.features.contains_key(&name) {
            return Ok(Change::Unchanged { feature: name });
        }
        let mut of_feature = Vec::with_capacity(feature.plan.signals.len());
        for read in &feature.plan.signals {
            let signal = signals
                .iter()
                .find(|s| s.plan.name == read.name && s.plan.schema_version == read.schema_version)
                .ok_or_else(|| Error::not_found(format!("signal {} (schema version {}) is not defined", read.name, read.schema_version)))?;
            let uid = uid(&signal.plan.name, &signal.source_hash);
            of_feature.push(self.start(running, Arc::clone(&signal.plan), &uid, &signal.source_hash).await?);
        }
        for signal in &of_feature {
            self.cover(running, signal, &feature.plan).await?;
            caught_up(signal).await?;
        }
        prepare::feature(&self.platform, &feature.plan).await?;
        self.load(running, &name, Arc::clone(&feature.plan), &of_feature)?;
        let epoch = live.as_ref().map_or(0, |l| l.epoch).max(self.reader.routes.highest_epoch(&name).await) + 1;
        let uids = of_feature.iter().map(|s| s.uid.clone()).collect();
        let now = LiveFeature { digest: digest.clone(), source_hash: feature.source_hash.clone(), signals: uids, epoch };
        running.state.features.insert(name.to_string(), now);
        self.route(running).await?;
        Ok(match live {
            None => Change::Added { feature: name, digest },
            Some(live) => {
                if live.digest != digest {
                    self.reader.unload(&name, &live.digest);
                }
                Change::Swapped { feature: name, from: live.digest, to: digest }
            }
        })
    }

    /// Starts a signal revision unless it runs.
    async fn start(&self, running: &mut Running, plan: Arc<SignalPlan>, uid: &str, source_hash: &str) -> Result<Arc<RunningSignal>> {
        if let Some(signal) = running.signals.get(uid) {
            return match signal.failure() {
                None => Ok(Arc::clone(signal)),
                Some(reason) => Err(Error::new(ErrorKind::Unavailable, reason)),
            };
        }
        let digest = Plan::Signal(SignalPlan::clone(&plan)).digest();
        let signal = RunningSignal::start(&self.platform, plan, uid.to_owned(), &self.settings.state).await?;
        running.signals.insert(uid.to_owned(), Arc::clone(&signal));
        running.state.signals.insert(uid.to_owned(), LiveSignal { digest, source_hash: source_hash.to_owned() });
        Ok(signal)
    }

    /// What came before the stream's start is only in the archive: it is folded before anyone reads; and base is extended to what the
    /// feature needs.
    async fn cover(&self, running: &Running, signal: &Arc<RunningSignal>, feature: &Arc<FeaturePlan>) -> Result<()> {
        let others = running.features.iter().filter(|(name, _)| **name != feature.name).map(|(_, f)| &f.plan);
        let demands = fold::demands(signal, others.chain(std::iter::once(feature)));
        let sealed = signal.store.history().snapshot().await?.is_some_and(|snapshot| snapshot.backfill > 0);
        if sealed {
            return fold::extend_base(&self.platform, signal, demands).await;
        }
        let only_in_batch =
            matches!(signal.plan.source.batch, BatchPlan::External(_)) || signal.revision.start.iter().any(|p| p.offset > 0);
        if only_in_batch {
            fold::fold(&self.platform, signal, Fold::New, &|_| {}).await?;
            fold::extend_base(&self.platform, signal, demands).await?;
        }
        Ok(())
    }

    fn load(&self, running: &mut Running, name: &QualifiedName, plan: Arc<FeaturePlan>, signals: &[Arc<RunningSignal>]) -> Result<()> {
        let digest = Plan::Feature(FeaturePlan::clone(&plan)).digest();
        let stores = signals.iter().map(|signal| Arc::clone(&signal.store)).collect();
        let served = Arc::new(ServedFeature::new(Arc::clone(&plan), digest, stores)?);
        self.reader.registry.ready(Arc::clone(&served), running.about.get(name).cloned().unwrap_or_default());
        running.features.insert(name.clone(), RunningFeature { plan, served });
        Ok(())
    }

    /// Writes what is live, then routes readers to it.
    async fn route(&self, running: &Running) -> Result<()> {
        running.state.write(&self.settings.state.join("node.json"))?;
        let mut file = RouteFile::default();
        for (name, live) in &running.state.features {
            let pinned = Pinned { uid: name.clone(), digest: live.digest.clone() };
            let route = Route { live: Some(pinned), epoch: live.epoch, ..Route::default() };
            file.features.insert(name.clone(), route);
        }
        let applied = self.reader.routes.apply(&file, Absent::Remove).await?;
        match applied.refused.first() {
            None => Ok(()),
            Some(refused) => Err(Error::internal(format!(
                "route {}: epoch {} is not above {}, which was seen",
                refused.feature, refused.epoch, refused.seen
            ))),
        }
    }

    /// Stops signals that nothing reads and nothing defines any more. Their data stays: a definition that comes back finds it.
    async fn retire(&self, running: &mut Running, desired: &Desired) -> Result<()> {
        let mut wanted: BTreeSet<String> = running.state.features.values().flat_map(|f| f.signals.iter().cloned()).collect();
        wanted.extend(desired.signals.iter().map(|s| uid(&s.plan.name, &s.source_hash)));
        let gone: Vec<String> = running.signals.keys().filter(|uid| !wanted.contains(*uid)).cloned().collect();
        for uid in gone {
            if let Some(signal) = running.signals.remove(&uid) {
                if let Err(error) = signal.stop().await {
                    tracing::warn!(uid, %error, "the last writes of a signal that is retired failed; it goes on from there should it come back");
                }
                // Revisions of one name share their series.
                if running.signals.values().all(|other| other.plan.name != signal.plan.name) {
                    self.platform.metrics().forget_signal(&signal.plan.name);
                }
            }
            running.state.signals.remove(&uid);
        }
        running.state.write(&self.settings.state.join("node.json"))
    }
}

/// Waits until everything that was in a signal's topic when it was called can be read.
///
/// # Errors
/// `Unavailable` when the signal has failed, or its stream has taken no input for [`PATIENCE`]: it goes on by itself when it can.
pub(super) async fn caught_up(signal: &RunningSignal) -> Result<()> {
    let ends = signal.ends().await?;
    let mut waiting = Duration::ZERO;
    loop {
        match signal.waiting() {
            Some(reason) if waiting >= PATIENCE => return Err(Error::new(ErrorKind::Unavailable, reason)),
            Some(_) => waiting += LOOK,
            None => waiting = Duration::ZERO,
        }
        if let Some(reason) = signal.failure() {
            return Err(Error::new(ErrorKind::Unavailable, reason));
        }
        if signal.store.progress().reaches(&ends) && signal.follower.caught_up().await? {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn parse(text: &str) -> Result<QualifiedName> {
    let (namespace, name) = text
        .split_once('/')
        .ok_or_else(|| Error::corrupt("node.json: a feature's name is not namespace/name; remove the file to build anew"))?;
    Ok(QualifiedName::new(namespace, name))
}
