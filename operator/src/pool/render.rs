//! The objects of a pool: there as long as something names it.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::of_made;
use crate::cluster::{View, Watched};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::platform::{self, PoolSettings};
use crate::queue::Key;
use crate::signal_revision::place;
use crate::workload::{self, Place, Pool, pool_pods};

/// Sees to it that a pool's objects are as the platform has them. What they are rendered from is in their annotations, so that another
/// operator's way to render the same writes nothing.
///
/// # Errors
/// `Invalid` when the platform's memory is no quantity; when a write fails.
pub async fn ensure(context: &Context, (namespace, name): (&str, &str), (settings, image): (&PoolSettings, &str)) -> Result<()> {
    let place = Place { image: image.to_owned(), ..place(&context.platform.now(), namespace) };
    let pool = sized(name, settings)?;
    let inputs = digest(&json!({
        "image": place.image,
        "secrets": place.secrets,
        "replicas": pool.replicas,
        "disk": pool.disk,
        "memory": pool.memory,
    }));
    for service in workload::pool_service(&place, name) {
        context.writer.ensure(service, &digest(&json!({"pool": name}))).await?;
    }
    let guards = workload::pool_guards(&place, &pool);
    let has_budget = guards.iter().any(|guard| guard["kind"] == "PodDisruptionBudget");
    for guard in guards {
        context.writer.ensure(guard, &digest(&json!({"pool": name}))).await?;
    }
    if !has_budget && let Some(budget) = context.cluster.budgets.get(namespace, &pool_pods(name)) {
        context.writer.delete(&*budget).await?;
    }
    context.writer.ensure(workload::pool(&place, &pool), &inputs).await?;
    Ok(())
}

/// Deletes all that was made for a pool that nothing names any more; its pods before its route, which they read.
///
/// # Errors
/// When a delete fails.
pub async fn remove(context: &Context, place: (&str, &str)) -> Result<()> {
    let cluster = &context.cluster;
    all(context, &cluster.deployments, place).await?;
    all(context, &cluster.services, place).await?;
    all(context, &cluster.budgets, place).await?;
    all(context, &cluster.network_policies, place).await?;
    all::<ConfigMap>(context, &cluster.maps, place).await
}

async fn all<K: Watched>(context: &Context, view: &View<K>, (namespace, pool): (&str, &str)) -> Result<()> {
    let key = Key::new(namespace, pool);
    for object in view.made_for(namespace, pool) {
        if of_made(&*object).as_ref() == Some(&key) && object.meta().deletion_timestamp.is_none() {
            tracing::info!(pool = %key, kind = &*K::kind(&()), name = object.name_any(), "nothing names the pool any more");
            context.writer.delete(&*object).await?;
        }
    }
    Ok(())
}

fn sized(name: &str, PoolSettings { replicas, disk, memory }: &PoolSettings) -> Result<Pool> {
    let bytes = platform::quantity(memory).and_then(|nanos| i64::try_from(nanos / 1_000_000_000).ok());
    let memory = bytes.ok_or_else(|| Error::invalid(format!("pools.{name}.memory: {memory} is no amount of memory; write 2Gi")))?;
    Ok(Pool { name: name.to_owned(), replicas: *replicas, disk: disk.clone(), memory })
}

/// Of what an object is rendered from.
pub(crate) fn digest(inputs: &Value) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(tress_configs::plan::canonical(inputs).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_as_large_as_the_platform_says() {
        let settings = PoolSettings { replicas: 3, disk: "1Gi".to_owned(), memory: "2Gi".to_owned() };
        let wanted = Pool { name: "p".to_owned(), replicas: 3, disk: "1Gi".to_owned(), memory: 2 << 30 };
        assert_eq!(sized("p", &settings).unwrap(), wanted);
        let error = sized("p", &PoolSettings { memory: "much".to_owned(), ..settings }).unwrap_err();
        assert!(error.to_string().starts_with("pools.p.memory"), "{error}");
    }
}
