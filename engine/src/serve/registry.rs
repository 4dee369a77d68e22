//! What this process has loaded: many features, each in several revisions, each in a state of its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use arrow::datatypes::SchemaRef;
use tress_configs::name::QualifiedName;
use tress_configs::{FeaturePlan, SignalPlan};

use super::admission::value_bytes;
use super::describe::About;
use super::pins::Pins;
use super::schema;
use crate::metrics::{FeatureMetrics, Metrics};
use crate::store::ServedFeature;

/// A revision that is ready.
#[derive(Debug)]
pub struct Revision {
    /// Of its plan.
    pub digest: String,
    pub about: About,
    pub served: Arc<ServedFeature>,
    /// Of replies: without dictionaries.
    pub schema: SchemaRef,
    pub schema_digest: String,
    /// `namespace/name` of each signal, in the plan's order.
    pub signal_names: Vec<String>,
    /// Per column of the schema: bytes that a value may need in a reply.
    pub value_bytes: Vec<usize>,
    /// Who asks for it by its digest.
    pub pins: Pins,
    /// Answers that were not as they should be.
    pub degraded: AtomicU64,
    metrics: OnceLock<FeatureMetrics>,
}

/// How far a revision is.
#[derive(Debug, Clone)]
pub enum State {
    Loading,
    Ready(Arc<Revision>),
    /// It answers UNAVAILABLE, for itself only.
    Failed {
        reason: String,
    },
}

/// Revisions by their digests.
pub type Revisions = BTreeMap<String, State>;

/// All that is loaded. Swapped as a whole: a request sees one moment.
#[derive(Debug, Default)]
pub struct Registry {
    features: ArcSwap<HashMap<QualifiedName, Arc<Revisions>>>,
}

impl Revision {
    #[must_use]
    pub fn new(served: Arc<ServedFeature>, about: About) -> Self {
        let schema = schema::plain(served.feature.schema());
        Self {
            digest: served.digest.clone(),
            schema_digest: schema::digest(&schema),
            signal_names: served.feature.plan().signals.iter().map(|s| s.name.to_string()).collect(),
            value_bytes: schema.fields().iter().map(|f| value_bytes(f)).collect(),
            schema,
            about,
            served,
            pins: Pins::default(),
            degraded: AtomicU64::new(0),
            metrics: OnceLock::new(),
        }
    }

    #[must_use]
    pub fn plan(&self) -> &FeaturePlan {
        self.served.feature.plan()
    }

    /// In the plan's order.
    #[must_use]
    pub fn signals(&self) -> &[Arc<SignalPlan>] {
        self.served.feature.signals()
    }

    /// The revision's counters, looked up once.
    pub fn metrics(&self, metrics: &Metrics) -> &FeatureMetrics {
        self.metrics.get_or_init(|| metrics.feature(&self.plan().name, &self.digest))
    }
}

impl Registry {
    /// A revision is on its way.
    pub fn loading(&self, feature: &QualifiedName, digest: &str) {
        self.set(feature, digest, &State::Loading);
    }

    /// A revision can be read from now on.
    pub fn ready(&self, served: Arc<ServedFeature>, about: About) {
        let revision = Arc::new(Revision::new(served, about));
        self.set(&revision.plan().name, &revision.digest, &State::Ready(Arc::clone(&revision)));
    }

    /// A revision cannot be read. `reason` is told to callers: it names no values and no secrets.
    pub fn failed(&self, feature: &QualifiedName, digest: &str, reason: impl Into<String>) {
        self.set(feature, digest, &State::Failed { reason: reason.into() });
    }

    /// Forgets a revision. Requests that hold it finish.
    pub fn unload(&self, feature: &QualifiedName, digest: &str) {
        self.features.rcu(|features| {
            let mut features = HashMap::clone(features);
            if let Some(revisions) = features.get_mut(feature) {
                Arc::make_mut(revisions).remove(digest);
                if revisions.is_empty() {
                    features.remove(feature);
                }
            }
            features
        });
    }

    /// The revisions of a feature; none when it is not known.
    #[must_use]
    pub fn revisions(&self, feature: &QualifiedName) -> Arc<Revisions> {
        self.features.load().get(feature).cloned().unwrap_or_default()
    }

    #[must_use]
    pub fn state(&self, feature: &QualifiedName, digest: &str) -> Option<State> {
        self.features.load().get(feature)?.get(digest).cloned()
    }

    /// Sorted.
    #[must_use]
    pub fn features(&self) -> Vec<QualifiedName> {
        let mut names: Vec<QualifiedName> = self.features.load().keys().cloned().collect();
        names.sort();
        names
    }

    fn set(&self, feature: &QualifiedName, digest: &str, state: &State) {
        self.features.rcu(|features| {
            let mut features = HashMap::clone(features);
            Arc::make_mut(features.entry(feature.clone()).or_default()).insert(digest.to_owned(), state.clone());
            features
        });
    }
}
