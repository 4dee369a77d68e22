//! A Backfill on a cluster: made for the signal's present revision, and followed to its end.

use anyhow::anyhow;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tress_crds::backfill::{BackfillPhase, BackfillSpec, BackfillStatus, Incremental, Mode, Restate};
use tress_crds::{Backfill, GROUP, SignalDefinition, SignalRevision, VERSION};

use super::connect::MANAGER;
use super::seen::OF;
use super::target::Target;
use super::trouble::told;
use super::{Cluster, follow};
use crate::exit::usage;

/// What is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// `None` = what is new; empty = all buckets; else these.
    pub restate: Option<Vec<String>>,
    /// Pods at a time; `None` = the operator's choice.
    pub parallelism: Option<i32>,
}

/// Makes a Backfill of the present revision of a signal.
///
/// # Errors
/// When there is no such signal, it has no revision yet, or the cluster refuses.
pub async fn start(cluster: &Cluster, target: &Target, wanted: &Wanted) -> anyhow::Result<Backfill> {
    let namespace = target.namespace.as_deref().unwrap_or(&cluster.namespace);
    let revision = present_revision(cluster, namespace, &target.name).await?;
    let made = backfill(&target.name, &revision, wanted);
    let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let doing = format!("make a backfill of signal {namespace}/{}", target.name);
    cluster.of::<Backfill>(namespace).create(&parameters, &made).await.map_err(|e| told(e, &doing))
}

/// The revision that a signal is now.
///
/// # Errors
/// When there is no such signal, or it has none yet.
pub async fn present_revision(cluster: &Cluster, namespace: &str, name: &str) -> anyhow::Result<SignalRevision> {
    let signals: Api<SignalDefinition> = cluster.of(namespace);
    let doing = format!("get signal {namespace}/{name}");
    let Some(signal) = signals.get_opt(name).await.map_err(|e| told(e, &doing))? else {
        let all = signals.list(&ListParams::default().limit(20)).await.map_err(|e| told(e, &doing))?;
        let names = all.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>().join(", ");
        let there = if names.is_empty() {
            "there is none in that namespace; choose another with -n".to_owned()
        } else {
            format!("there are {names}")
        };
        return Err(usage(format!("there is no signal \"{name}\" in namespace {namespace}; {there}")));
    };
    let revision = signal.status.as_ref().and_then(|s| s.revision.as_deref()).ok_or_else(|| {
        let look = cluster.commands.tress(&format!("status signal/{name}"), namespace);
        anyhow!("signal {namespace}/{name} has no revision yet, so there is nothing to fold; see: {look}")
    })?;
    cluster
        .of::<SignalRevision>(namespace)
        .get(revision)
        .await
        .map_err(|e| told(e, &format!("get the revision of signal {namespace}/{name}")))
}

/// The object: it goes with its revision. The API server makes the rest of its name.
fn backfill(signal: &str, revision: &SignalRevision, Wanted { restate, parallelism }: &Wanted) -> Backfill {
    let mode = match restate {
        None => Mode { incremental: Some(Incremental {}), restate: None },
        Some(buckets) => Mode { incremental: None, restate: Some(Restate { buckets: Some(buckets.clone()).filter(|b| !b.is_empty()) }) },
    };
    let spec = BackfillSpec { revision: revision.name_any(), mode, parallelism: *parallelism, suspend: None };
    let owner = OwnerReference {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: "SignalRevision".to_owned(),
        name: revision.name_any(),
        uid: revision.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(false),
    };
    let metadata = ObjectMeta {
        generate_name: Some(format!("{signal}-")),
        labels: Some([(OF.to_owned(), revision.name_any())].into()),
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    };
    Backfill { metadata, spec, status: None }
}

/// How a Backfill ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    Succeeded(Backfill),
    Failed(Backfill),
}

/// Follows a Backfill to its end; `progress` is told of every change.
///
/// # Errors
/// When it is deleted, written by a newer operator, or may not be watched.
pub async fn finish(cluster: &Cluster, backfill: &Backfill, progress: impl Fn(&BackfillStatus)) -> anyhow::Result<Ended> {
    let (namespace, name) = (backfill.namespace().unwrap_or_default(), backfill.name_any());
    let mut ended = None;
    follow::object(cluster.of::<Backfill>(&namespace), &name, |now| {
        let Some(now) = now else { return Some(Err(anyhow!("backfill {namespace}/{name} was deleted before its end"))) };
        if let Some(status) = &now.status {
            progress(status);
        }
        match now.status.as_ref().and_then(|s| s.phase) {
            Some(BackfillPhase::Succeeded) => ended = Some(Ended::Succeeded(now)),
            Some(BackfillPhase::Failed) => ended = Some(Ended::Failed(now)),
            Some(BackfillPhase::Unknown) => {
                return Some(Err(anyhow!("backfill {namespace}/{name} is in a phase that this program does not know: use a newer one")));
            }
            Some(BackfillPhase::Pending | BackfillPhase::Planning | BackfillPhase::Working | BackfillPhase::Sealing) | None => return None,
        }
        Some(Ok(()))
    })
    .await?;
    ended.ok_or_else(|| anyhow!("backfill {namespace}/{name}: the cluster stopped telling of it; it goes on"))
}

/// For programs.
pub fn summary(backfill: &Backfill) -> Value {
    let none = BackfillStatus::default();
    let status = backfill.status.as_ref().unwrap_or(&none);
    json!({
        "namespace": backfill.namespace(),
        "name": backfill.name_any(),
        "revision": backfill.spec.revision,
        "phase": status.phase.map(|phase| format!("{phase:?}")),
        "number": status.number,
        "tasks": status.tasks,
        "rawEvents": status.raw_events,
        "rows": status.rows,
        "dead": status.dead,
        "failed": status.failed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backfill_goes_with_its_revision_and_says_no_more_than_was_asked() {
        let revision: SignalRevision = serde_json::from_value(json!({
            "apiVersion": "tress.dev/v1alpha1", "kind": "SignalRevision", "metadata": {"name": "rating-a", "namespace": "movies", "uid": "u1"},
            "spec": {"signal": "rating", "schemaVersion": 1, "semantics": 1, "sourceHash": "h1:x", "digest": "d", "plan": "{}", "source": "{}"},
        }))
        .expect("a revision");
        let of =
            |restate, parallelism| serde_json::to_value(backfill("rating", &revision, &Wanted { restate, parallelism })).expect("JSON");
        let made = of(None, None);
        assert_eq!(made["spec"], json!({"revision": "rating-a", "mode": {"incremental": {}}}));
        assert_eq!(made["metadata"]["generateName"], "rating-");
        assert_eq!(made["metadata"]["labels"], json!({"tress.dev/of": "rating-a"}));
        assert_eq!(
            made["metadata"]["ownerReferences"],
            json!([{"apiVersion": "tress.dev/v1alpha1", "kind": "SignalRevision", "name": "rating-a", "uid": "u1", "controller": true, "blockOwnerDeletion": false}])
        );
        assert_eq!(of(Some(vec![]), Some(8))["spec"], json!({"revision": "rating-a", "mode": {"restate": {}}, "parallelism": 8}));
        let some = of(Some(vec!["2024-01-31".to_owned()]), None);
        assert_eq!(some["spec"]["mode"], json!({"restate": {"buckets": ["2024-01-31"]}}));
    }
}
