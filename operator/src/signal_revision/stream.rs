//! The stream of a revision: how it runs, and what stands around its pods.

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use serde_json::{Value, json};
use tress_configs::definition::StreamRuntime;

use super::act::{owner, rendered};
use super::observe::Facts;
use crate::apply::MANIFEST;
use crate::context::Context;
use crate::error::Result;
use crate::label::Role;
use crate::workload::{self, Place};

/// Where its pods show how they are.
const MONITOR: u16 = 9090;
/// What a stream is rendered from whose definition is gone, beside its place.
const ORPHAN: &str = "as it ran";

/// Sees to it that it runs as its definition says. How that was when the definition is gone only its Deployment knows: it is taken from
/// there, and everything else is as it is of all others.
pub(super) async fn ensure(context: &Context, facts: &Facts, place: &Place) -> Result<()> {
    let owner = owner(&facts.revision);
    let (namespace, name) = (&place.namespace, &owner.name);
    let (runtime, inputs) = match (&facts.definition, &facts.stream) {
        (None, Some(stream)) => {
            let inputs = rendered(place, ORPHAN);
            // It is read back only where it is rendered anew; else nothing but what stands around it depends on it.
            let carried = if stream.inputs == inputs { None } else { carried(context, (namespace, name)).await? };
            (Some(carried.unwrap_or(StreamRuntime { replicas: Some(stream.wanted), resources: None })), inputs)
        }
        _ => (facts.stream_runtime().cloned(), rendered(place, &json!(facts.stream_runtime()).to_string())),
    };
    let replicas = runtime.as_ref().and_then(|runtime| runtime.replicas).unwrap_or(1);
    context.writer.ensure(workload::stream(place, &owner, runtime.as_ref()), &inputs).await?;
    let policy = workload::network(place, Role::Stream, (name, &owner), &[MONITOR]);
    context.writer.ensure(policy, "1").await?;
    match workload::disruption(place, Role::Stream, (name, &owner), replicas) {
        Some(budget) => drop(context.writer.ensure(budget, "1").await?),
        None => {
            if let Some(budget) = context.cluster.budgets.get(namespace, name) {
                context.writer.delete(&*budget).await?;
            }
        }
    }
    Ok(())
}

/// How a Deployment was rendered, as the manifest says that it carries. The caches keep none.
async fn carried(context: &Context, (namespace, name): (&str, &str)) -> Result<Option<StreamRuntime>> {
    let whole: Option<Deployment> = context.writer.fresh(namespace, name).await?;
    Ok(whole.and_then(|whole| runtime_of(whole.annotations().get(MANIFEST)?)))
}

/// `None` = it is no manifest.
fn runtime_of(manifest: &str) -> Option<StreamRuntime> {
    let manifest: Value = serde_json::from_str(manifest).ok()?;
    let spec = manifest.get("spec")?;
    let resources = spec.pointer("/template/spec/containers/0/resources").cloned();
    Some(StreamRuntime {
        replicas: spec.get("replicas").and_then(Value::as_i64).and_then(|replicas| i32::try_from(replicas).ok()),
        resources: resources.and_then(|resources| serde_json::from_value(resources).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Owner;

    #[test]
    fn a_stream_is_rendered_again_as_its_manifest_says_that_it_ran() {
        let place = |image: &str| Place { namespace: "n".to_owned(), image: image.to_owned(), secrets: Vec::new() };
        let owner = Owner { kind: "SignalRevision", name: "rating-a".to_owned(), uid: "u".to_owned() };
        let definitions = [
            json!(null),
            json!({"replicas": 3}),
            json!({"resources": {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi", "cpu": "4"}}}),
        ];
        for runtime in definitions {
            let runtime: Option<StreamRuntime> = serde_json::from_value(runtime).unwrap();
            let ran = workload::stream(&place("old"), &owner, runtime.as_ref());
            let again = workload::stream(&place("new"), &owner, runtime_of(&ran.to_string()).as_ref());
            assert_eq!(again, workload::stream(&place("new"), &owner, runtime.as_ref()), "{runtime:?}");
        }
        assert_eq!(runtime_of("no manifest"), None);
    }
}
