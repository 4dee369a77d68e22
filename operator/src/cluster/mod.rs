//! What is there: every kind that matters, watched, with our own last writes.
//!
//! ```text
//! watch (one a kind, or a kind and namespace) ─▶ lean (what nobody reads goes) ─▶ shelf ◀── own writes (apply)
//!                                                                                   ╰─▶ view ─▶ get, list, within, made_for
//! ```
//!
//! What is kept is lean, so that tens of thousands of objects fit: no managed fields; of revisions neither plan nor source; of immutable
//! maps and of Secrets no data; of Deployments and Jobs no template but names and images; of Pods no spec but the node. Who needs those
//! reads the object back: [`crate::apply::Writer::fresh`].

mod drift;
mod lean;
mod shelf;
#[cfg(test)]
mod tests;
mod view;
mod watch;
mod watched;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use tress_crds::{Backfill, SequenceFeature, SequenceRevision, SequenceRollout, SignalDefinition, SignalRevision};

pub(crate) use self::drift::projection;
pub use self::view::View;
pub use self::watch::{Scopes, Watches};
pub use self::watched::Watched;
use crate::queue::Key;

/// Everything that is watched. Cheap to clone; clones show the same.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub signals: View<SignalDefinition>,
    pub features: View<SequenceFeature>,
    /// Without `plan` and `source`, which are empty here.
    pub signal_revisions: View<SignalRevision>,
    /// Without `plan` and `source`, which are empty here.
    pub sequence_revisions: View<SequenceRevision>,
    pub rollouts: View<SequenceRollout>,
    pub backfills: View<Backfill>,
    /// Ours; of the template only names and images.
    pub jobs: View<Job>,
    /// Ours; of the template only names and images.
    pub deployments: View<Deployment>,
    /// Of our workloads; of the spec only the node.
    pub pods: View<Pod>,
    /// Ours; without data where they are immutable.
    pub maps: View<ConfigMap>,
    /// `tress-control` of every namespace, without data.
    pub secrets: View<Secret>,
    /// Ours.
    pub services: View<Service>,
    /// Ours.
    pub budgets: View<PodDisruptionBudget>,
    /// Ours.
    pub network_policies: View<NetworkPolicy>,
    /// Ours.
    pub accounts: View<ServiceAccount>,
    pub namespaces: View<Namespace>,
}

impl Cluster {
    /// For tests: nothing, and no server. `Cluster { signals: View::of(…), ..Cluster::empty() }`.
    #[must_use]
    pub fn empty() -> Self {
        Self::awaiting(0)
    }

    fn awaiting(lists: usize) -> Self {
        Self {
            signals: View::awaiting(lists),
            features: View::awaiting(lists),
            signal_revisions: View::awaiting(lists),
            sequence_revisions: View::awaiting(lists),
            rollouts: View::awaiting(lists),
            backfills: View::awaiting(lists),
            jobs: View::awaiting(lists),
            deployments: View::awaiting(lists),
            pods: View::awaiting(lists),
            maps: View::awaiting(lists),
            secrets: View::awaiting(lists),
            services: View::awaiting(lists),
            budgets: View::awaiting(lists),
            network_policies: View::awaiting(lists),
            accounts: View::awaiting(lists),
            namespaces: View::awaiting(lists),
        }
    }

    /// What was just written is seen at once, if the watch would show it.
    pub(crate) fn wrote<K: Watched>(&self, object: &K) {
        if K::WHICH.shows(object.meta()) {
            K::view(self).own_write(lean::item(object.clone()));
        }
    }

    /// What was just deleted is gone at once.
    pub(crate) fn deleted<K: Watched>(&self, key: &Key, uid: &str) {
        K::view(self).own_delete(key, uid);
    }
}
