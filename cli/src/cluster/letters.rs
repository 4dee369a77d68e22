//! Dead letters of a signal on a cluster. They are in Kafka, which a laptop does not reach: a job of the engine's own image, mounted as
//! the operator mounts its pods, tells them through a port-forward. Nothing of a letter gets into a log, and the job goes afterwards.

use std::time::Duration;

use anyhow::{Context, anyhow};
use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Pod, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tress_crds::{GROUP, SignalRevision, VERSION};

use super::Cluster;
use super::connect::MANAGER;
use super::folding::present_revision;
use super::seen::{MANAGED, OF, ROLE};
use super::target::Target;
use super::trouble::told;
use super::tunnel::{self, Method, Port};
use crate::session::letters::Which;

/// Where the engine tells letters: on the pod's own address, which only a port-forward reaches.
const PORT: u16 = 7403;
/// How long the job may exist, in seconds: it ends by itself should nobody end it.
const LIFE: i64 = 300;
/// How long its pod may take to run …
const START: Duration = Duration::from_secs(120);
/// … and the engine in it to answer, asked again after …
const ANSWER: Duration = Duration::from_secs(60);
/// … this.
const PAUSE: Duration = Duration::from_millis(500);

/// What is asked of the letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    List,
    Replay,
}

/// Asks about the letters of a signal.
///
/// # Errors
/// When nothing of the signal runs whose mounts could be used, the pod does not come up, or the user may not.
pub async fn ask(cluster: &Cluster, target: &Target, which: &Which, asked: Asked) -> anyhow::Result<Value> {
    let namespace = target.namespace.as_deref().unwrap_or(&cluster.namespace);
    let revision = present_revision(cluster, namespace, &target.name).await?;
    let pattern = pattern(cluster, namespace, &revision.name_any()).await?;
    let wanted = job(&revision, pattern)?;
    let jobs: Api<Job> = cluster.of(namespace);
    let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let made = jobs
        .create(&parameters, &wanted)
        .await
        .map_err(|e| told(e, &format!("start a job that reads dead letters in namespace {namespace}")))?;
    let name = made.name_any();
    // Whoever presses Ctrl-C wants it gone, too.
    let asking = tokio::select! {
        asking = of_job(cluster, (namespace, &name), which, asked) => asking,
        _ = tokio::signal::ctrl_c() => Err(anyhow!("interrupted")),
    };
    let deleted = jobs.delete(&name, &DeleteParams::background()).await;
    if let Err(e) = deleted {
        tracing::warn!(job = name, error = %e, "could not be deleted; it ends by itself in a few minutes");
    }
    asking
}

async fn of_job(cluster: &Cluster, (namespace, job): (&str, &str), which: &Which, asked: Asked) -> anyhow::Result<Value> {
    let pods: Api<Pod> = cluster.of(namespace);
    let pod = tokio::time::timeout(START, running(&pods, job)).await;
    let pod = pod.map_err(|_| {
        anyhow!(
            "the pod of job {job} does not run after {} s; see: {}",
            START.as_secs(),
            cluster.commands.kubectl(&format!("describe job/{job}"), namespace)
        )
    })??;
    let port = Port { namespace: namespace.to_owned(), pod, number: PORT };
    let (method, path) = request(which, asked);
    let asking = async {
        loop {
            match tunnel::ask(&pods, &port, (method, &path)).await {
                Ok(answer) => return read(answer),
                // It listens only after it has found the revision.
                Err(e) => {
                    if let Some(why) = ended(&pods, &port.pod).await {
                        return Err(anyhow!("the engine ended in pod {namespace}/{}: {why}", port.pod).context(e));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    };
    tokio::time::timeout(ANSWER, asking).await.map_err(|_| anyhow!("pod {namespace}/{} does not answer", port.pod))?
}

fn request(Which { signal: _, from, to, limit, payload }: &Which, asked: Asked) -> (Method, String) {
    let mut query = Vec::new();
    query.extend(from.map(|from| format!("from={from}")));
    query.extend(to.map(|to| format!("to={to}")));
    query.extend(limit.map(|limit| format!("limit={limit}")));
    query.extend(payload.then(|| "payload=yes".to_owned()));
    let (method, path) = match asked {
        Asked::List => (Method::Get, "/v1/deadletters"),
        Asked::Replay => (Method::Post, "/v1/deadletters/replay"),
    };
    (method, format!("{path}?{}", query.join("&")))
}

fn read((status, text): (u16, String)) -> anyhow::Result<Value> {
    let body: Value = serde_json::from_str(&text).context("read the answer of the engine: it is of another release")?;
    match status {
        200 => Ok(body),
        status => Err(anyhow!(
            "{}",
            body["error"]["message"].as_str().map_or_else(|| format!("the engine answers with status {status}"), str::to_owned)
        )),
    }
}

/// The name of the job's pod once it runs.
async fn running(pods: &Api<Pod>, job: &str) -> anyhow::Result<String> {
    let config = watcher::Config::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    let mut changes = watcher(pods.clone(), config).default_backoff().applied_objects().boxed();
    while let Some(change) = changes.next().await {
        let pod = match change {
            Ok(pod) => pod,
            Err(watcher::Error::InitialListFailed(e) | watcher::Error::WatchStartFailed(e)) => {
                return Err(told(e, "watch the pod of the job"));
            }
            Err(_) => continue,
        };
        match pod.status.as_ref().and_then(|s| s.phase.as_deref()) {
            Some("Running") => return Ok(pod.name_any()),
            Some("Failed" | "Succeeded") => {
                return Err(anyhow!("the engine ended in pod {}: {}", pod.name_any(), last_words(&pod).unwrap_or_default()));
            }
            _ => {}
        }
    }
    Err(anyhow!("the cluster stopped telling of the pod of job {job}"))
}

/// Why the engine is no longer there; `None` = it runs, as far as one can see.
async fn ended(pods: &Api<Pod>, name: &str) -> Option<String> {
    match pods.get_opt(name).await {
        Ok(Some(pod)) => last_words(&pod),
        Ok(None) => Some("its pod is gone".to_owned()),
        Err(_) => None,
    }
}

fn last_words(pod: &Pod) -> Option<String> {
    let containers = pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten());
    let terminated = containers.filter_map(|c| c.state.as_ref()?.terminated.as_ref()).next()?;
    let report = terminated.message.as_deref().and_then(|m| tress_configs::job::Report::from_json(m).ok());
    let reasons = report.map(|report| report.reasons.join("; ")).filter(|reasons| !reasons.is_empty());
    // One that does not know the command says so on standard error, and leaves no report.
    Some(reasons.unwrap_or_else(|| format!("exit code {}; is its image older than this program?", terminated.exit_code)))
}

/// A pod of the engine as the operator renders it in this namespace: of the signal's stream, or of anything else.
async fn pattern(cluster: &Cluster, namespace: &str, revision: &str) -> anyhow::Result<PodSpec> {
    let deployments: Api<Deployment> = cluster.of(namespace);
    let all = deployments
        .list(&ListParams::default().labels(MANAGED))
        .await
        .map_err(|e| told(e, &format!("list deployments in namespace {namespace}")))?;
    choose(all.items, revision).ok_or_else(|| {
        let look = cluster.commands.tress("status", namespace);
        anyhow!("nothing of the engine runs in namespace {namespace} whose image and mounts could be used; see: {look}")
    })
}

fn choose(mut deployments: Vec<Deployment>, revision: &str) -> Option<PodSpec> {
    let rank = |deployment: &Deployment| {
        let label = |key: &str| deployment.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map_or("", String::as_str);
        match (label(ROLE), label(OF)) {
            ("stream", of) if of == revision => 0,
            ("stream" | "archive", _) => 1,
            _ => 2,
        }
    };
    deployments.sort_by_cached_key(|d| (rank(d), d.metadata.name.clone()));
    deployments.into_iter().find_map(|d| d.spec?.template.spec.filter(|spec| platform_of(spec).is_some()))
}

/// Where the platform file is mounted, as the engine is told.
fn platform_of(spec: &PodSpec) -> Option<String> {
    let arguments = spec.containers.first()?.args.as_ref()?;
    arguments.windows(2).find_map(|two| match two {
        [option, path] if option == "--platform" => Some(path.clone()),
        _ => None,
    })
}

/// The job. Its pod is the pattern's: account, mounts, rights; only what it does is another.
fn job(revision: &SignalRevision, pattern: PodSpec) -> anyhow::Result<Job> {
    let platform = platform_of(&pattern).context("a pod of the engine without a platform file")?;
    let mut spec = pattern;
    let mut engine = spec.containers.drain(..).next().context("a pod of the engine without a container")?;
    let uid = revision.uid().context("a revision without a UID")?;
    // Its last words, should it fail, are kept where the operator's pods keep theirs.
    let report = engine.termination_message_path.clone().unwrap_or_else(|| "/dev/termination-log".to_owned());
    let words = [
        "--platform",
        &platform,
        "--report",
        &report,
        "deadletters",
        "--uid",
        &uid,
        "--http",
        &format!("127.0.0.1:{PORT}"),
        "--seconds",
        &LIFE.to_string(),
    ];
    engine.args = Some(words.map(str::to_owned).to_vec());
    // The state folder of a pool is not needed, and may be large: a volume that is not mounted is an empty one.
    engine.ports = None;
    (engine.startup_probe, engine.liveness_probe, engine.readiness_probe) = (None, None, None);
    engine.resources = serde_json::from_value(json!({"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "256Mi"}}))?;
    spec.containers = vec![engine];
    spec.topology_spread_constraints = None;
    spec.restart_policy = Some("Never".to_owned());
    spec.termination_grace_period_seconds = Some(5);
    let labels =
        [("app.kubernetes.io/name", "tress"), ("app.kubernetes.io/component", "deadletters"), ("app.kubernetes.io/managed-by", MANAGER)];
    let labels = Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    let owner = OwnerReference {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: "SignalRevision".to_owned(),
        name: revision.name_any(),
        uid,
        controller: None,
        block_owner_deletion: Some(false),
    };
    Ok(Job {
        metadata: ObjectMeta {
            generate_name: Some("tress-deadletters-".to_owned()),
            labels: Clone::clone(&labels),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(0),
            active_deadline_seconds: Some(LIFE),
            // Should it not be deleted: it goes by itself.
            ttl_seconds_after_finished: Some(60),
            template: PodTemplateSpec { metadata: Some(ObjectMeta { labels, ..ObjectMeta::default() }), spec: Some(spec) },
            ..JobSpec::default()
        }),
        status: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(name: &str, (of, role): (&str, &str), arguments: &[&str]) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"tress.dev/of": of, "tress.dev/role": role}},
            "spec": {"selector": {}, "template": {"spec": {
                "serviceAccountName": "tress-engine", "automountServiceAccountToken": false, "restartPolicy": "Always",
                "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "h", "whenUnsatisfiable": "ScheduleAnyway"}],
                "containers": [{
                    "name": "engine", "image": "tress-engine:1", "args": arguments, "terminationMessagePath": "/dev/termination-log",
                    "ports": [{"name": "http", "containerPort": 9090}], "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
                    "volumeMounts": [{"name": "platform", "mountPath": "/etc/tress"}, {"name": "secret-0", "mountPath": "/var/run/secrets/tress/lake"}],
                }],
                "volumes": [{"name": "platform", "configMap": {"name": "tress-connections"}}, {"name": "secret-0", "secret": {"secretName": "lake"}}],
            }}},
        }))
        .expect("a deployment")
    }

    fn revision() -> SignalRevision {
        serde_json::from_value(json!({
            "apiVersion": "tress.dev/v1alpha1", "kind": "SignalRevision", "metadata": {"name": "rating-a", "namespace": "movies", "uid": "u1"},
            "spec": {"signal": "rating", "schemaVersion": 1, "semantics": 1, "sourceHash": "h1:x", "digest": "d", "plan": "{}", "source": "{}"},
        }))
        .expect("a revision")
    }

    const ENGINE: [&str; 5] = ["--platform", "/etc/tress/platform.yaml", "stream", "--uid", "u1"];

    #[test]
    fn the_job_is_a_pod_of_the_operator_with_another_task_and_an_end() {
        let pattern = choose(vec![deployment("rating-a", ("rating-a", "stream"), &ENGINE)], "rating-a").expect("a pattern");
        let made = serde_json::to_value(job(&revision(), pattern.clone()).expect("a job")).expect("JSON");
        let (spec, before) = (&made["spec"]["template"]["spec"], serde_json::to_value(&pattern).expect("JSON"));
        let engine = &spec["containers"][0];
        assert_eq!(
            engine["args"],
            json!([
                "--platform",
                "/etc/tress/platform.yaml",
                "--report",
                "/dev/termination-log",
                "deadletters",
                "--uid",
                "u1",
                "--http",
                "127.0.0.1:7403",
                "--seconds",
                "300"
            ])
        );
        for same in ["serviceAccountName", "automountServiceAccountToken", "volumes"] {
            assert_eq!(spec[same], before[same], "{same}");
        }
        assert_eq!(engine["volumeMounts"], before["containers"][0]["volumeMounts"]);
        for gone in ["/containers/0/ports", "/containers/0/livenessProbe", "/topologySpreadConstraints"] {
            assert_eq!(spec.pointer(gone), None, "{gone}");
        }
        assert_eq!((&spec["restartPolicy"], &made["spec"]["backoffLimit"]), (&json!("Never"), &json!(0)));
        assert_eq!((&made["spec"]["activeDeadlineSeconds"], &made["spec"]["ttlSecondsAfterFinished"]), (&json!(300), &json!(60)));
        assert_eq!(made["metadata"]["ownerReferences"][0]["uid"], "u1");
    }

    #[test]
    fn the_stream_of_the_signal_is_the_best_pattern_and_what_is_no_engine_is_none() {
        let named = |spec: Option<PodSpec>| spec.and_then(|s| s.containers.into_iter().next()?.args?.pop());
        let with = |last: &'static str| ["--platform", "p", last];
        let all = vec![
            deployment("tress-default", ("route", "serve"), &with("pool")),
            deployment("click-a", ("click-a", "stream"), &with("other")),
            deployment("rating-a", ("rating-a", "stream"), &with("own")),
            deployment("aaa", ("x", "stream"), &["no", "engine"]),
        ];
        assert_eq!(named(choose(all.clone(), "rating-a")).as_deref(), Some("own"));
        assert_eq!(named(choose(all.clone(), "unknown")).as_deref(), Some("other"));
        assert_eq!(named(choose(vec![all[0].clone()], "unknown")).as_deref(), Some("pool"));
        assert_eq!(choose(vec![all[3].clone()], "x"), None);
    }

    #[test]
    fn a_selection_is_asked_for_as_the_engine_takes_it() {
        let which = Which { signal: None, from: Some(3), to: Some(7), limit: None, payload: true };
        assert_eq!(request(&which, Asked::List), (Method::Get, "/v1/deadletters?from=3&to=7&payload=yes".to_owned()));
        assert_eq!(request(&Which::default(), Asked::Replay), (Method::Post, "/v1/deadletters/replay?".to_owned()));
        assert_eq!(read((404, r#"{"error":{"message":"no topic"}}"#.to_owned())).expect_err("refused").to_string(), "no topic");
    }
}
