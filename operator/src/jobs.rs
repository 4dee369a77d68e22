//! What is seen of a job: its own status, and the last words of its pods; and when one that ended is made anew.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::{ContainerState, Pod};
use kube::ResourceExt;
use serde_json::{Value, json};
use tress_configs::job::{Outcome, Report};

use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::Result;
use crate::label;

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It is not there.
    Missing,
    Running,
    /// It has ended; `None` = its report is lost.
    Succeeded(Option<Report>),
    /// It will not be tried again by itself.
    Failed(Option<Report>),
}

/// A job with what its pods say.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    pub seen: Seen,
    /// How many of its name there were before it, one after another.
    pub attempt: u32,
    pub ended: Option<Timestamp>,
    /// What the newest pod that ended said, also while others go on.
    pub said: Option<Report>,
    /// Why a pod does not start: a word of Kubernetes.
    pub held_up: Option<String>,
    /// Of an indexed one: how many indexes are done, and which failed (`1,3-5`).
    pub done: i64,
    pub failed: String,
    pub job: Option<Arc<Job>>,
}

/// The how manieth of its name a job is.
const ATTEMPT: &str = "tress.dev/attempt";

impl Observed {
    /// One that is not there.
    #[must_use]
    pub const fn missing() -> Self {
        Self { seen: Seen::Missing, attempt: 0, ended: None, said: None, held_up: None, done: 0, failed: String::new(), job: None }
    }

    /// When one that ended without its result is made anew, if it may be; `None` = it need not be.
    ///
    /// What did not answer is asked again after 10 s, 20 s … 5 min. What contradicts the plan may be mended outside: it is looked at again
    /// after 1 min, 2 min … 30 min.
    #[must_use]
    pub fn again(&self) -> Option<Timestamp> {
        let (first, most) = match &self.seen {
            Seen::Missing | Seen::Running | Seen::Succeeded(Some(_)) => return None,
            Seen::Failed(Some(report)) if report.outcome == Outcome::Failed => (60, 1800),
            Seen::Succeeded(None) | Seen::Failed(_) => (10, 300),
        };
        let seconds = i64::from(first).saturating_mul(1 << self.attempt.min(20)).min(most);
        self.ended?.checked_add(SignedDuration::from_secs(seconds)).ok()
    }

    /// Whether trying again changes nothing by itself.
    #[must_use]
    pub fn is_contradicted(&self) -> bool {
        matches!(&self.seen, Seen::Failed(Some(report)) if report.outcome == Outcome::Failed)
    }

    /// What its report, or that of its newest pod, says went wrong.
    #[must_use]
    pub fn reasons(&self) -> String {
        let report = match &self.seen {
            Seen::Succeeded(Some(report)) | Seen::Failed(Some(report)) => Some(report),
            _ => self.said.as_ref(),
        };
        let reasons = report.map(|report| report.reasons.join("; ")).unwrap_or_default();
        match &self.held_up {
            Some(word) if reasons.is_empty() => format!("its pod does not start: {word}"),
            _ => reasons,
        }
    }
}

/// The job of this name that `owner`, a UID, owns. One of an earlier object of the owner's name is not it: what that did is of other data. It
/// goes when the job is made.
#[must_use]
pub fn observe(cluster: &Cluster, (namespace, name): (&str, &str), owner: &str) -> Observed {
    let Some(job) = cluster.jobs.get(namespace, name) else { return Observed::missing() };
    if !job.owner_references().iter().any(|reference| reference.uid == owner) {
        return Observed { job: Some(job), ..Observed::missing() };
    }
    let made_for = job.labels().get(label::OF).cloned().unwrap_or_default();
    let uid = job.uid().unwrap_or_default();
    let is_of_it = |pod: &Arc<Pod>| pod.owner_references().iter().any(|owner| owner.uid == uid);
    let pods: Vec<Arc<Pod>> = cluster.pods.made_for(namespace, &made_for).into_iter().filter(is_of_it).collect();
    of(job, &pods)
}

/// A job with its pods.
#[must_use]
pub fn of(job: Arc<Job>, pods: &[Arc<Pod>]) -> Observed {
    let attempt = job.annotations().get(ATTEMPT).and_then(|n| n.parse().ok()).unwrap_or_default();
    let status = job.status.clone().unwrap_or_default();
    let is = |what: &str| status.conditions.iter().flatten().find(|c: &&JobCondition| c.type_ == what && c.status == "True");
    let said = pods.iter().filter_map(|pod| last_words(pod)).max_by_key(|(at, _)| *at).map(|(_, report)| report);
    // A watch of jobs may be ahead of the one of pods.
    let is_going = |pod: &Arc<Pod>| !matches!(phase(pod), "Succeeded" | "Failed");
    let (end, has_failed) = match (is("Complete"), is("Failed")) {
        (Some(end), _) => (Some(end), false),
        (None, failed) => (failed, true),
    };
    let ended = end.and_then(|condition| condition.last_transition_time.as_ref()).map(|time| time.0);
    let seen = match end {
        None => Seen::Running,
        Some(_) if said.is_none() && pods.iter().any(is_going) => Seen::Running,
        Some(_) if has_failed => Seen::Failed(said.clone()),
        Some(_) => {
            let of_success = pods.iter().filter(|pod| phase(pod) == "Succeeded").filter_map(|pod| last_words(pod));
            Seen::Succeeded(of_success.max_by_key(|(at, _)| *at).map(|(_, report)| report))
        }
    };
    Observed {
        seen,
        attempt,
        ended,
        said,
        held_up: pods.iter().find_map(|pod| waits_for(pod)),
        done: status.succeeded.map(i64::from).unwrap_or_default(),
        failed: status.failed_indexes.unwrap_or_default(),
        job: Some(job),
    }
}

/// The report of a pod's engine that ended last, and when it ended.
#[must_use]
pub fn last_words(pod: &Pod) -> Option<(Timestamp, Report)> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let states = statuses.iter().flat_map(|status| [status.state.as_ref(), status.last_state.as_ref()]).flatten();
    let ended = states.filter_map(|state: &ContainerState| state.terminated.as_ref());
    let words = ended.filter_map(|end| {
        let at = end.finished_at.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        Some((at, Report::from_json(end.message.as_deref()?).ok()?))
    });
    words.max_by_key(|(at, _)| *at)
}

/// What a pod's container waits for, where it is more than a matter of a moment.
#[must_use]
pub fn waits_for(pod: &Pod) -> Option<String> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let words = statuses.iter().filter_map(|status| status.state.as_ref()?.waiting.as_ref()?.reason.clone());
    words.into_iter().find(|word| !matches!(word.as_str(), "ContainerCreating" | "PodInitializing"))
}

/// Makes a job that is not there, or anew one that has ended: it is deleted first. Made by label [`ATTEMPT`] so that pauses grow.
///
/// # Errors
/// Those of the writes.
pub async fn make(context: &Context, mut job: Value, observed: &Observed, inputs: &str) -> Result<()> {
    let attempt = match &observed.job {
        None => 0,
        Some(before) => {
            context.writer.delete(&**before).await?;
            match observed.seen {
                Seen::Succeeded(Some(_)) => 0,
                _ => observed.attempt.saturating_add(1),
            }
        }
    };
    let annotations = &mut job["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations[ATTEMPT] = json!(attempt.to_string());
    context.writer.ensure(job, inputs).await?;
    Ok(())
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tress_configs::job::Role;

    use super::*;

    fn job(conditions: Value) -> Arc<Job> {
        let job = json!({"metadata": {"name": "j", "annotations": {"tress.dev/attempt": "2"}}, "status": {"conditions": conditions, "succeeded": 3, "failedIndexes": "1,4-5"}});
        Arc::new(serde_json::from_value(job).unwrap())
    }

    fn ended(what: &str) -> Value {
        json!([{"type": what, "status": "True", "lastTransitionTime": "1970-01-01T00:10:00Z"}])
    }

    fn pod(phase: &str, words: Option<(&str, String)>) -> Arc<Pod> {
        let state = words.map(|(at, message)| json!({"terminated": {"exitCode": 0, "finishedAt": at, "message": message}}));
        let state = state.unwrap_or_else(|| json!({"waiting": {"reason": "ImagePullBackOff"}}));
        let status = json!({"name": "engine", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        Arc::new(serde_json::from_value(json!({"metadata": {}, "status": {"phase": phase, "containerStatuses": [status]}})).unwrap())
    }

    fn report(outcome: Outcome, reason: &str) -> Report {
        Report { reasons: vec![reason.to_owned()], ..Report::new(Role::Prepare, outcome, None) }
    }

    const FIRST: &str = "1970-01-01T00:00:01Z";
    const SECOND: &str = "1970-01-01T00:00:02Z";

    #[test]
    fn a_job_is_what_its_status_says_and_its_report_what_its_last_pod_said() {
        let failed = report(Outcome::FailedForNow, "no broker answers");
        let done = report(Outcome::Succeeded, "");
        let pods = [pod("Failed", Some((FIRST, failed.to_json()))), pod("Succeeded", Some((SECOND, done.to_json())))];
        let running = of(job(json!([])), &pods[..1]);
        assert_eq!((&running.seen, running.reasons().as_str(), running.again()), (&Seen::Running, "no broker answers", None));
        assert_eq!((running.done, running.failed.as_str(), running.attempt), (3, "1,4-5", 2));
        assert_eq!(of(job(ended("Complete")), &pods).seen, Seen::Succeeded(Some(done)));
        let gone = of(job(ended("Failed")), &pods[..1]);
        // The third of its name: 40 seconds after its end.
        assert_eq!((&gone.seen, gone.again()), (&Seen::Failed(Some(failed)), Timestamp::from_second(640).ok()));
        assert!(!gone.is_contradicted());
    }

    #[test]
    fn a_report_that_is_not_seen_yet_is_waited_for_and_one_that_is_lost_is_made_again() {
        assert_eq!(of(job(ended("Complete")), &[pod("Running", None)]).seen, Seen::Running);
        let lost = of(job(ended("Complete")), &[]);
        assert_eq!((&lost.seen, lost.again()), (&Seen::Succeeded(None), Timestamp::from_second(640).ok()));
        let garbled = of(job(ended("Complete")), &[pod("Succeeded", Some((FIRST, "Killed".to_owned())))]);
        assert_eq!(garbled.seen, Seen::Succeeded(None));
    }

    #[test]
    fn what_is_contradicted_is_looked_at_again_less_often() {
        let failed = of(job(ended("Failed")), &[pod("Failed", Some((FIRST, report(Outcome::Failed, "no topic t").to_json())))]);
        assert!(failed.is_contradicted());
        assert_eq!((failed.reasons().as_str(), failed.again()), ("no topic t", Timestamp::from_second(600 + 240).ok()));
        let often = Observed { attempt: 60, ..failed };
        assert_eq!(often.again(), Timestamp::from_second(600 + 1800).ok());
    }

    #[test]
    fn why_a_pod_does_not_start_is_told() {
        let waiting = of(job(json!([])), &[pod("Pending", None)]);
        assert_eq!(waiting.reasons(), "its pod does not start: ImagePullBackOff");
    }
}
