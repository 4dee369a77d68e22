//! What is done for a revision.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};
use serde_json::json;
use tress_crds::backfill::{BackfillSpec, Incremental, Mode};
use tress_crds::{Backfill, SignalDefinition, SignalRevision};
use xxhash_rust::xxh3::xxh3_128;

use super::archive::Archived;
use super::decide::Action;
use super::observe::Facts;
use super::stream;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::label::{self, Role};
use crate::name::{self, Occasion};
use crate::platform::Platform;
use crate::workload::{self, Owner, Place, Revision};
use crate::{deletion, jobs};

pub(super) async fn act(context: &Context, facts: &Facts, action: &Action) -> Result<()> {
    let revision = &facts.revision;
    let (namespace, name) = (revision.namespace().unwrap_or_default(), revision.name_any());
    let place = place(&context.platform.now(), &namespace);
    let owner = owner(revision);
    let writer = &context.writer;
    match action {
        Action::Plan => {
            let plan = plan(context, revision).await?;
            writer.ensure(workload::plan_of(&place, &plan), &revision.spec.compiled.digest).await?;
        }
        Action::Record => deletion::record(context, revision).await?,
        Action::Forget => deletion::forget(context, facts.record.as_deref()).await?,
        Action::Prepare => {
            let plan = Revision { owner, plan: String::new(), signals: Vec::new() };
            jobs::make(context, workload::prepare(&place, &plan), &facts.prepare, &rendered(&place, "")).await?;
        }
        Action::Stream { image } => stream::ensure(context, facts, &Place { image: image.clone(), ..place }).await?,
        Action::StopStream => stop(context, &namespace, &name).await?,
        Action::Archive { image } => {
            let Some(archived) = &facts.archive else { return Ok(()) };
            archive(context, archived, &Place { image: image.clone(), ..place }).await?;
        }
        Action::StopArchive => {
            let Some(archived) = &facts.archive else { return Ok(()) };
            stop(context, &namespace, &archived.name).await?;
        }
        Action::List(list) => {
            let text = serde_json::to_string(list).map_err(|e| Error::invalid(format!("write the list of features: {e}")))?;
            writer.ensure(workload::demands(&place, &owner, list), &digest(&text)).await?;
        }
        Action::Base => {
            let resources = facts.backfill_runtime().and_then(|runtime| runtime.resources.as_ref());
            let job = workload::base(&place, &owner, resources);
            jobs::make(context, job, &facts.base, &rendered(&place, &json!(resources).to_string())).await?;
        }
        Action::Backfill(at) => {
            let parallelism = facts.backfill_runtime().and_then(|runtime| runtime.parallelism);
            writer.create(&backfill(revision, *at, parallelism)).await?;
        }
        Action::ForgetBackfill(backfill) => writer.delete(&**backfill).await?,
        Action::Drop => {
            let job = workload::drop(&place, &owner, (&name, &owner.uid));
            jobs::make(context, job, &facts.drop, &rendered(&place, "")).await?;
        }
        Action::Delete => delete(context, facts).await?,
    }
    Ok(())
}

/// What all workloads of a namespace have in common.
pub(crate) fn place(platform: &Platform, namespace: &str) -> Place {
    let (_, secrets) = workload::connections(&platform.file, namespace);
    Place { namespace: namespace.to_owned(), image: platform.engine.image.clone(), secrets }
}

/// A digest of what something is rendered from.
pub(crate) fn rendered(place: &Place, more: &str) -> String {
    let Place { namespace, image, secrets } = place;
    digest(&json!([namespace, image, secrets, more]).to_string())
}

fn digest(text: &str) -> String {
    format!("{:032x}", xxh3_128(text.as_bytes()))
}

pub(super) fn owner(revision: &SignalRevision) -> Owner {
    Owner { kind: "SignalRevision", name: revision.name_any(), uid: revision.uid().unwrap_or_default() }
}

/// With its plan, which the caches leave out.
async fn plan(context: &Context, revision: &SignalRevision) -> Result<Revision> {
    let whole: Option<SignalRevision> = context.writer.fresh(&revision.namespace().unwrap_or_default(), &revision.name_any()).await?;
    let whole = whole.filter(|whole| whole.uid() == revision.uid()).ok_or(Error::Conflict)?;
    if digest(&whole.spec.compiled.plan) != whole.spec.compiled.digest {
        let name = revision.name_any();
        return Err(Error::invalid(format!("the plan of {name} is not the one that its digest names: delete it, and it is made anew")));
    }
    Ok(Revision { owner: owner(revision), plan: whole.spec.compiled.plan, signals: Vec::new() })
}

/// A Deployment and what stands around its pods.
async fn stop(context: &Context, namespace: &str, name: &str) -> Result<()> {
    let cluster = &context.cluster;
    if let Some(deployment) = cluster.deployments.get(namespace, name) {
        context.writer.delete::<Deployment>(&deployment).await?;
    }
    if let Some(policy) = cluster.network_policies.get(namespace, name) {
        context.writer.delete(&*policy).await?;
    }
    if let Some(budget) = cluster.budgets.get(namespace, name) {
        context.writer.delete(&*budget).await?;
    }
    Ok(())
}

async fn archive(context: &Context, archived: &Archived, place: &Place) -> Result<()> {
    let Archived { name, topic, owners, .. } = archived;
    let what = workload::Archived { name: name.clone(), connection: topic.connection.clone(), topic: topic.topic.clone() };
    let uids: Vec<&str> = owners.iter().map(|owner| owner.uid.as_str()).collect();
    let [deployment, policy] = workload::archive(place, owners, &what);
    context.writer.ensure(deployment, &rendered(place, &uids.join(" "))).await?;
    context.writer.ensure(policy, &digest(&uids.join(" "))).await?;
    Ok(())
}

fn backfill(revision: &SignalRevision, at: jiff::Timestamp, parallelism: Option<i32>) -> Backfill {
    let name = revision.name_any();
    let mode = Mode { incremental: Some(Incremental {}), restate: None };
    let spec = BackfillSpec { revision: name.clone(), mode, parallelism, suspend: None };
    let uid = revision.uid().unwrap_or_default();
    let labels = label::labels(Role::Backfill, &name).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let mut backfill = Backfill::new(&name::backfill(&revision.spec.signal, &uid, &Occasion::Scheduled(at)), spec);
    backfill.metadata = ObjectMeta {
        namespace: revision.namespace(),
        labels: Some(labels),
        owner_references: Some(vec![OwnerReference {
            api_version: SignalRevision::api_version(&()).into_owned(),
            kind: SignalRevision::kind(&()).into_owned(),
            name,
            uid,
            controller: Some(true),
            block_owner_deletion: Some(false),
        }]),
        ..backfill.metadata
    };
    backfill
}

/// Unless its definition is back by now: it would adopt it.
async fn delete(context: &Context, facts: &Facts) -> Result<()> {
    let (namespace, signal) = (facts.revision.namespace().unwrap_or_default(), &facts.revision.spec.signal);
    if facts.definition.is_none() && context.writer.fresh::<SignalDefinition>(&namespace, signal).await?.is_some() {
        return Err(Error::Conflict);
    }
    context.writer.delete::<SignalRevision>(&facts.revision).await
}

/// The backfill of the schedule as it is made, for tests.
#[cfg(test)]
pub(super) fn scheduled(revision: &SignalRevision, at: jiff::Timestamp) -> serde_json::Value {
    serde_json::to_value(backfill(revision, at, None)).unwrap()
}
