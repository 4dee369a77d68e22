//! What is to be seen, again whenever it changes: by watches, not by asking again and again.

use std::fmt::Debug;
use std::time::Duration;

use futures::stream::{BoxStream, SelectAll};
use futures::{FutureExt, StreamExt, stream};
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tress_crds::{Backfill, SequenceFeature, SequenceRevision, SequenceRollout, SignalDefinition, SignalRevision};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::Cluster;
use super::seen::{MANAGED, Scope, Seen};
use super::trouble::told;

/// Changes that come together are shown together.
const TOGETHER: Duration = Duration::from_millis(250);
/// Without a change it is shown anew after this, for times go on and pods have more to say.
pub const ANEW: Duration = Duration::from_secs(5);

/// A watched namespace.
pub struct Followed {
    features: Store<SequenceFeature>,
    signals: Store<SignalDefinition>,
    sequence_revisions: Store<SequenceRevision>,
    signal_revisions: Store<SignalRevision>,
    rollouts: Store<SequenceRollout>,
    backfills: Store<Backfill>,
    deployments: Store<Deployment>,
    jobs: Store<Job>,
    pods: Store<Pod>,
    changes: Changes,
    /// What the first look left out.
    notes: Vec<String>,
}

type Changes = SelectAll<BoxStream<'static, watcher::Result<()>>>;

impl Followed {
    /// Begins to watch. `first`: what one look has shown; what it left out stays out.
    pub fn start(cluster: &Cluster, scope: &Scope, first: &Seen) -> Self {
        let mut changes = SelectAll::new();
        let ours = watcher::Config::default();
        let made = watcher::Config::default().labels(MANAGED);
        Self {
            features: kept(scope.api(cluster), &ours, &mut changes),
            signals: kept(scope.api(cluster), &ours, &mut changes),
            sequence_revisions: kept(scope.api(cluster), &ours, &mut changes),
            signal_revisions: kept(scope.api(cluster), &ours, &mut changes),
            rollouts: kept(scope.api(cluster), &ours, &mut changes),
            backfills: kept(scope.api(cluster), &ours, &mut changes),
            deployments: kept(scope.api(cluster), &made, &mut changes),
            jobs: kept(scope.api(cluster), &made, &mut changes),
            pods: kept(scope.api(cluster), &made, &mut changes),
            changes,
            notes: first.notes.clone(),
        }
    }

    /// What is there after the next change, or after a while.
    ///
    /// # Errors
    /// When the user may not watch, or the kinds are not there. What is temporary is tried again.
    pub async fn next(&mut self) -> anyhow::Result<Seen> {
        loop {
            // A change, or a while without one.
            if let Ok(change) = tokio::time::timeout(ANEW, self.changes.next()).await {
                self.heed(change)?;
            }
            let together = tokio::time::sleep(TOGETHER);
            tokio::pin!(together);
            loop {
                tokio::select! {
                    change = self.changes.next() => self.heed(change)?,
                    () = &mut together => break,
                }
            }
            if self.is_whole() {
                return Ok(self.seen());
            }
        }
    }

    /// Whether every watch has told what there was as it began.
    fn is_whole(&self) -> bool {
        fn told<K: kube::runtime::reflector::Lookup + Clone + 'static>(store: &Store<K>) -> bool
        where
            K::DynamicType: Eq + std::hash::Hash + Clone,
        {
            store.wait_until_ready().now_or_never().is_some()
        }
        let ours = told(&self.features)
            && told(&self.signals)
            && told(&self.sequence_revisions)
            && told(&self.signal_revisions)
            && told(&self.rollouts)
            && told(&self.backfills);
        ours && (!self.notes.is_empty() || (told(&self.deployments) && told(&self.jobs) && told(&self.pods)))
    }

    /// An error is passed over where the same was left out at the first look.
    fn heed(&self, change: Option<watcher::Result<()>>) -> anyhow::Result<()> {
        let lasts = lasting(change);
        if self.notes.is_empty() { lasts } else { Ok(()) }
    }

    fn seen(&self) -> Seen {
        Seen {
            features: self.features.state(),
            signals: self.signals.state(),
            sequence_revisions: self.sequence_revisions.state(),
            signal_revisions: self.signal_revisions.state(),
            rollouts: self.rollouts.state(),
            backfills: self.backfills.state(),
            deployments: self.deployments.state(),
            jobs: self.jobs.state(),
            pods: self.pods.state(),
            notes: self.notes.clone(),
            ..Seen::default()
        }
    }
}

fn kept<K>(api: Api<K>, config: &watcher::Config, changes: &mut Changes) -> Store<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Default + Eq + std::hash::Hash + Clone + Debug + Send + Sync,
{
    let (store, writer) = reflector::store();
    let events = watcher(api, config.clone()).default_backoff().reflect(writer);
    changes.push(events.map(|event| event.map(|_| ())).chain(stream::pending()).boxed());
    store
}

/// An error that will not go away by itself.
fn lasting(change: Option<watcher::Result<()>>) -> anyhow::Result<()> {
    match change {
        Some(Err(watcher::Error::InitialListFailed(e) | watcher::Error::WatchStartFailed(e))) => {
            let lasts = matches!(&e, kube::Error::Api(status) if matches!(status.code, 401 | 403 | 404));
            if lasts { Err(told(e, "watch")) } else { Ok(()) }
        }
        Some(Ok(()) | Err(_)) | None => Ok(()),
    }
}

/// One object, each time that it changes; `None` = it is not there.
///
/// # Errors
/// As [`Followed::next`].
pub async fn object<K>(api: Api<K>, name: &str, mut look: impl FnMut(Option<K>) -> Option<anyhow::Result<()>>) -> anyhow::Result<()>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default,
{
    let mut changes = watcher::watch_object(api, name).default_backoff().boxed();
    while let Some(change) = changes.next().await {
        match change {
            Ok(object) => {
                if let Some(ended) = look(object) {
                    return ended;
                }
            }
            Err(e) => lasting(Some(Err(e)))?,
        }
    }
    Ok(())
}
