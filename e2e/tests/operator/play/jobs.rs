//! Jobs: pods until enough of them succeeded, or one failed for good.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Play, condition, conditions, now, pods_of};
use crate::store::{Key, is_going, items, number, text, uid};

/// Which of an indexed job a pod is.
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// What became of a job's pods.
#[derive(Debug, Default)]
struct Tally {
    succeeded: BTreeSet<i64>,
    active: BTreeSet<i64>,
    /// How many pods there were of an index, and how many of those count against it.
    made: BTreeMap<i64, usize>,
    failed: BTreeMap<i64, i64>,
    /// The engine said that trying again changes nothing.
    for_good: bool,
}

impl Play {
    pub(super) async fn jobs(&mut self) {
        for (key, job) in self.store.all("Job") {
            let ended = conditions(&job);
            let is_over = ["Complete", "Failed"].iter().any(|c| ended.get(c) == Some(&"True"));
            if !is_going(&job) && !is_over {
                self.job(&key, &job).await;
            }
        }
    }

    async fn job(&mut self, key: &Key, job: &Value) {
        if self.ended.contains(uid(job)) {
            // It was written, and is not heard of yet.
            return;
        }
        let indexed = text(job, "/spec/completionMode") == "Indexed";
        let completions = number(job, "/spec/completions").unwrap_or(1);
        let parallelism = number(job, "/spec/parallelism").unwrap_or(1);
        let tally = tally(&pods_of(&self.store, uid(job)));
        if number(job, "/status/succeeded").unwrap_or(0) < tally.succeeded.len() as i64 || tally.succeeded.len() as i64 == completions {
            if tally.succeeded.len() as i64 == completions {
                if self.soon(format!("complete {}", uid(job))) {
                    let conditions = json!([condition("SuccessCriteriaMet", true), condition("Complete", true)]);
                    self.end(key, job, &tally, (conditions, json!(now()))).await;
                }
                return;
            }
            let status = counts(job, &tally);
            // When it began is written once; until that is heard of, nothing else is.
            let is_first = !self.begun.contains(uid(job));
            if (job.pointer("/status/startTime").is_some() || is_first) && self.put_status(key, status).await {
                self.begun.insert(uid(job).to_owned());
            }
        }
        let limit = number(job, if indexed { "/spec/backoffLimitPerIndex" } else { "/spec/backoffLimit" }).unwrap_or(6);
        if tally.for_good || tally.failed.values().any(|failed| *failed > limit) {
            if tally.active.is_empty() && self.soon(format!("fail {}", uid(job))) {
                let conditions = json!([condition("FailureTarget", true), condition("Failed", true)]);
                self.end(key, job, &tally, (conditions, Value::Null)).await;
            }
            return;
        }
        if job["spec"]["suspend"] == true {
            // Who works on it is ended.
            for (pod_key, pod) in pods_of(&self.store, uid(job)) {
                let is_over = ["Succeeded", "Failed"].contains(&text(&pod, "/status/phase"));
                if !is_over && !is_going(&pod) && self.soon(format!("suspend {}", uid(&pod))) {
                    self.delete(&pod_key, &pod, None).await;
                }
            }
            return;
        }
        let room = usize::try_from(parallelism).unwrap_or(0).saturating_sub(tally.active.len());
        let missing = (0..completions).filter(|index| !tally.succeeded.contains(index) && !tally.active.contains(index));
        for index in missing.take(room) {
            let made = tally.made.get(&index).copied().unwrap_or(0);
            let name = format!("{}-{index}-{made}", key.name);
            if self.soon(format!("create {} {name}", uid(job))) {
                let index = index.to_string();
                self.create_pod((&key.namespace, &name), ("Job", job), &job["spec"]["template"], &[(INDEX, &index)]).await;
            }
        }
    }

    async fn end(&mut self, key: &Key, job: &Value, tally: &Tally, (conditions, completed): (Value, Value)) {
        let mut status = counts(job, tally);
        status["conditions"] = conditions;
        if !completed.is_null() {
            status["completionTime"] = completed;
        }
        if job.pointer("/status/startTime").is_none() && self.begun.contains(uid(job)) {
            // When it began was written, and is not heard of yet.
            return;
        }
        if self.put_status(key, status).await {
            self.ended.insert(uid(job).to_owned());
        }
    }
}

fn counts(job: &Value, tally: &Tally) -> Value {
    let indexed = text(job, "/spec/completionMode") == "Indexed";
    let listed = tally.succeeded.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let failed: Vec<String> = tally.failed.keys().filter(|index| !tally.succeeded.contains(index)).map(i64::to_string).collect();
    let started = job.pointer("/status/startTime").cloned().unwrap_or_else(|| json!(now()));
    let mut status = json!({"startTime": started, "succeeded": tally.succeeded.len(), "failed": tally.failed.values().sum::<i64>()});
    if indexed {
        status["completedIndexes"] = json!(listed);
        if tally.for_good {
            status["failedIndexes"] = json!(failed.join(","));
        }
    }
    status
}

fn tally(pods: &[(Key, std::sync::Arc<Value>)]) -> Tally {
    let mut tally = Tally::default();
    for (_, pod) in pods {
        let index = crate::store::label(pod, INDEX).parse().unwrap_or(0);
        *tally.made.entry(index).or_default() += 1;
        let code = number(pod, "/status/containerStatuses/0/state/terminated/exitCode");
        let disrupted = items(pod, "/status/conditions").iter().any(|c| text(c, "/type") == "DisruptionTarget");
        match text(pod, "/status/phase") {
            "Succeeded" => drop(tally.succeeded.insert(index)),
            "Failed" if disrupted => {}
            "Failed" => {
                *tally.failed.entry(index).or_default() += 1;
                tally.for_good |= code == Some(2);
            }
            _ if is_going(pod) => {}
            _ => drop(tally.active.insert(index)),
        }
    }
    tally
}
