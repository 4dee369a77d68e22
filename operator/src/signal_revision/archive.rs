//! The archive of a topic: one Deployment in a namespace for all revisions that read it, owned by all of them together.

use std::sync::Arc;

use kube::ResourceExt;
use tress_crds::SignalRevision;
use tress_crds::revision::{ArchivedTopic, Use};

use crate::cluster::Cluster;
use crate::name;
use crate::needs::Needed;
use crate::workload::Owner;

/// The archive of a topic, in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// Of the Deployment.
    pub name: String,
    pub topic: ArchivedTopic,
    /// The revisions that need it, by name; none = it goes.
    pub owners: Vec<Owner>,
    /// Somebody found the topic: before that there is nothing to keep.
    pub found: bool,
    /// The Deployment is there, or what stands around its pods.
    pub there: bool,
    /// Of the Deployment; `None` = it is not there.
    pub image: Option<String>,
}

pub(super) fn observe(cluster: &Cluster, needed: &Needed, namespace: &str, topic: &ArchivedTopic) -> Archived {
    let needs_it = |revision: &Arc<SignalRevision>| {
        let is_leaving = revision.status.as_ref().is_some_and(|status| status.dropping.is_some());
        let uid = revision.uid().unwrap_or_default();
        revision.spec.archive.as_ref() == Some(topic)
            && revision.metadata.deletion_timestamp.is_none()
            && !is_leaving
            && needed.of(&uid) != Use::Gone
    };
    let revisions: Vec<Arc<SignalRevision>> = cluster.signal_revisions.within(namespace).into_iter().filter(needs_it).collect();
    let found = revisions.iter().any(|r| r.status.as_ref().is_some_and(|status| status.prepared.is_some()));
    let owner = |r: &Arc<SignalRevision>| Owner { kind: "SignalRevision", name: r.name_any(), uid: r.uid().unwrap_or_default() };
    let name = name::archive(&topic.connection, &topic.topic);
    let deployment = cluster.deployments.get(namespace, &name);
    let there = deployment.is_some() || cluster.network_policies.get(namespace, &name).is_some();
    let image = deployment.map(|deployment| super::observe::bare(&deployment).0.to_owned());
    Archived { name, topic: topic.clone(), owners: revisions.iter().map(owner).collect(), found, there, image }
}
