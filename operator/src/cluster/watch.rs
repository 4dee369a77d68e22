//! The watches that fill the views: one a kind, or one a kind and namespace; begun anew, with growing pauses, when they break.

use std::time::Duration;

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::lean::item;
use super::shelf::Scope;
use super::watched::Which;
use super::{Cluster, View, Watched};
use crate::error::{Error, Result};
use crate::label;
use crate::metrics::Metrics;
use crate::queue::Key;

/// After so long without a word from the watch, the API server is asked what became of an own write.
const DOUBT: Duration = Duration::from_secs(30);
/// How often such writes are looked for.
const LOOK: Duration = Duration::from_secs(10);
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many objects are asked for at a time.
const PAGE: u32 = 500;

/// Which namespaces are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scopes {
    All,
    /// These; their own objects are not watched, which would take rights on all of them.
    Namespaces(Vec<String>),
}

impl Scopes {
    /// Whether objects of this namespace are looked at.
    #[must_use]
    pub fn admit(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Namespaces(all) => all.iter().any(|n| n == namespace),
        }
    }

    fn each(&self) -> Vec<Scope> {
        match self {
            Self::All => vec![None],
            Self::Namespaces(names) => names.iter().cloned().map(Some).collect(),
        }
    }

    fn each_and(&self, home: &str) -> Vec<Scope> {
        let mut each = self.each();
        if !self.admit(home) {
            each.push(Some(home.to_owned()));
        }
        each
    }
}

/// What watches need.
#[derive(Clone)]
struct Source {
    client: Client,
    metrics: Metrics,
    shutdown: CancellationToken,
}

/// The tasks that keep a [`Cluster`] up to date.
#[derive(Debug)]
pub struct Watches(JoinSet<()>);

impl Watches {
    /// Begins to watch: definitions and what is made of them in these namespaces, and what is ours in `home`, too, where records of
    /// deletions are. Nothing is shown before [`Cluster::synced`].
    #[must_use]
    pub fn start(client: Client, (scopes, home): (&Scopes, &str), metrics: &Metrics, shutdown: &CancellationToken) -> (Cluster, Self) {
        let source = Source { client, metrics: metrics.clone(), shutdown: shutdown.clone() };
        let mut watches = Self(JoinSet::new());
        let (each, and_home) = (scopes.each(), scopes.each_and(home));
        let mut cluster = Cluster::awaiting(each.len());
        cluster.jobs = View::awaiting(and_home.len());
        cluster.pods = View::awaiting(and_home.len());
        cluster.maps = View::awaiting(and_home.len());
        cluster.accounts = View::awaiting(and_home.len());
        watches.follow(&source, &each, &cluster.signals);
        watches.follow(&source, &each, &cluster.features);
        watches.follow(&source, &each, &cluster.signal_revisions);
        watches.follow(&source, &each, &cluster.sequence_revisions);
        watches.follow(&source, &each, &cluster.rollouts);
        watches.follow(&source, &each, &cluster.backfills);
        watches.follow(&source, &and_home, &cluster.jobs);
        watches.follow(&source, &each, &cluster.deployments);
        watches.follow(&source, &and_home, &cluster.pods);
        watches.follow(&source, &and_home, &cluster.maps);
        watches.follow(&source, &each, &cluster.secrets);
        watches.follow(&source, &each, &cluster.services);
        watches.follow(&source, &each, &cluster.budgets);
        watches.follow(&source, &each, &cluster.network_policies);
        watches.follow(&source, &and_home, &cluster.accounts);
        match scopes {
            Scopes::All => watches.follow(&source, &each, &cluster.namespaces),
            Scopes::Namespaces(names) => cluster.namespaces = View::of(names.iter().map(|name| named(name)).collect()),
        }
        (cluster, watches)
    }

    /// Waits until all have ended, after their shutdown.
    pub async fn join(mut self) {
        while self.0.join_next().await.is_some() {}
    }

    fn follow<K: Watched>(&mut self, source: &Source, scopes: &[Scope], view: &View<K>) {
        for scope in scopes {
            let (source, view, scope) = (source.clone(), view.clone(), scope.clone());
            self.0.spawn(async move {
                let shutdown = source.shutdown.clone();
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = watch(&source, &view, &scope) => {}
                }
            });
        }
        let (source, view) = (source.clone(), view.clone());
        self.0.spawn(async move {
            let shutdown = source.shutdown.clone();
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = doubt(&source, &view) => {}
            }
        });
    }
}

fn named(name: &str) -> Namespace {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.to_owned());
    namespace
}

fn selection<K: Watched>() -> watcher::Config {
    let config = watcher::Config::default().page_size(PAGE);
    match K::WHICH {
        Which::All => config,
        Which::Ours => config.labels(&format!("{}={}", label::MANAGED.0, label::MANAGED.1)),
        Which::Named(name) => config.fields(&format!("metadata.name={name}")),
    }
}

/// Watches for ever.
async fn watch<K: Watched>(source: &Source, view: &View<K>, scope: &Scope) {
    let kind = K::kind(&());
    let events = watcher(K::guarded(source.client.clone(), scope.as_deref()), selection::<K>()).default_backoff();
    pin_mut!(events);
    let mut arrived = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => {
                if arrived {
                    tracing::info!(kind = &*kind, "the watch begins anew");
                    source.metrics.watch_restarted(&kind);
                }
                view.begin(scope.clone());
            }
            Ok(Event::InitApply(object)) => {
                let key = Key::of(&object);
                match readable(source, object) {
                    Some(object) => view.listed(scope, item(object)),
                    None => view.listed_unread(scope, key),
                }
            }
            Ok(Event::InitDone) => {
                view.done(scope);
                if !arrived {
                    view.arrived();
                    arrived = true;
                }
            }
            Ok(Event::Apply(object)) => {
                let key = Key::of(&object);
                match readable(source, object) {
                    Some(object) => view.watched(item(object)),
                    None => view.unread(key),
                }
            }
            Ok(Event::Delete(object)) => {
                view.unwatched(&Key::of(&object), object.meta().uid.as_deref().unwrap_or_default());
            }
            Err(error) => {
                source.metrics.watch_failed(&kind);
                tracing::warn!(kind = &*kind, %error, "a watch failed; it goes on after a pause");
            }
        }
    }
}

/// The object, if it is one that this operator knows: else it is told, and nothing is done about it, so that it does not stand in the
/// way of others.
fn readable<K: Watched>(source: &Source, object: DeserializeGuard<K>) -> Option<K> {
    match object.0 {
        Ok(object) => Some(object),
        // What the parser says may quote the object.
        Err(unreadable) => {
            let kind = K::kind(&());
            let ObjectMeta { namespace, name, .. } = unreadable.metadata;
            tracing::warn!(kind = &*kind, namespace, name, "an object is not of a version that this operator knows; it is passed over");
            source.metrics.unreadable(&kind);
            None
        }
    }
}

/// Asks for ever what became of own writes that the watch keeps silent about.
async fn doubt<K: Watched>(source: &Source, view: &View<K>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        for key in view.doubtful(DOUBT) {
            let namespace = (!key.namespace.is_empty()).then_some(key.namespace.as_str());
            let api = K::api(source.client.clone(), namespace);
            // Without an answer, the next look asks again.
            if let Ok(Ok(found)) = timeout(PATIENCE, api.get_opt(&key.name)).await {
                view.settle(&key, found.map(item));
            }
        }
    }
}

impl Cluster {
    /// Waits until everything that was there is shown.
    pub async fn synced(&self) {
        tokio::join!(self.signals.synced(), self.features.synced(), self.signal_revisions.synced(), self.sequence_revisions.synced());
        tokio::join!(self.rollouts.synced(), self.backfills.synced(), self.jobs.synced(), self.deployments.synced());
        tokio::join!(self.pods.synced(), self.maps.synced(), self.secrets.synced(), self.services.synced());
        tokio::join!(self.budgets.synced(), self.network_policies.synced(), self.accounts.synced(), self.namespaces.synced());
    }

    /// Kinds of which nothing is shown yet: for those who wait.
    #[must_use]
    pub fn unsynced(&self) -> Vec<&'static str> {
        let all = [
            ("SignalDefinition", self.signals.is_synced()),
            ("SequenceFeature", self.features.is_synced()),
            ("SignalRevision", self.signal_revisions.is_synced()),
            ("SequenceRevision", self.sequence_revisions.is_synced()),
            ("SequenceRollout", self.rollouts.is_synced()),
            ("Backfill", self.backfills.is_synced()),
            ("Job", self.jobs.is_synced()),
            ("Deployment", self.deployments.is_synced()),
            ("Pod", self.pods.is_synced()),
            ("ConfigMap", self.maps.is_synced()),
            ("Secret", self.secrets.is_synced()),
            ("Service", self.services.is_synced()),
            ("PodDisruptionBudget", self.budgets.is_synced()),
            ("NetworkPolicy", self.network_policies.is_synced()),
            ("ServiceAccount", self.accounts.is_synced()),
            ("Namespace", self.namespaces.is_synced()),
        ];
        all.into_iter().filter(|(_, synced)| !synced).map(|(kind, _)| kind).collect()
    }

    /// Reads rollouts and routes from the API server itself: what a leader does before it deletes anything, for another one may have
    /// written them a moment ago.
    ///
    /// # Errors
    /// `Api` or `Timeout`: it must not lead yet.
    pub async fn confirm(&self, client: &Client, scopes: &Scopes) -> Result<()> {
        for scope in &scopes.each() {
            confirm(client, &self.rollouts, scope).await?;
            confirm(client, &self.maps, scope).await?;
        }
        Ok(())
    }
}

/// A list of its own, beside the one of a watch that may be under way: what it has is newer than what is shown, or the same.
async fn confirm<K: Watched>(client: &Client, view: &View<K>, scope: &Scope) -> Result<()> {
    // One that cannot be read must not keep everybody from leading.
    let api = K::guarded(client.clone(), scope.as_deref());
    let selection = selection::<K>();
    let doing = format!("list every {}", K::kind(&()));
    let mut wanted =
        kube::api::ListParams { label_selector: selection.label_selector, field_selector: selection.field_selector, ..Default::default() };
    wanted.limit = Some(PAGE);
    loop {
        let page = timeout(PATIENCE, api.list(&wanted)).await.map_err(|_| Error::Timeout { doing: doing.clone() })?;
        let page = page.map_err(|e| Error::of_api(&doing, &e))?;
        for object in page.items.into_iter().filter_map(|object| object.0.ok()) {
            view.own_write(item(object));
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => wanted.continue_token = Some(token),
            None => return Ok(()),
        }
    }
}
