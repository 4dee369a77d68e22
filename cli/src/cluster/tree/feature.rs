//! A SequenceFeature: what is live, what is meant to be, the attempt between the two, what it reads, where it is served.

use k8s_openapi::api::apps::v1::Deployment;
use tress_crds::condition::ConditionType;
use tress_crds::definition::{Class, ContractStatus, FeatureStatus, Kept};
use tress_crds::{SequenceFeature, SequenceRevision};

use super::super::said::Served;
use super::{Detail, Item, State, View, advice, condition, rollout, signal, workload};
use crate::time;

pub fn item(view: &View<'_>, feature: &SequenceFeature) -> Item {
    let metadata = &feature.metadata;
    let (namespace, name) = (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
    let none = FeatureStatus::default();
    let status = feature.status.as_ref().unwrap_or(&none);
    let mut item = Item::new("SequenceFeature", "feature", (namespace, name));
    condition::judge(&mut item, metadata, status.observed_generation, &status.conditions);
    if feature.spec.0.paused == Some(true) {
        item.facts.put("paused", true, "paused");
    }
    if let Some(ContractStatus { freshness, completeness }) = &status.contract {
        for (what, kept) in [("freshness", freshness), ("completeness", completeness)] {
            let shown = if *kept == Kept::Missed { format!("{what} missed") } else { String::new() };
            item.facts.put(what, format!("{kept:?}"), shown);
        }
    }
    if let Some(change) = status.change.as_ref().filter(|change| change.class != Class::None) {
        item.facts.put("change", format!("{:?}", change.class), format!("{:?} change", change.class));
    }
    if !status.warnings.is_empty() {
        item.facts.put("warnings", status.warnings.clone(), counted(status.warnings.len(), "warning"));
    }
    if let Some(endpoint) = &status.endpoint {
        item.facts.put("endpoint", endpoint.clone(), if view.detail == Detail::Whole { format!("at {endpoint}") } else { String::new() });
    }
    if let Some(moved) = &status.moved {
        item.facts.put("movedFrom", moved.from.clone(), format!("moved from pool {}", moved.from));
    }
    let word = format!("feature/{name}");
    item.next = advice::definition(view, &item, &word);
    // It is read as it should be, and what is declared is another thing.
    if let Some(updated) = status.conditions.iter().find(|c| c.type_ == ConditionType::Updated.to_string() && c.status == "False")
        && item.state == State::Ready
    {
        item.facts.put("updated", false, format!("not updated: {}", updated.reason));
        item.message = Some(updated.message.clone()).filter(|m| !m.is_empty());
        item.next = advice::reason(view, &item, &word, &updated.reason);
    }
    let live = status.live.as_ref().map(|live| live.revision.as_str());
    let target = status.target.as_ref().map(|target| target.revision.as_str()).filter(|target| Some(*target) != live);
    if let Some(told) = &status.live {
        let mut child = revision(view, (namespace, &told.revision), "live");
        child.facts.ago("since", (Some(told.since.0.as_microsecond()), view.now), |ago| format!("since {ago}"));
        child.facts.put("epoch", told.epoch, format!("epoch {}", told.epoch));
        item.children.push(child);
    }
    item.children.extend(target.map(|target| revision(view, (namespace, target), "target")));
    item.children.extend(attempt(view, (namespace, name), status));
    item.children.extend(reads(view, namespace, target.or(live)));
    item.children.extend(pool(view, namespace, status.endpoint.as_deref()));
    item
}

/// The attempt that goes on, and any that has not succeeded; of those that have, only what the feature names.
fn attempt(view: &View<'_>, (namespace, name): (&str, &str), status: &FeatureStatus) -> Option<Item> {
    let newest = view
        .seen
        .rollouts
        .iter()
        .filter(|r| r.metadata.namespace.as_deref() == Some(namespace) && r.spec.feature == name)
        .max_by_key(|r| r.spec.attempt)?;
    let shown = rollout::line(view, newest);
    let is_live = shown.state == State::Ready && status.live.as_ref().is_some_and(|live| live.revision == newest.spec.target.revision);
    (!is_live || view.detail == Detail::Whole).then_some(shown)
}

/// A sequence revision, and the job that prepared it where it has something to tell.
pub fn revision(view: &View<'_>, (namespace, name): (&str, &str), role: &'static str) -> Item {
    let mut item = Item::new("SequenceRevision", role, (namespace, name));
    let Some(revision) = find(view, namespace, name) else {
        item.message = Some("its object is not there".to_owned());
        return item;
    };
    let none = tress_crds::revision::SequenceRevisionStatus::default();
    let status = revision.status.as_ref().unwrap_or(&none);
    condition::judge(&mut item, &revision.metadata, status.observed_generation, &status.conditions);
    item.facts.put("digest", revision.spec.compiled.digest.clone(), "");
    if let Some(Served { state, reason, freshness }) = view.seen.said.served.get(&revision.spec.compiled.digest) {
        let shown = if state == "ready" { String::new() } else { format!("{state} in its pool") };
        item.facts.put("served", state.clone(), shown);
        if let Some(freshness) = freshness {
            item.facts.put("freshnessMicros", *freshness, format!("fresh to {} ago", time::roughly(*freshness)));
        }
        if state == "failed" {
            item.state = State::Failed;
            item.message = reason.clone().or(item.message);
        }
    }
    item.children = workload::prepare(view, (namespace, name));
    item
}

fn find<'a>(view: &View<'a>, namespace: &str, name: &str) -> Option<&'a SequenceRevision> {
    let is = |r: &&std::sync::Arc<SequenceRevision>| {
        r.metadata.namespace.as_deref() == Some(namespace) && r.metadata.name.as_deref() == Some(name)
    };
    view.seen.sequence_revisions.iter().find(is).map(|r| &**r)
}

/// The signal revisions that a sequence revision reads: in full where it is asked for, for their own definitions show them otherwise.
pub fn reads(view: &View<'_>, namespace: &str, revision: Option<&str>) -> Vec<Item> {
    let Some(revision) = revision.and_then(|name| find(view, namespace, name)) else { return Vec::new() };
    let mut items = Vec::new();
    for pinned in &revision.spec.signals {
        let mut item = signal::revision(view, (&pinned.namespace, &pinned.revision), "reads");
        if view.detail == Detail::Brief && item.state != State::Unknown {
            item.children.clear();
            item.message = None;
        }
        items.push(item);
    }
    items
}

/// The pool that an endpoint leads to: `tress-default.movies.svc:7400`.
fn pool(view: &View<'_>, namespace: &str, endpoint: Option<&str>) -> Option<Item> {
    let service = endpoint?.split(['.', ':']).next()?;
    let is =
        |d: &&std::sync::Arc<Deployment>| d.metadata.namespace.as_deref() == Some(namespace) && d.metadata.name.as_deref() == Some(service);
    view.seen.deployments.iter().find(is).map(|deployment| workload::deployment(view, deployment, "pool"))
}

/// `1 warning`, `2 warnings`.
pub fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
