//! The node: starts pods once what they mount is there, runs what jobs are for, mounts routes anew, ends what is deleted.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tress_configs::job::{Outcome, Report, Role};

use super::jobs::INDEX;
use super::{Placed, Play, condition, conditions};
use crate::engine::lake::{Call, exit_code};
use crate::engine::serving::{CONTROL, Papers, Serving};
use crate::store::{Key, is_going, items, label, text, uid};

impl Play {
    pub(super) async fn pods(&mut self) {
        for (key, pod) in self.store.all("Pod") {
            let id = uid(&pod).to_owned();
            if is_going(&pod) {
                if self.soon(format!("stop {id}")) {
                    if let Some(mut placed) = self.serving.remove(&id) {
                        placed.serving.close().await;
                    }
                    self.delete(&key, &pod, Some(0)).await;
                }
            } else if text(&pod, "/status/phase") == "Pending" {
                let waits = items(&pod, "/spec/containers/0/args").contains(&json!("tasks")) && self.lake.lock().unwrap().busy;
                if !waits
                    && let Some(files) = self.mounted(&key.namespace, &pod)
                    && self.soon(format!("start {id}"))
                {
                    self.start(&key, &pod, &files).await;
                }
            } else if self.serving.contains_key(&id) {
                self.keep(&key, &pod).await;
            }
        }
        // What was deleted by force.
        let gone = |id: &&String| !self.store.all("Pod").iter().any(|(_, pod)| uid(pod) == id.as_str());
        let gone: Vec<String> = self.serving.keys().filter(gone).cloned().collect();
        for id in gone {
            if let Some(mut placed) = self.serving.remove(&id) {
                placed.serving.close().await;
            }
        }
    }

    /// What a pod is given; `None` = something that it must have is missing.
    fn mounted(&self, namespace: &str, pod: &Value) -> Option<BTreeMap<String, String>> {
        let mut given = BTreeMap::new();
        for volume in items(pod, "/spec/volumes") {
            let map = text(volume, "/configMap/name");
            if !map.is_empty() {
                let map = self.store.get("ConfigMap", namespace, map)?;
                if text(volume, "/name") == "given" {
                    given = files(&map);
                }
            }
            let secret = text(volume, "/secret/secretName");
            if !secret.is_empty() && volume["secret"]["optional"] != true {
                self.store.get("Secret", namespace, secret)?;
            }
        }
        Some(given)
    }

    async fn start(&mut self, key: &Key, pod: &Value, given: &BTreeMap<String, String>) {
        match label(pod, "tress.dev/role") {
            "serve" => self.place(key, pod, given).await,
            "stream" | "archive" => drop(self.put_status(key, running(Ipv4Addr::LOCALHOST, true)).await),
            _ => {
                if !self.ran.contains_key(uid(pod)) {
                    let ended = self.work(key, pod, given);
                    self.ran.insert(uid(pod).to_owned(), ended);
                }
                self.put_status(key, self.ran[uid(pod)].clone()).await;
            }
        }
    }

    /// Runs a job's pod to its end.
    fn work(&self, key: &Key, pod: &Value, given: &BTreeMap<String, String>) -> Value {
        let mood = self.fate.mood;
        let arguments: Vec<String> = items(pod, "/spec/containers/0/args").iter().filter_map(|a| a.as_str().map(str::to_owned)).collect();
        let job = text(pod, "/metadata/ownerReferences/0/uid");
        let call = Call { arguments: &arguments, given, job, index: label(pod, INDEX).parse().unwrap_or(0) };
        if self.fate.happens(mood.fails, &format!("fails {}", key.name)) {
            let report = Report { reasons: vec!["nobody answered".to_owned()], ..Report::new(Role::Prepare, Outcome::FailedForNow, None) };
            return ended(&report, &report.to_json());
        }
        let report = self.lake.lock().unwrap().run(&call);
        if self.fate.happens(mood.lost, &format!("lost {}", key.name)) {
            let evicted =
                json!({"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "lastTransitionTime": super::now()});
            return json!({"phase": "Failed", "reason": "Evicted", "conditions": [evicted]});
        }
        let unheard = self.fate.happens(mood.unheard, &format!("unheard {}", key.name));
        let message = if unheard { String::new() } else { report.to_json() };
        ended(&report, &message)
    }

    async fn place(&mut self, key: &Key, pod: &Value, given: &BTreeMap<String, String>) {
        let Some(papers) = self.papers(&key.namespace) else { return };
        let id = uid(pod).to_owned();
        if !self.serving.contains_key(&id) {
            let mut serving = Serving::begin(&key.name, Arc::clone(&self.fate), Arc::clone(&self.lake), Arc::clone(&self.failed)).await;
            let address = free_address();
            serving.listen(address, &papers).await;
            serving.pod.mount(given).await;
            let mounted = self.route(&key.namespace, pod).map(|map| version(&map)).unwrap_or_default();
            self.serving.insert(id.clone(), Placed { serving, address, mounted, papers });
        }
        self.put_status(key, running(self.serving[&id].address, false)).await;
    }

    /// Of a serving pod that runs: what it mounts changes, and it becomes ready.
    async fn keep(&mut self, key: &Key, pod: &Value) {
        let id = uid(pod).to_owned();
        if let Some(map) = self.route(&key.namespace, pod)
            && version(&map) != self.serving[&id].mounted
            && self.ripe(format!("mount {id} {}", version(&map)), self.fate.mood.mount)
            && let Some(placed) = self.serving.get_mut(&id)
        {
            placed.mounted = version(&map);
            placed.serving.pod.mount(&files(&map)).await;
        }
        if let Some(papers) = self.papers(&key.namespace)
            && papers != self.serving[&id].papers
            && self.soon(format!("papers {id} {}", papers.certificate))
            && let Some(placed) = self.serving.get_mut(&id)
        {
            placed.serving.listen(placed.address, &papers).await;
            placed.papers = papers;
        }
        let placed = &self.serving[&id];
        let ready = placed.serving.pod.is_ready();
        if ready != (conditions(pod).get("Ready") == Some(&"True")) {
            self.put_status(key, running(placed.address, ready)).await;
        }
        if !ready {
            // It becomes ready by itself.
            let soon = std::time::Instant::now() + std::time::Duration::from_millis(20);
            self.next = Some(self.next.map_or(soon, |next| next.min(soon)));
        }
    }

    fn route(&self, namespace: &str, pod: &Value) -> Option<Arc<Value>> {
        let volume = items(pod, "/spec/volumes").iter().find(|volume| text(volume, "/name") == "given")?;
        self.store.get("ConfigMap", namespace, text(volume, "/configMap/name"))
    }

    fn papers(&self, namespace: &str) -> Option<Papers> {
        let secret = self.store.get("Secret", namespace, "tress-control")?;
        let data: BTreeMap<String, ByteString> = serde_json::from_value(secret.get("data")?.clone()).ok()?;
        let file = |name: &str| Some(String::from_utf8_lossy(&data.get(name)?.0).into_owned());
        Some(Papers { certificate: file("tls.crt")?, key: file("tls.key")?, authorities: file("ca.crt")? })
    }
}

fn files(map: &Value) -> BTreeMap<String, String> {
    map.get("data").and_then(|data| serde_json::from_value(data.clone()).ok()).unwrap_or_default()
}

fn version(map: &Value) -> String {
    format!("{} {}", uid(map), text(map, "/metadata/resourceVersion"))
}

fn running(address: Ipv4Addr, ready: bool) -> Value {
    json!({
        "phase": "Running",
        "podIP": address.to_string(),
        "podIPs": [{"ip": address.to_string()}],
        "hostIP": "127.0.0.1",
        "startTime": super::now(),
        "conditions": [condition("PodScheduled", true), condition("Initialized", true), condition("ContainersReady", ready), condition("Ready", ready)],
        "containerStatuses": [container(&json!({"running": {"startedAt": super::now()}}), ready)],
    })
}

fn ended(report: &Report, message: &str) -> Value {
    let code = exit_code(report.outcome);
    let state = json!({"terminated": {"exitCode": code, "message": message, "startedAt": super::now(), "finishedAt": super::now(), "reason": "Ended"}});
    json!({
        "phase": if code == 0 { "Succeeded" } else { "Failed" },
        "conditions": [condition("Ready", false)],
        "containerStatuses": [container(&state, false)],
    })
}

fn container(state: &Value, ready: bool) -> Value {
    json!({"name": "engine", "image": "tress-engine:test", "imageID": "", "ready": ready, "started": ready, "restartCount": 0, "state": state})
}

/// A loopback address that no other pod has, of this process or another.
fn free_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let n = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() % 4096 * 256;
        let [_, high, middle, low] = n.to_be_bytes();
        let address = Ipv4Addr::new(127, 64 + high % 128, middle, low.clamp(1, 254));
        if std::net::TcpListener::bind((address, CONTROL)).is_ok() {
            return address;
        }
    }
}
