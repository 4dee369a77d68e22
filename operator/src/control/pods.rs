//! What serving pods say.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::sync::Notify;
use tokio::time::timeout;
use xxhash_rust::xxh3::xxh3_64;

use super::link::{Address, Link, PATIENCE, Trust};
use super::{Authorities, Purpose, proto, server_name};
use crate::clock::{Clock, Stopwatch};
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::label::{self, Role};
use crate::metrics::{Metrics, Outcome};
use crate::queue::Key;

/// Where ControlService listens.
pub const PORT: u16 = 7402;
/// For so long the pods of a pool are asked more often, once somebody has said that they wait.
const ATTENDED: Duration = Duration::from_secs(10);

/// What a serving pod said last.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub pod: String,
    pub uid: String,
    /// `None` = it has said nothing yet, or does not answer.
    pub status: Option<Arc<proto::GetStatusResponse>>,
    /// When it was asked last.
    pub when: Option<Timestamp>,
}

/// What a serving pod answered to routes that were pushed.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    pub pod: String,
    pub uid: String,
    /// `None` = it did not answer.
    pub answer: Option<proto::SetRouteResponse>,
}

type Observer = Box<dyn Fn(&str, &str) + Send + Sync>;

/// Serving pods, as they speak for themselves. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Pods(Arc<Known>);

struct Known {
    cluster: Cluster,
    clock: Clock,
    metrics: Metrics,
    port: u16,
    trust: RwLock<Option<Arc<Trust>>>,
    /// By UID.
    heard: Mutex<HashMap<String, Heard>>,
    /// By pool, since when somebody waits.
    attended: Mutex<BTreeMap<Key, Stopwatch>>,
    waits: Notify,
    observers: RwLock<Vec<Observer>>,
}

/// What is known of a pod.
#[derive(Default)]
struct Heard {
    status: Option<Arc<proto::GetStatusResponse>>,
    when: Option<Timestamp>,
    /// Of what matters in what it said.
    digest: u64,
    link: Option<(Address, Arc<Trust>, Link)>,
}

impl std::fmt::Debug for Pods {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pods").field("port", &self.0.port).finish_non_exhaustive()
    }
}

impl Pods {
    #[must_use]
    pub fn new(cluster: Cluster, clock: Clock, metrics: Metrics) -> Self {
        Self::at_port(PORT, cluster, (clock, metrics))
    }

    /// For pods that listen elsewhere: those of tests.
    #[must_use]
    pub fn at_port(port: u16, cluster: Cluster, (clock, metrics): (Clock, Metrics)) -> Self {
        Self(Arc::new(Known {
            cluster,
            clock,
            metrics,
            port,
            trust: RwLock::default(),
            heard: Mutex::default(),
            attended: Mutex::default(),
            waits: Notify::new(),
            observers: RwLock::default(),
        }))
    }

    /// Every pod of a pool that is there, and what it said last; by name.
    #[must_use]
    pub fn say(&self, namespace: &str, pool: &str) -> Vec<Said> {
        let heard = self.heard();
        let said = |pod: &Arc<Pod>| {
            let uid = pod.uid().unwrap_or_default();
            let known = heard.get(&uid);
            Said { pod: pod.name_any(), status: known.and_then(|h| h.status.clone()), when: known.and_then(|h| h.when), uid }
        };
        self.of(namespace, pool).iter().map(said).collect()
    }

    /// Asks every pod of a pool, now; answers within three seconds.
    pub async fn ask_now(&self, namespace: &str, pool: &str) -> Vec<Said> {
        self.ask(&Key::new(namespace, pool)).await;
        self.say(namespace, pool)
    }

    /// For the next ten seconds the pods of a pool are asked every two, and each answer wakes those who wait. Whoever waits for something
    /// says so at each look.
    pub fn attend(&self, namespace: &str, pool: &str) {
        let is_new = self.attended().insert(Key::new(namespace, pool), Stopwatch::start()).is_none();
        if is_new {
            self.0.waits.notify_one();
        }
    }

    /// Tells every pod of a pool its routes, before the mounted file has them; answers within three seconds. Epochs make it safe to tell
    /// them twice.
    pub async fn push(&self, namespace: &str, pool: &str, routes: Vec<proto::Route>) -> Vec<Pushed> {
        let pods = self.of(namespace, pool);
        join_all(pods.iter().map(|pod| self.tell(pod, routes.clone()))).await
    }

    /// Signs and trusts by these from now on.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn trust(&self, authorities: Authorities) -> Result<()> {
        let now = self.0.clock.now();
        let us = authorities.leaf(&Purpose::Client, now)?;
        *self.0.trust.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(Trust { authorities, us }));
        Ok(())
    }

    /// What signs certificates of pods.
    ///
    /// # Errors
    /// `NotLeader` before there is anything: only who leads has it.
    pub fn authorities(&self) -> Result<Authorities> {
        self.trusted().map(|trust| trust.authorities.clone()).ok_or(Error::NotLeader)
    }

    /// Has every answer told that matters: `|namespace, pool|`.
    pub(crate) fn observe(&self, observer: impl Fn(&str, &str) + Send + Sync + 'static) {
        self.0.observers.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(observer));
    }

    /// Every pool that has pods.
    pub(super) fn pools(&self) -> BTreeSet<Key> {
        let pods = self.0.cluster.pods.list();
        let pool = |pod: &Arc<Pod>| Some(Key::new(pod.namespace()?, pod.labels().get(label::OF)?.as_str()));
        pods.iter().filter(|pod| serves(pod)).filter_map(pool).collect()
    }

    /// Pools for whose pods somebody waits.
    pub(super) fn awaited(&self) -> BTreeSet<Key> {
        let mut attended = self.attended();
        attended.retain(|_, since| since.elapsed() < ATTENDED);
        attended.keys().cloned().collect()
    }

    /// Waits until somebody begins to wait for a pool.
    pub(super) async fn wait(&self) {
        self.0.waits.notified().await;
    }

    /// Asks every pod of a pool, and tells those who want to know.
    pub(super) async fn ask(&self, pool: &Key) {
        let pods = self.of(&pool.namespace, &pool.name);
        let news = join_all(pods.iter().map(|pod| self.ask_one(pod))).await;
        let is_awaited = self.attended().get(pool).is_some_and(|since| since.elapsed() < ATTENDED);
        if !is_awaited && !news.contains(&News::Yes) {
            return;
        }
        for observer in self.0.observers.read().unwrap_or_else(PoisonError::into_inner).iter() {
            observer(&pool.namespace, &pool.name);
        }
    }

    /// Forgets pods that are gone.
    pub(super) fn forget(&self) {
        let there: BTreeSet<String> = self.0.cluster.pods.list().iter().filter_map(|pod| pod.uid()).collect();
        self.heard().retain(|uid, _| there.contains(uid));
    }

    async fn ask_one(&self, pod: &Pod) -> News {
        let status = match self.link(pod) {
            None => None,
            Some(link) => match timeout(PATIENCE, link.status()).await {
                Ok(Ok(status)) => Some(status),
                Ok(Err(error)) => self.unanswered(pod, error.message()),
                Err(_) => self.unanswered(pod, "no answer came in time"),
            },
        };
        let digest = status.as_ref().map_or(0, digest);
        if status.is_some() {
            self.0.metrics.asked(Outcome::Done);
        }
        let mut heard = self.heard();
        let heard = heard.entry(pod.uid().unwrap_or_default()).or_default();
        let news = if heard.digest == digest { News::No } else { News::Yes };
        (heard.status, heard.when, heard.digest) = (status.map(Arc::new), Some(self.0.clock.now()), digest);
        news
    }

    async fn tell(&self, pod: &Pod, routes: Vec<proto::Route>) -> Pushed {
        let answer = match self.link(pod) {
            None => None,
            Some(link) => match timeout(PATIENCE, link.set_route(routes)).await {
                Ok(Ok(answer)) => Some(answer),
                Ok(Err(error)) => self.unanswered(pod, error.message()),
                Err(_) => self.unanswered(pod, "no answer came in time"),
            },
        };
        Pushed { pod: pod.name_any(), uid: pod.uid().unwrap_or_default(), answer }
    }

    fn unanswered<T>(&self, pod: &Pod, why: &str) -> Option<T> {
        tracing::debug!(namespace = pod.namespace(), pod = pod.name_any(), why, "a serving pod does not answer");
        self.0.metrics.asked(Outcome::Failed);
        None
    }

    /// A connection to a pod that runs, by certificates of now.
    fn link(&self, pod: &Pod) -> Option<Link> {
        let address =
            Address { ip: running(pod)?.parse().ok()?, port: self.0.port, server: server_name(&pod.namespace().unwrap_or_default()) };
        let trust = self.trusted()?;
        let mut heard = self.heard();
        let heard = heard.entry(pod.uid().unwrap_or_default()).or_default();
        if let Some((to, by, link)) = &heard.link
            && *to == address
            && Arc::ptr_eq(by, &trust)
        {
            return Some(link.clone());
        }
        match Link::to(&address, &trust) {
            Ok(link) => {
                heard.link = Some((address, trust, link.clone()));
                Some(link)
            }
            Err(error) => {
                tracing::warn!(%error, "a serving pod cannot be called");
                None
            }
        }
    }

    fn of(&self, namespace: &str, pool: &str) -> Vec<Arc<Pod>> {
        let mut pods = self.0.cluster.pods.made_for(namespace, pool);
        pods.retain(|pod| serves(pod));
        pods
    }

    fn trusted(&self) -> Option<Arc<Trust>> {
        self.0.trust.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn heard(&self) -> MutexGuard<'_, HashMap<String, Heard>> {
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attended(&self) -> MutexGuard<'_, BTreeMap<Key, Stopwatch>> {
        self.0.attended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what a pod says is other than what it said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    Yes,
    No,
}

fn serves(pod: &Pod) -> bool {
    pod.labels().get(label::ROLE).map(String::as_str) == Some(Role::Serve.as_str())
}

/// The address of a pod whose containers run.
fn running(pod: &Pod) -> Option<&str> {
    let status = pod.status.as_ref()?;
    status.pod_ip.as_deref().filter(|_| status.phase.as_deref() == Some("Running"))
}

/// What somebody may wait for, of what a pod says: counters and ages change all the time.
fn digest(status: &proto::GetStatusResponse) -> u64 {
    let proto::GetStatusResponse { ready, not_ready, features, signals, budget_bytes, used_bytes: _, troubles } = status;
    let revision = |r: &proto::RevisionStatus| {
        let pinned: Vec<&str> = r.pins.iter().map(|pin| pin.consumer.as_str()).collect();
        format!("{:?}", (&r.revision, r.role, r.state, &r.reason, r.warm, r.applied_through.is_some(), pinned))
    };
    let feature = |f: &proto::FeatureStatus| {
        let revisions: Vec<String> = f.revisions.iter().map(revision).collect();
        format!("{:?}", (&f.feature, f.epoch, f.file_epoch, f.trial_weight_bp, revisions))
    };
    let base = |s: &proto::SignalStatus| s.base.as_ref().map(|base| (base.manifest, base.demands_epoch));
    let features: Vec<String> = features.iter().map(feature).collect();
    let signals: Vec<String> = signals.iter().map(|s| format!("{:?}", (&s.uid, base(s), s.users, &s.troubles))).collect();
    // Not 0, which stands for silence.
    xxh3_64(format!("{:?}", (ready, not_ready, features, signals, budget_bytes, troubles)).as_bytes()).max(1)
}
