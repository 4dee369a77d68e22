//! What wakes a signal's revision.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use tress_crds::{Backfill, SequenceFeature, SequenceRevision, SequenceRollout, SignalDefinition};

use crate::cluster::Cluster;
use crate::label::{self, Role};
use crate::queue::{Key, Triggers};

/// Itself; what is made for it; its definition and its backfills; and all that says how far it is needed: features, their revisions,
/// their attempts and the routes of their pools.
#[must_use]
pub fn triggers() -> Triggers {
    Triggers::each(|cluster| &cluster.signal_revisions)
        .made(|cluster| &cluster.jobs)
        .made(|cluster| &cluster.pods)
        .made(|cluster| &cluster.budgets)
        .made(|cluster| &cluster.network_policies)
        .when(
            |cluster| &cluster.deployments,
            |context, deployment: &Deployment| {
                let namespace = deployment.namespace().unwrap_or_default();
                if role(deployment) == Some(Role::Archive.as_str()) {
                    return archiving(&context.cluster, &namespace);
                }
                made_for(deployment)
            },
        )
        .when(
            |cluster| &cluster.maps,
            |context, map: &ConfigMap| {
                let namespace = map.namespace().unwrap_or_default();
                match role(map) {
                    Some(role) if role == Role::Serve.as_str() => {
                        pinned(context.cluster.sequence_revisions.within(&namespace).iter().map(|revision| &**revision))
                    }
                    Some(role) if role == Role::Drop.as_str() => Vec::new(),
                    _ => made_for(map),
                }
            },
        )
        .when(
            |cluster| &cluster.signals,
            |context, signal: &SignalDefinition| of_signal(&context.cluster, &signal.namespace().unwrap_or_default(), &signal.name_any()),
        )
        .when(
            |cluster| &cluster.backfills,
            |_, backfill: &Backfill| vec![Key::new(backfill.namespace().unwrap_or_default(), &backfill.spec.revision)],
        )
        .when(
            |cluster| &cluster.sequence_revisions,
            |context, revision: &SequenceRevision| {
                let mut keys = of_feature(&context.cluster, &revision.namespace().unwrap_or_default(), &revision.spec.feature);
                keys.extend(pinned([revision]));
                keys
            },
        )
        .when(
            |cluster| &cluster.features,
            |context, feature: &SequenceFeature| {
                of_feature(&context.cluster, &feature.namespace().unwrap_or_default(), &feature.name_any())
            },
        )
        .when(
            |cluster| &cluster.rollouts,
            |context, rollout: &SequenceRollout| {
                of_feature(&context.cluster, &rollout.namespace().unwrap_or_default(), &rollout.spec.feature)
            },
        )
}

fn role<K: ResourceExt>(object: &K) -> Option<&str> {
    object.labels().get(label::ROLE).map(String::as_str)
}

fn made_for<K: ResourceExt>(object: &K) -> Vec<Key> {
    let name = object.labels().get(label::OF);
    name.map(|name| Key::new(object.namespace().unwrap_or_default(), name)).into_iter().collect()
}

fn of_signal(cluster: &Cluster, namespace: &str, signal: &str) -> Vec<Key> {
    cluster.signal_revisions.made_for(namespace, signal).iter().map(|revision| Key::of(&**revision)).collect()
}

fn archiving(cluster: &Cluster, namespace: &str) -> Vec<Key> {
    let revisions = cluster.signal_revisions.within(namespace);
    revisions.iter().filter(|revision| revision.spec.archive.is_some()).map(|revision| Key::of(&**revision)).collect()
}

/// What the revisions of a feature read: one that comes or goes changes how far the others are kept.
fn of_feature(cluster: &Cluster, namespace: &str, feature: &str) -> Vec<Key> {
    pinned(cluster.sequence_revisions.made_for(namespace, feature).iter().map(|revision| &**revision))
}

fn pinned<'a>(revisions: impl IntoIterator<Item = &'a SequenceRevision>) -> Vec<Key> {
    let pins = revisions.into_iter().flat_map(|revision| &revision.spec.signals);
    let keys: BTreeSet<Key> = pins.map(|pin| Key::new(&pin.namespace, &pin.revision)).collect();
    keys.into_iter().collect()
}
