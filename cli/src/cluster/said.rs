//! What pods say of themselves: how fresh sequences are, how far streams lag. Numbers that no object has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::Cluster;
use super::seen::{ROLE, Seen};
use super::tunnel::{self, Port};
use crate::time;

/// How long a pod may take to answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// How many are asked at a time …
const AT_ONCE: usize = 8;
/// … and at most: a person reads the answers.
const MOST: usize = 32;

/// What was said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// By digest of a sequence revision.
    pub served: BTreeMap<String, Served>,
    /// Records that a stream has before it, by namespace and name of its pod.
    pub lag: BTreeMap<(String, String), i64>,
    /// Why there is less than there could be.
    pub notes: Vec<String>,
}

/// A revision in a pool, as one of its pods says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Served {
    /// `loading`, `ready`, `failed`
    pub state: String,
    pub reason: Option<String>,
    /// How old the newest thing is that it has applied, in µs.
    pub freshness: Option<i64>,
}

/// Which question a pod can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Features,
    Lag,
}

impl Said {
    /// Asks one ready pod of each pool, and the pods of streams.
    pub async fn of(cluster: &Cluster, seen: &Seen) -> Self {
        let questions = questions(seen.pods.iter().map(|pod| &**pod));
        let mut said = Self::default();
        if questions.len() > MOST {
            said.notes.push(format!(
                "only {MOST} of {} pods were asked for freshness and lag: name one object to see all of it",
                questions.len()
            ));
        }
        let asking = questions.into_iter().take(MOST).map(|(question, port)| async move {
            let path = if question == Question::Features { "/v1/features" } else { "/metrics" };
            let pods = cluster.of::<Pod>(&port.namespace);
            let answer = tokio::time::timeout(PATIENCE, tunnel::get(&pods, &port, path)).await;
            let answer = answer.unwrap_or_else(|_| Err(anyhow::anyhow!("ask pod {}: no answer in {} s", port.pod, PATIENCE.as_secs())));
            (question, port, answer)
        });
        let mut answers: Vec<_> = futures::stream::iter(asking).buffer_unordered(AT_ONCE).collect().await;
        answers.sort_by(|(q, a, _), (r, b, _)| (q, a).cmp(&(r, b)));
        let mut silent = BTreeSet::new();
        for (question, port, answer) in answers {
            match answer {
                Ok(text) => said.hear(question, &port, &text),
                Err(e) => {
                    silent.insert(format!("{e:#}"));
                }
            }
        }
        if let Some(first) = silent.first() {
            said.notes.push(format!("freshness and lag are not known of every pod: {first}"));
        }
        said
    }

    fn hear(&mut self, question: Question, port: &Port, text: &str) {
        match question {
            Question::Features => self.served.extend(served(text)),
            Question::Lag => {
                if let Some(lag) = lag(text) {
                    self.lag.insert((port.namespace.clone(), port.pod.clone()), lag);
                }
            }
        }
    }
}

/// Whom to ask what: of each pool the first ready pod, of streams all that run.
fn questions<'a>(pods: impl Iterator<Item = &'a Pod>) -> Vec<(Question, Port)> {
    let mut asked = BTreeMap::new();
    for pod in pods.filter(|pod| is_ready(pod)) {
        let label = |key: &str| pod.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map_or("", String::as_str);
        let question = match label(ROLE) {
            "serve" => Question::Features,
            "stream" => Question::Lag,
            _ => continue,
        };
        let (Some(namespace), Some(name), Some(number)) = (pod.metadata.namespace.clone(), pod.metadata.name.clone(), port(pod, "http"))
        else {
            continue;
        };
        let one_of = if question == Question::Features { label(super::seen::OF).to_owned() } else { name.clone() };
        asked.entry((question, namespace.clone(), one_of)).or_insert(Port { namespace, pod: name, number });
    }
    asked.into_iter().map(|((question, ..), port)| (question, port)).collect()
}

/// Whether a pod takes requests, and is not about to go.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none() && conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")
}

/// The number of a port that the engine's container names.
pub fn port(pod: &Pod, name: &str) -> Option<u16> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|c| c.ports.iter().flatten());
    ports.find(|p| p.name.as_deref() == Some(name)).and_then(|p| u16::try_from(p.container_port).ok())
}

fn served(text: &str) -> BTreeMap<String, Served> {
    let told: Value = serde_json::from_str(text).unwrap_or_default();
    let moment = |value: &Value| value.as_str().and_then(|t| time::parse(t).ok());
    let now = moment(&told["now"]);
    let mut all = BTreeMap::new();
    for revision in told["features"].as_array().into_iter().flatten().flat_map(|f| f["revisions"].as_array().into_iter().flatten()) {
        let Some(digest) = revision["digest"].as_str() else { continue };
        let freshness = now.zip(moment(&revision["appliedThrough"])).map(|(now, applied)| now.saturating_sub(applied).max(0));
        let text = |key: &str| revision[key].as_str().map(str::to_owned);
        all.insert(digest.to_owned(), Served { state: text("state").unwrap_or_default(), reason: text("reason"), freshness });
    }
    all
}

/// The sum over the partitions that a pod has; `None` = it says nothing of them.
fn lag(metrics: &str) -> Option<i64> {
    let lines = metrics.lines().filter(|line| line.starts_with("tress_signal_lag_records{"));
    let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    values.map(|lag| lag as i64).reduce(|a, b| a.saturating_add(b))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn freshness_is_by_the_clock_of_the_pod_and_lag_is_summed() {
        let text = json!({"now": "2026-01-01T00:00:10Z", "features": [{"feature": "movies/recent", "revisions": [
            {"digest": "d1", "state": "ready", "appliedThrough": "2026-01-01T00:00:08Z"},
            {"digest": "d2", "state": "failed", "reason": "no lake", "appliedThrough": null},
        ]}]});
        let told = served(&text.to_string());
        assert_eq!(told["d1"], Served { state: "ready".into(), reason: None, freshness: Some(2_000_000) });
        assert_eq!(told["d2"], Served { state: "failed".into(), reason: Some("no lake".into()), freshness: None });
        assert!(served("no JSON").is_empty());
        let metrics = "# TYPE tress_signal_lag_records gauge\ntress_signal_lag_records{signal=\"m/r\",partition=\"0\"} 5\n\
                       tress_signal_lag_records{signal=\"m/r\",partition=\"1\"} 7\nother 1\n";
        assert_eq!((lag(metrics), lag("other 1\n")), (Some(12), None));
    }

    #[test]
    fn one_ready_pod_of_a_pool_is_asked_and_every_one_of_a_stream() {
        let pod = |name: &str, role: &str, ready: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"namespace": "movies", "name": name, "labels": {"tress.dev/role": role, "tress.dev/of": "x"}},
                "spec": {"containers": [{"name": "engine", "ports": [{"name": "http", "containerPort": 7401}]}]},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            }))
            .expect("a pod")
        };
        let pods = [
            pod("a", "serve", "False"),
            pod("b", "serve", "True"),
            pod("c", "serve", "True"),
            pod("d", "stream", "True"),
            pod("e", "stream", "True"),
            pod("f", "prepare", "True"),
        ];
        let asked: Vec<_> = questions(pods.iter()).into_iter().map(|(q, p)| (q, p.pod, p.number)).collect();
        let of = |q, name: &str| (q, name.to_owned(), 7401);
        assert_eq!(asked, [of(Question::Features, "b"), of(Question::Lag, "d"), of(Question::Lag, "e")]);
    }
}
