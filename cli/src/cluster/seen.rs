//! Everything about Tress that is to be seen in a namespace, as of one look.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tress_crds::{Backfill, SequenceFeature, SequenceRevision, SequenceRollout, SignalDefinition, SignalRevision};

use super::Cluster;
use super::said::Said;
use super::trouble::{is_forbidden, told};

/// What the operator made, by its label.
pub const MANAGED: &str = "app.kubernetes.io/managed-by=tress-operator";
/// The label with the object that something is made for …
pub const OF: &str = "tress.dev/of";
/// … and the one with its role.
pub const ROLE: &str = "tress.dev/role";

/// Where is looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    Namespace(String),
    Everywhere,
}

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub features: Vec<Arc<SequenceFeature>>,
    pub signals: Vec<Arc<SignalDefinition>>,
    pub sequence_revisions: Vec<Arc<SequenceRevision>>,
    pub signal_revisions: Vec<Arc<SignalRevision>>,
    pub rollouts: Vec<Arc<SequenceRollout>>,
    pub backfills: Vec<Arc<Backfill>>,
    pub deployments: Vec<Arc<Deployment>>,
    pub jobs: Vec<Arc<Job>>,
    pub pods: Vec<Arc<Pod>>,
    /// What pods say of themselves.
    pub said: Said,
    /// What could not be looked at, and why.
    pub notes: Vec<String>,
}

impl Scope {
    /// Objects of it.
    pub fn api<K>(&self, cluster: &Cluster) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match self {
            Self::Namespace(namespace) => cluster.of(namespace),
            Self::Everywhere => Api::all(cluster.client.clone()),
        }
    }

    /// As a sentence ends.
    pub fn shown(&self) -> String {
        match self {
            Self::Namespace(namespace) => format!("in namespace {namespace}"),
            Self::Everywhere => "in all namespaces".to_owned(),
        }
    }
}

impl Seen {
    /// Looks once. Workloads that the user may not see are left out, with a note.
    ///
    /// # Errors
    /// When the kinds of Tress cannot be listed.
    pub async fn look(cluster: &Cluster, scope: &Scope) -> anyhow::Result<Self> {
        let (features, signals, sequence_revisions, signal_revisions, rollouts, backfills) = futures::try_join!(
            ours(scope.api(cluster), scope),
            ours(scope.api(cluster), scope),
            ours(scope.api(cluster), scope),
            ours(scope.api(cluster), scope),
            ours(scope.api(cluster), scope),
            ours(scope.api(cluster), scope),
        )?;
        let (deployments, jobs, pods) = futures::try_join!(
            workloads(scope.api(cluster), scope),
            workloads(scope.api(cluster), scope),
            workloads(scope.api(cluster), scope)
        )?;
        let mut seen = Self { features, signals, sequence_revisions, signal_revisions, rollouts, backfills, ..Self::default() };
        seen.deployments = deployments.unwrap_or_else(|note| seen.left_out(note));
        seen.jobs = jobs.unwrap_or_else(|note| seen.left_out(note));
        seen.pods = pods.unwrap_or_else(|note| seen.left_out(note));
        Ok(seen)
    }

    fn left_out<K>(&mut self, note: String) -> Vec<K> {
        self.notes.push(note);
        Vec::new()
    }
}

async fn ours<K>(api: Api<K>, scope: &Scope) -> anyhow::Result<Vec<Arc<K>>>
where
    K: Resource + Clone + DeserializeOwned + Debug,
    K::DynamicType: Default,
{
    let plural = K::plural(&K::DynamicType::default()).into_owned();
    let all = api.list(&ListParams::default()).await.map_err(|e| told(e, &format!("list {plural} {}", scope.shown())))?;
    Ok(all.items.into_iter().map(Arc::new).collect())
}

/// `Err` inside = the user may not see them: a note.
async fn workloads<K>(api: Api<K>, scope: &Scope) -> anyhow::Result<Result<Vec<Arc<K>>, String>>
where
    K: Resource + Clone + DeserializeOwned + Debug,
    K::DynamicType: Default,
{
    let plural = K::plural(&K::DynamicType::default()).into_owned();
    match api.list(&ListParams::default().labels(MANAGED)).await {
        Ok(all) => Ok(Ok(all.items.into_iter().map(Arc::new).collect())),
        Err(e) if is_forbidden(&e) => Ok(Err(format!("{plural} are not shown: you may not list them {}", scope.shown()))),
        Err(e) => Err(told(e, &format!("list {plural} {}", scope.shown()))),
    }
}
