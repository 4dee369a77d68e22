//! What a cluster does with what is written to it: Deployments get pods, jobs run, pods start and end, what has no owner goes. One loop
//! that looks at everything again after every change; what it does takes its time, as fate has it.

mod deployments;
mod garbage;
mod jobs;
mod namespaces;
mod pods;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kube::Client;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::engine::lake::Lake;
use crate::engine::serving::{Papers, Serving};
use crate::fate::Fate;
use crate::kinds;
use crate::store::{self, Key, Store};

/// Everything of a cluster but its API server.
pub struct Play {
    client: Client,
    store: Store,
    fate: Arc<Fate>,
    pub lake: Arc<Mutex<Lake>>,
    /// What readers would have suffered from.
    pub failed: Arc<Mutex<Vec<String>>>,
    serving: HashMap<String, Placed>,
    /// What pods of jobs did, by their UIDs: a pod runs once.
    ran: HashMap<String, Value>,
    /// Jobs whose begin and whose end was written, by their UIDs.
    begun: HashSet<String>,
    ended: HashSet<String>,
    due: HashMap<String, Instant>,
    next: Option<Instant>,
}

/// A serving pod on its node.
struct Placed {
    serving: Serving,
    address: Ipv4Addr,
    mounted: String,
    papers: Papers,
}

/// The longest that it waits without looking again.
const LOOK: Duration = Duration::from_millis(500);
/// The account that all pods name.
const ACCOUNT: &str = "tress-engine";

impl Play {
    pub fn new(client: Client, store: Store, fate: Arc<Fate>) -> Self {
        Self {
            client,
            store,
            fate,
            lake: Arc::default(),
            failed: Arc::default(),
            serving: HashMap::new(),
            ran: HashMap::new(),
            begun: HashSet::new(),
            ended: HashSet::new(),
            due: HashMap::new(),
            next: None,
        }
    }

    pub async fn run(mut self, stop: CancellationToken) {
        let mut changes = self.store.changes();
        while !stop.is_cancelled() {
            changes.borrow_and_update();
            self.next = None;
            self.namespaces().await;
            self.garbage().await;
            self.deployments().await;
            self.jobs().await;
            self.pods().await;
            let latest = Instant::now() + LOOK;
            let until = self.next.map_or(latest, |next| next.min(latest));
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(until.into()) => {}
                () = stop.cancelled() => {}
            }
        }
        for (_, mut placed) in self.serving.drain() {
            placed.serving.close().await;
        }
    }

    /// Whether the time for `what` has come; the first time that this is asked it is set.
    fn ripe(&mut self, what: String, at_most: Duration) -> bool {
        let takes = self.fate.takes(at_most, &what);
        let due = *self.due.entry(what).or_insert_with(|| Instant::now() + takes);
        let ripe = due <= Instant::now();
        if !ripe {
            self.next = Some(self.next.map_or(due, |next| next.min(due)));
        }
        ripe
    }

    /// As [`Play::ripe`], as quickly as most things go.
    fn soon(&mut self, what: String) -> bool {
        self.ripe(what, self.fate.mood.slow)
    }

    /// Creates a pod from a template, unless it is there. What it needs may be missing: it is asked for again.
    async fn create_pod(&self, (namespace, name): (&str, &str), owner: (&str, &Value), template: &Value, extra: &[(&str, &str)]) {
        if self.store.get("ServiceAccount", namespace, ACCOUNT).is_none() {
            return;
        }
        let (kind, object) = owner;
        let mut pod = template.clone();
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["spec"]["nodeName"] = json!("node");
        let api_version = if kind == "Job" { "batch/v1" } else { "apps/v1" };
        let metadata = &mut pod["metadata"];
        metadata["name"] = json!(name);
        metadata["ownerReferences"] = json!([{"apiVersion": api_version, "kind": kind, "name": store::text(object, "/metadata/name"), "uid": store::uid(object), "controller": true}]);
        for (label, value) in extra {
            metadata["labels"][*label] = json!(value);
        }
        self.create("Pod", namespace, pod).await;
    }

    async fn create(&self, kind: &str, namespace: &str, object: Value) {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let created = kinds::api(&self.client, kind, namespace).create(&PostParams::default(), &object).await;
        expected(created);
    }

    /// Whether it was taken; what was not is written again at the next look.
    async fn put_status(&self, key: &Key, status: Value) -> bool {
        let patch = Patch::Merge(json!({"status": status}));
        let done = kinds::api(&self.client, key.kind, &key.namespace).patch_status(&key.name, &PatchParams::default(), &patch).await;
        let is_taken = done.is_ok();
        expected(done);
        is_taken
    }

    async fn delete(&self, key: &Key, object: &Value, grace: Option<u32>) {
        let uid = Some(store::uid(object).to_owned());
        let parameters = DeleteParams {
            grace_period_seconds: grace,
            preconditions: Some(Preconditions { uid, resource_version: None }),
            ..DeleteParams::background()
        };
        expected(kinds::api(&self.client, key.kind, &key.namespace).delete(&key.name, &parameters).await);
    }
}

/// What somebody else did meanwhile is seen later; anything else is a mistake of the tests.
fn expected<T>(done: kube::Result<T>) {
    match done {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404 | 409 | 429 | 500..600) => {}
        Err(kube::Error::Api(status)) => panic!("the simulator wrote what is not taken: {status:?}"),
        // The server is away.
        Err(_) => {}
    }
}

/// The conditions of an object, by type: status.
fn conditions(object: &Value) -> BTreeMap<&str, &str> {
    store::items(object, "/status/conditions").iter().map(|c| (store::text(c, "/type"), store::text(c, "/status"))).collect()
}

fn condition(what: &str, truth: bool) -> Value {
    let status = if truth { "True" } else { "False" };
    json!({"type": what, "status": status, "lastTransitionTime": now(), "reason": "Simulated"})
}

fn now() -> String {
    let now = k8s_openapi::jiff::Timestamp::now();
    k8s_openapi::jiff::Timestamp::from_second(now.as_second()).unwrap().to_string()
}

/// Pods of this owner.
fn pods_of(store: &Store, owner: &str) -> Vec<(Key, Arc<Value>)> {
    let is_its = |pod: &Value| store::items(pod, "/metadata/ownerReferences").iter().any(|r| store::text(r, "/uid") == owner);
    store.all("Pod").into_iter().filter(|(_, pod)| is_its(pod)).collect()
}
