//! A serving pool of a namespace: pods that host its features, what stands around them, and the route that says what they read.
//!
//! ```text
//! features, attempts, pins ─▶ members ─▶ follow (an entry each) ─▶ route map (one writer, whole) ─▶ pushed
//! platform ─▶ wave (which image) ─▶ workload ─▶ Deployment, Services, guards
//! pods ─▶ hear ─▶ told: who has taken which route, who has loaded what
//! ```

pub mod entry;
pub mod follow;
mod hear;
mod members;
mod render;
pub mod routes;
pub mod told;
mod wave;

use std::collections::BTreeSet;

use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use tress_configs::name::QualifiedName;
use tress_crds::definition::SequenceFeature;
use tress_crds::{SequenceRevision, SequenceRollout};

use self::entry::Pinned;
pub use self::hear::hear;
pub(crate) use self::render::digest;
use crate::cluster::Watched;
use crate::context::Context;
use crate::error::Result;
use crate::feature::target::pool_of;
use crate::label::{self, Role};
use crate::queue::{Key, Next, Triggers};
use crate::workload::{GRPC, pool_pods, routes_of};

/// How soon a pool is looked at again whose image waits for its turn.
const WAVE: SignedDuration = SignedDuration::from_secs(60);

/// What wakes a pool, by its namespace and name: features and attempts that name it, revisions of its features, what was made for it.
#[must_use]
pub fn triggers() -> Triggers {
    let all = |context: &Context| {
        let features = context.cluster.features.list();
        let rollouts = context.cluster.rollouts.list();
        let deployments = context.cluster.deployments.list();
        let maps = context.cluster.maps.list();
        let keys = features.iter().flat_map(|f| pools_of(f)).chain(rollouts.iter().map(|r| of_rollout(r)));
        let made = deployments.iter().filter_map(|d| of_made(&**d)).chain(maps.iter().filter_map(|m| of_made(&**m)));
        keys.chain(made).collect::<BTreeSet<_>>().into_iter().collect()
    };
    Triggers::keys(all)
        .when(|cluster| &cluster.features, |_, feature| pools_of(feature))
        .when(|cluster| &cluster.rollouts, |_, rollout| vec![of_rollout(rollout)])
        .when(
            |cluster| &cluster.sequence_revisions,
            |context, revision: &SequenceRevision| {
                let feature = context.cluster.features.get(&revision.namespace().unwrap_or_default(), &revision.spec.feature);
                feature.map(|feature| pools_of(&feature)).unwrap_or_default()
            },
        )
        .when(|cluster| &cluster.deployments, |_, object| of_made(object).into_iter().collect())
        .when(|cluster| &cluster.maps, |_, object| of_made(object).into_iter().collect())
        .when(|cluster| &cluster.services, |_, object| of_made(object).into_iter().collect())
        .when(|cluster| &cluster.budgets, |_, object| of_made(object).into_iter().collect())
        .when(|cluster| &cluster.network_policies, |_, object| of_made(object).into_iter().collect())
}

/// Looks at one pool.
///
/// # Errors
/// When a write fails.
pub async fn reconcile(context: &Context, key: &Key) -> Result<Next> {
    let place = (key.namespace.as_str(), key.name.as_str());
    if !members::is_used(context, place) {
        return render::remove(context, place).await.map(|()| Next::Rest);
    }
    if !members::is_begun(context, place) {
        return Ok(Next::Rest);
    }
    // A pod that finds no route waits for one.
    let forgets = routes::write(context, place, None).await?;
    let Some(settings) = context.platform.now().pools.get(&key.name).cloned() else {
        // Its features say so; what runs goes on.
        return Ok(Next::Rest);
    };
    let seen = wave::observe(context, place);
    let turn = if seen.is_behind() { Some(context.turn.lock().await) } else { None };
    // Others may have gone while it waited for its turn.
    let image = wave::image(&if turn.is_some() { wave::observe(context, place) } else { seen });
    render::ensure(context, place, (&settings, image.name())).await?;
    drop(turn);
    let later = match image {
        wave::Image::Run(_) => None,
        wave::Image::Wait { why, .. } => {
            tracing::info!(pool = %key, why, "the pool keeps its engine for now");
            context.clock.now().checked_add(WAVE).ok()
        }
    };
    Ok([forgets, later].into_iter().flatten().min().map_or(Next::Rest, Next::At))
}

/// Where readers ask: host and port of a pool's Service.
#[must_use]
pub fn endpoint(namespace: &str, pool: &str) -> String {
    format!("{}.{namespace}.svc:{GRPC}", pool_pods(pool))
}

/// The pool that an endpoint is of.
#[must_use]
pub fn of_endpoint(endpoint: &str) -> Option<&str> {
    endpoint.split_once('.')?.0.strip_prefix("tress-")
}

/// The pool whose route map is called so.
#[must_use]
pub fn of_routes(map: &str) -> Option<&str> {
    map.strip_prefix("tress-")?.strip_suffix("-route")
}

/// What a route names a revision by.
#[must_use]
pub fn pinned(revision: &SequenceRevision) -> Pinned {
    Pinned { uid: revision.uid().unwrap_or_default(), digest: revision.spec.compiled.digest.clone() }
}

/// Whether all pods that a Deployment wants are there, of its present template, and ready.
#[must_use]
pub fn is_available(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let Some(status) = &deployment.status else { return false };
    let at_least = |count: Option<i32>| count.unwrap_or_default() >= wanted;
    let is_observed = status.observed_generation >= deployment.metadata.generation;
    wanted > 0 && is_observed && at_least(status.updated_replicas) && at_least(status.available_replicas)
}

/// Whether a Deployment has the pods that it is to have, and no other: those of its template before are gone.
#[must_use]
pub fn is_settled(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    is_available(deployment) && deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or_default() <= wanted
}

/// The features that name a signal.
#[must_use]
pub fn readers_of(context: &Context, namespace: &str, signal: &str) -> Vec<Key> {
    let named = context.needs.named_by(&context.cluster, &QualifiedName::new(namespace, signal));
    named.iter().filter_map(|feature| feature.split_once('/')).map(|(namespace, name)| Key::new(namespace, name)).collect()
}

/// The features that a pool serves, or that name it.
#[must_use]
pub fn features_of(context: &Context, namespace: &str, pool: &str) -> Vec<Key> {
    let key = Key::new(namespace, pool);
    let features = context.cluster.features.within(namespace);
    features.iter().filter(|feature| pools_of(feature).contains(&key)).map(|feature| Key::of(&**feature)).collect()
}

/// The pools that a feature names, is read from, or came from.
fn pools_of(feature: &SequenceFeature) -> Vec<Key> {
    let status = feature.status.as_ref();
    let endpoint = status.and_then(|status| of_endpoint(status.endpoint.as_deref()?));
    let moved = status.and_then(|status| Some(status.moved.as_ref()?.from.as_str()));
    let names: BTreeSet<&str> = [Some(pool_of(feature)), endpoint, moved].into_iter().flatten().collect();
    names.into_iter().map(|name| Key::new(feature.namespace().unwrap_or_default(), name)).collect()
}

fn of_rollout(rollout: &SequenceRollout) -> Key {
    Key::new(rollout.namespace().unwrap_or_default(), rollout.spec.pool.as_str())
}

/// The pool that an object was made for.
fn of_made<K: Watched>(object: &K) -> Option<Key> {
    let labels = object.labels();
    let is_ours = labels.get(label::ROLE).map(String::as_str) == Some(Role::Serve.as_str());
    labels.get(label::OF).filter(|_| is_ours).map(|pool| Key::new(object.namespace().unwrap_or_default(), pool.as_str()))
}

/// What the route map of a pool says now.
pub(crate) fn route_of(
    context: &Context,
    (namespace, pool): (&str, &str),
) -> Option<std::sync::Arc<k8s_openapi::api::core::v1::ConfigMap>> {
    context.cluster.maps.get(namespace, &routes_of(pool))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::{DeploymentSpec, DeploymentStatus};

    use super::*;

    #[test]
    fn a_deployment_is_settled_once_the_pods_of_its_template_before_are_gone() {
        let with = |replicas, updated| {
            let status = DeploymentStatus {
                replicas: Some(replicas),
                updated_replicas: Some(updated),
                available_replicas: Some(2),
                ..DeploymentStatus::default()
            };
            let spec = DeploymentSpec { replicas: Some(2), ..DeploymentSpec::default() };
            let deployment = Deployment { spec: Some(spec), status: Some(status), ..Deployment::default() };
            (is_available(&deployment), is_settled(&deployment))
        };
        assert_eq!([with(3, 1), with(3, 2), with(2, 2)], [(false, false), (true, false), (true, true)]);
    }

    #[test]
    fn a_pool_is_found_again_by_what_is_named_after_it() {
        for pool in ["default", "with-dashes", "route"] {
            assert_eq!(of_endpoint(&endpoint("movies", pool)), Some(pool));
            assert_eq!(of_routes(&routes_of(pool)), Some(pool));
        }
        assert_eq!((of_endpoint("elsewhere:7400"), of_routes("tress-connections")), (None, None));
    }
}
