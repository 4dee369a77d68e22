//! What every namespace has in which something of Tress runs: the connections that it may use, the account of its pods, and the
//! certificates that they answer the operator with.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Resource, ResourceExt};
use serde_json::json;

use crate::context::Context;
use crate::control;
use crate::error::Result;
use crate::label::{self, Role};
use crate::pool::digest;
use crate::queue::{Key, Next, Triggers};
use crate::workload::{ALL_CONNECTIONS, CONNECTIONS, SERVICE_ACCOUNT, connections, service_account};

/// What wakes a namespace: whatever of ours begins or ends in it, and what was made for it. Its key has no namespace.
#[must_use]
pub fn triggers() -> Triggers {
    let all = |context: &Context| {
        let cluster = &context.cluster;
        let signals = cluster.signals.list().into_iter().filter_map(|object| object.namespace());
        let features = cluster.features.list().into_iter().filter_map(|object| object.namespace());
        let signal_revisions = cluster.signal_revisions.list().into_iter().filter_map(|object| object.namespace());
        let sequence_revisions = cluster.sequence_revisions.list().into_iter().filter_map(|object| object.namespace());
        let maps = cluster.maps.list().into_iter().filter(|map| matters(map)).filter_map(|map| map.namespace());
        let names: BTreeSet<String> = signals.chain(features).chain(signal_revisions).chain(sequence_revisions).chain(maps).collect();
        names.into_iter().map(|name| Key::new("", name)).collect()
    };
    Triggers::keys(all)
        .when(|cluster| &cluster.signals, |_, object| of(object))
        .when(|cluster| &cluster.features, |_, object| of(object))
        .when(|cluster| &cluster.signal_revisions, |_, object| of(object))
        .when(|cluster| &cluster.sequence_revisions, |_, object| of(object))
        .when(|cluster| &cluster.maps, |_, map| if matters(map) { of(map) } else { Vec::new() })
        .when(|cluster| &cluster.accounts, |_, object| of(object))
        .when(|cluster| &cluster.secrets, |_, object| of(object))
}

/// Looks at one namespace.
///
/// # Errors
/// When a write fails.
pub async fn reconcile(context: &Context, Key { namespace: _, name }: &Key) -> Result<Next> {
    let (used, deletes) = (is_used(context, name), context.cluster.maps.within(name).iter().any(|map| is_record(map)));
    if !deletes && let Some(map) = context.cluster.maps.get(name, ALL_CONNECTIONS) {
        // Jobs that drop what is left of revisions were the only ones to use it: what others may use is none of this namespace's business.
        context.writer.delete(&*map).await?;
    }
    if !used && !deletes {
        return remove(context, name).await.map(|()| Next::Rest);
    }
    let platform = context.platform.now();
    if !used {
        // What deletes data from here needs an account, and brings the rest.
        return account(context, name).await.map(|()| Next::Rest);
    }
    let (map, _) = connections(&platform.file, name);
    let inputs = digest(&json!({"file": map["data"]}));
    context.writer.ensure(map, &inputs).await?;
    account(context, name).await?;
    let renew = control::secret(context, name).await?;
    Ok(Next::At(renew))
}

/// The account of all pods.
async fn account(context: &Context, name: &str) -> Result<()> {
    let annotations = json!(context.platform.now().engine.service_account_annotations);
    let inputs = digest(&json!({"annotations": annotations}));
    context.writer.ensure(service_account(name, &annotations), &inputs).await.map(drop)
}

/// What says that a namespace is used: what was made for it, and records of data that is to be deleted from it.
fn matters(map: &ConfigMap) -> bool {
    [CONNECTIONS, ALL_CONNECTIONS].contains(&map.name_any().as_str()) || is_record(map)
}

fn is_record(map: &ConfigMap) -> bool {
    has_role(map, Role::Drop)
}

fn has_role<K: ResourceExt>(object: &K, role: Role) -> bool {
    object.labels().get(label::ROLE).map(String::as_str) == Some(role.as_str())
}

/// Whether something of ours is there, or runs.
fn is_used(context: &Context, name: &str) -> bool {
    let cluster = &context.cluster;
    !cluster.signals.within(name).is_empty()
        || !cluster.features.within(name).is_empty()
        || !cluster.signal_revisions.within(name).is_empty()
        || !cluster.sequence_revisions.within(name).is_empty()
        || !cluster.deployments.within(name).is_empty()
        || cluster.jobs.within(name).iter().any(|job| !has_role(&**job, Role::Drop))
}

/// The certificates are the authority's to forget; what is left of them ends by itself.
async fn remove(context: &Context, name: &str) -> Result<()> {
    if let Some(map) = context.cluster.maps.get(name, CONNECTIONS) {
        context.writer.delete(&*map).await?;
    }
    if let Some(account) = context.cluster.accounts.get(name, SERVICE_ACCOUNT) {
        context.writer.delete(&*account).await?;
    }
    if let Some(secret) = context.cluster.secrets.get(name, control::SECRET) {
        context.writer.delete(&*secret).await?;
    }
    Ok(())
}

fn of<K: Resource>(object: &K) -> Vec<Key> {
    object.meta().namespace.as_ref().map(|namespace| Key::new("", namespace.as_str())).into_iter().collect()
}
