//! The kinds that are watched: which objects of them, and where they are shown.

use std::fmt::Debug;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ObjectMeta;
use kube::core::DeserializeGuard;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tress_crds::{Backfill, SequenceFeature, SequenceRevision, SequenceRollout, SignalDefinition, SignalRevision};

use super::{Cluster, View, lean};
use crate::label;

/// Which objects of a kind are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    All,
    /// What we made: by label `app.kubernetes.io/managed-by`.
    Ours,
    /// Those of this name.
    Named(&'static str),
}

impl Which {
    /// Whether the watch shows an object.
    #[must_use]
    pub fn shows(self, object: &ObjectMeta) -> bool {
        match self {
            Self::All => true,
            Self::Ours => {
                object.labels.as_ref().and_then(|labels| labels.get(label::MANAGED.0)).map(String::as_str) == Some(label::MANAGED.1)
            }
            Self::Named(name) => object.name.as_deref() == Some(name),
        }
    }
}

/// A kind that is watched.
pub trait Watched: Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + Debug + Send + Sync + 'static {
    const WHICH: Which;

    /// Where it is shown.
    fn view(cluster: &Cluster) -> &View<Self>;

    /// Calls for objects of a namespace; `None` = of all, or of a kind that has none.
    fn api(client: Client, namespace: Option<&str>) -> Api<Self>;

    /// The same, where an object that cannot be read does not keep the others from being read.
    fn guarded(client: Client, namespace: Option<&str>) -> Api<DeserializeGuard<Self>>;

    /// Drops what nobody reads from the copy that is kept.
    fn lean(&mut self);
}

macro_rules! watched {
    ($($kind:ty: $which:expr, $view:ident, $lean:expr;)*) => { $(
        impl Watched for $kind {
            const WHICH: Which = $which;

            fn view(cluster: &Cluster) -> &View<Self> {
                &cluster.$view
            }

            fn api(client: Client, namespace: Option<&str>) -> Api<Self> {
                match namespace {
                    Some(namespace) => Api::namespaced(client, namespace),
                    None => Api::all(client),
                }
            }

            fn guarded(client: Client, namespace: Option<&str>) -> Api<DeserializeGuard<Self>> {
                match namespace {
                    Some(namespace) => Api::namespaced(client, namespace),
                    None => Api::all(client),
                }
            }

            fn lean(&mut self) {
                ($lean)(self)
            }
        }
    )* };
}

const AS_IT_IS: () = ();

watched! {
    SignalDefinition: Which::All, signals, |_: &mut Self| AS_IT_IS;
    SequenceFeature: Which::All, features, |_: &mut Self| AS_IT_IS;
    SignalRevision: Which::All, signal_revisions, |r: &mut Self| lean::compiled(&mut r.spec.compiled);
    SequenceRevision: Which::All, sequence_revisions, |r: &mut Self| lean::compiled(&mut r.spec.compiled);
    SequenceRollout: Which::All, rollouts, |_: &mut Self| AS_IT_IS;
    Backfill: Which::All, backfills, |_: &mut Self| AS_IT_IS;
    Job: Which::Ours, jobs, lean::job;
    Deployment: Which::Ours, deployments, lean::deployment;
    Pod: Which::Ours, pods, lean::pod;
    ConfigMap: Which::Ours, maps, lean::map;
    Secret: Which::Named(crate::control::SECRET), secrets, lean::secret;
    Service: Which::Ours, services, |_: &mut Self| AS_IT_IS;
    PodDisruptionBudget: Which::Ours, budgets, |_: &mut Self| AS_IT_IS;
    NetworkPolicy: Which::Ours, network_policies, |_: &mut Self| AS_IT_IS;
    ServiceAccount: Which::Ours, accounts, |_: &mut Self| AS_IT_IS;
}

impl Watched for Namespace {
    const WHICH: Which = Which::All;

    fn view(cluster: &Cluster) -> &View<Self> {
        &cluster.namespaces
    }

    fn api(client: Client, _: Option<&str>) -> Api<Self> {
        Api::all(client)
    }

    fn guarded(client: Client, _: Option<&str>) -> Api<DeserializeGuard<Self>> {
        Api::all(client)
    }

    fn lean(&mut self) {
        self.spec = None;
    }
}
