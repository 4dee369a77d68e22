//! Deployments, jobs and pods: how many are as they should be, and what is the matter with the others.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tress_configs::job::Report;

use super::super::said::is_ready;
use super::super::seen::{OF, ROLE};
use super::{Detail, Item, State, View, advice};
use crate::render::rows::grouped;

type Object<'a> = (&'a str, &'a str);

/// The jobs that prepared a revision, where they have something to tell.
pub fn prepare(view: &View<'_>, of: Object<'_>) -> Vec<Item> {
    let done_is_known = view.detail == Detail::Brief;
    jobs(view, of, "prepare").into_iter().filter(|job| !done_is_known || job.state != State::Ready).collect()
}

/// The jobs that make base alone, while they go on or when they failed.
pub fn base(view: &View<'_>, of: Object<'_>) -> Vec<Item> {
    jobs(view, of, "base").into_iter().filter(|job| view.detail == Detail::Whole || job.state != State::Ready).collect()
}

/// The jobs of a backfill.
pub fn jobs_of(view: &View<'_>, of: Object<'_>) -> Vec<Item> {
    jobs(view, of, "backfill").into_iter().filter(|job| view.detail == Detail::Whole || job.state != State::Ready).collect()
}

/// The Deployments of a role that are made for an object.
pub fn deployments(view: &View<'_>, of: Object<'_>, role: &'static str) -> Vec<Item> {
    let made = view.seen.deployments.iter().filter(|d| is_made_for(&d.metadata, of, role));
    made.map(|d| deployment(view, d, role)).collect()
}

/// A Deployment; its pods where one of them is not ready, or everything is asked for.
pub fn deployment(view: &View<'_>, deployment: &Deployment, role: &'static str) -> Item {
    let metadata = &deployment.metadata;
    let (namespace, name) = (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
    let mut item = Item::new("Deployment", role, (namespace, name));
    let wanted = deployment.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    let ready = deployment.status.as_ref().and_then(|s| s.ready_replicas).unwrap_or(0);
    item.facts.put("ready", ready, format!("{ready} of {wanted} pods ready"));
    item.facts.put("wanted", wanted, "");
    item.state = match (ready, wanted) {
        (_, 0) => State::Idle,
        (ready, wanted) if ready >= wanted => State::Ready,
        _ => State::Going,
    };
    let selector = deployment.spec.as_ref().and_then(|s| s.selector.match_labels.clone()).unwrap_or_default();
    let selects = |pod: &&Arc<Pod>| {
        let labels = pod.metadata.labels.as_ref();
        pod.metadata.namespace.as_deref() == Some(namespace)
            && !selector.is_empty()
            && selector.iter().all(|(key, value)| labels.and_then(|l| l.get(key)) == Some(value))
    };
    let mut pods: Vec<&Pod> = view.seen.pods.iter().filter(selects).map(|p| &**p).collect();
    pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    let lags = pods.iter().filter_map(|pod| view.seen.said.lag.get(&(namespace.to_owned(), pod.metadata.name.clone()?)));
    if let Some(lag) = lags.copied().reduce(|a, b| a.saturating_add(b)) {
        let shown = if lag == 0 { "caught up".to_owned() } else { format!("{} records behind", grouped(u64::try_from(lag).unwrap_or(0))) };
        item.facts.put("lag", lag, shown);
    }
    let shown = pods.into_iter().map(|pod| self::pod(view, pod)).filter(|pod| view.detail == Detail::Whole || pod.state != State::Ready);
    item.children = shown.collect();
    item
}

fn jobs(view: &View<'_>, of: Object<'_>, role: &'static str) -> Vec<Item> {
    let mut made: Vec<&Arc<Job>> = view.seen.jobs.iter().filter(|j| is_made_for(&j.metadata, of, role)).collect();
    made.sort_by_key(|j| (j.metadata.creation_timestamp.clone(), j.metadata.name.clone()));
    made.into_iter().map(|j| job(view, j, role)).collect()
}

fn job(view: &View<'_>, job: &Job, role: &'static str) -> Item {
    let metadata = &job.metadata;
    let (namespace, name) = (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
    let mut item = Item::new("Job", if role == "backfill" { "job" } else { role }, (namespace, name));
    let none = JobStatus::default();
    let status = job.status.as_ref().unwrap_or(&none);
    let find = |what: &str| status.conditions.iter().flatten().find(|c| c.type_ == what && c.status == "True");
    let suspended = job.spec.as_ref().and_then(|s| s.suspend).unwrap_or(false);
    (item.state, item.reason) = match (find("Complete"), find("Failed")) {
        (Some(_), _) => (State::Ready, None),
        (None, Some(failed)) => (State::Failed, failed.reason.clone()),
        (None, None) if suspended => (State::Idle, Some("Suspended".to_owned())),
        (None, None) => (State::Going, None),
    };
    let (done, wanted) = (status.succeeded.unwrap_or(0), job.spec.as_ref().and_then(|s| s.completions).unwrap_or(1));
    if wanted > 1 {
        item.facts.put("done", done, format!("{done} of {wanted} done"));
        item.facts.put("wanted", wanted, "");
    } else if item.state == State::Ready {
        item.facts.put("done", done, "done");
    }
    if let Some(active) = status.active.filter(|active| *active > 0) {
        item.facts.put("active", active, format!("{active} running"));
    }
    if let Some(failed) = status.failed.filter(|failed| *failed > 0) {
        item.facts.put("failed", failed, format!("{failed} failed"));
    }
    if item.state == State::Ready {
        return item;
    }
    let is_its = |pod: &&Arc<Pod>| {
        let label = pod.metadata.labels.as_ref().and_then(|l| l.get("batch.kubernetes.io/job-name"));
        pod.metadata.namespace.as_deref() == Some(namespace) && label.map(String::as_str) == Some(name)
    };
    let pods: Vec<&Arc<Pod>> = view.seen.pods.iter().filter(is_its).collect();
    let told = pods.iter().rev().find_map(|pod| last_words(pod));
    item.message = told.or_else(|| find("Failed").and_then(|c| c.message.clone()));
    if item.state == State::Failed {
        item.next = Some(advice::logs(view, namespace, &format!("job/{name}")));
    }
    let troubled = |pod: &Item| pod.message.is_some() && item.state == State::Going;
    item.children = pods.into_iter().map(|pod| self::pod(view, pod)).filter(troubled).collect();
    item
}

fn pod(view: &View<'_>, pod: &Pod) -> Item {
    let metadata = &pod.metadata;
    let (namespace, name) = (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
    let mut item = Item::new("Pod", "pod", (namespace, name));
    item.state = if is_ready(pod) { State::Ready } else { State::Going };
    let status = pod.status.as_ref();
    if metadata.deletion_timestamp.is_some() {
        item.reason = Some("Terminating".to_owned());
        return item;
    }
    if let Some(restarts) = containers(pod).map(|c| c.restart_count).max().filter(|restarts| *restarts > 0) {
        item.facts.put("restarts", restarts, format!("{restarts} restarts"));
    }
    if let Some(lag) = view.seen.said.lag.get(&(namespace.to_owned(), name.to_owned())) {
        item.facts.put("lag", *lag, "");
    }
    if item.state == State::Ready {
        return item;
    }
    let waiting = containers(pod).filter_map(|c| c.state.as_ref()?.waiting.as_ref()).find(|w| {
        // These two pass by themselves.
        !matches!(w.reason.as_deref(), None | Some("ContainerCreating" | "PodInitializing"))
    });
    let unplaced = status.iter().flat_map(|s| s.conditions.iter().flatten()).find(|c| c.type_ == "PodScheduled" && c.status == "False");
    (item.reason, item.message) = match (waiting, unplaced) {
        (Some(waiting), _) => (waiting.reason.clone(), last_words(pod).or_else(|| waiting.message.clone())),
        (None, Some(unplaced)) => (unplaced.reason.clone(), unplaced.message.clone()),
        (None, None) => (status.and_then(|s| s.phase.clone()), last_words(pod)),
    };
    if waiting.is_some() {
        item.state = State::Failed;
    }
    if waiting.is_some() || item.facts.shown().next().is_some() {
        let why = if waiting.and_then(|w| w.reason.as_deref()).is_some_and(|r| r.contains("Image")) { "describe" } else { "logs" };
        item.next = Some(match why {
            "describe" => view.commands.kubectl(&format!("describe pod/{name}"), namespace),
            _ => advice::logs(view, namespace, &format!("pod/{name} --previous")),
        });
    }
    item
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten())
}

/// Why the engine ended there last, by its report.
fn last_words(pod: &Pod) -> Option<String> {
    let ended = containers(pod).filter_map(|c| {
        let ended = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| state.as_ref().and_then(|s| s.terminated.clone());
        ended(&c.state).or_else(|| ended(&c.last_state))
    });
    let reports = ended.filter_map(|t| Report::from_json(t.message.as_deref()?).ok());
    reports.map(|report| report.reasons.join("; ")).find(|reasons| !reasons.is_empty())
}

fn is_made_for(metadata: &ObjectMeta, (namespace, name): Object<'_>, role: &str) -> bool {
    let label = |key: &str| metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    metadata.namespace.as_deref() == Some(namespace) && label(OF) == Some(name) && label(ROLE) == Some(role)
}
