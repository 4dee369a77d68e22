//! Deployments: as many pods of the present template as are wanted; older ones go when those are ready.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

use super::{Play, condition, conditions, pods_of};
use crate::store::{Key, is_going, label, number, text, uid};

/// What tells pods of one template from those of another.
const TEMPLATE: &str = "pod-template-hash";

impl Play {
    pub(super) async fn deployments(&mut self) {
        for (key, deployment) in self.store.all("Deployment") {
            if !is_going(&deployment) {
                self.deployment(&key, &deployment).await;
            }
        }
    }

    async fn deployment(&mut self, key: &Key, deployment: &Value) {
        let template = &deployment["spec"]["template"];
        let hash = hash(template);
        let wanted = number(deployment, "/spec/replicas").unwrap_or(1);
        let pods = pods_of(&self.store, uid(deployment));
        let names: Vec<String> = (0..wanted).map(|n| format!("{}-{hash}-{n}", key.name)).collect();
        for name in &names {
            if !pods.iter().any(|(pod, _)| pod.name == *name) && self.soon(format!("create {} {name}", uid(deployment))) {
                let owner = ("ReplicaSet", deployment);
                self.create_pod((&key.namespace, name), owner, template, &[(TEMPLATE, &hash)]).await;
            }
        }
        let ready = |pod: &Value| conditions(pod).get("Ready") == Some(&"True") && !is_going(pod);
        let current: Vec<_> = pods.iter().filter(|(pod, _)| names.contains(&pod.name)).collect();
        let ready_now = i64::try_from(current.iter().filter(|(_, pod)| ready(pod)).count()).unwrap();
        for (pod_key, pod) in pods.iter().filter(|(pod, _)| !names.contains(&pod.name)) {
            // No more are unavailable than may be: the old ones wait for the new ones.
            let replaced = ready_now == wanted || label(pod, TEMPLATE) == hash;
            if replaced && !is_going(pod) && self.soon(format!("replace {}", uid(pod))) {
                self.delete(pod_key, pod, None).await;
            }
        }
        let all_ready = i64::try_from(pods.iter().filter(|(_, pod)| ready(pod)).count()).unwrap();
        let status = json!({
            "observedGeneration": number(deployment, "/metadata/generation"),
            "replicas": pods.len(),
            "updatedReplicas": current.len(),
            "readyReplicas": all_ready,
            "availableReplicas": all_ready,
            "unavailableReplicas": (wanted - all_ready).max(0),
        });
        let before = &deployment["status"];
        let same =
            status.as_object().unwrap().iter().all(|(field, value)| before[field] == *value || (value == 0 && before[field].is_null()));
        let is_available = all_ready >= wanted;
        let told = conditions(deployment).get("Available").copied() == Some(if is_available { "True" } else { "False" });
        let version = text(deployment, "/metadata/resourceVersion");
        if (!same || !told) && self.soon(format!("status {} {version}", uid(deployment))) {
            let mut status = status;
            status["conditions"] = json!([condition("Available", is_available)]);
            self.put_status(key, status).await;
        }
    }
}

fn hash(template: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    template.to_string().hash(&mut hasher);
    format!("{:05x}", hasher.finish() & 0xf_ffff)
}
