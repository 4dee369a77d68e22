//! From the protocol of serving pods, and what Kubernetes says of them, to what matters here.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::entry::Pinned;
use super::told::{Life, OfFeature, OfRevision, Said, State, Told};
use crate::context::Context;
use crate::control::{self, proto};
use crate::label::{self, Role};

/// The pods of a pool, by name. `feature`: all that is wanted of what they say; `None` = of all features.
#[must_use]
pub fn hear(context: &Context, (namespace, pool): (&str, &str), feature: Option<&str>) -> Vec<Told> {
    let wanted = feature.map(|feature| format!("{namespace}/{feature}"));
    let said = context.pods.say(namespace, pool);
    let pods = context.cluster.pods.made_for(namespace, pool);
    let serves = |pod: &&Arc<Pod>| pod.labels().get(label::ROLE).map(String::as_str) == Some(Role::Serve.as_str());
    pods.iter().filter(serves).map(|pod| told(pod, &said, wanted.as_deref())).collect()
}

fn told(pod: &Pod, said: &[control::Said], wanted: Option<&str>) -> Told {
    let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
    let said = said.iter().find(|said| said.uid == uid).and_then(|said| Some(says(said.status.as_deref()?, said.when?, wanted)));
    Told { name, uid, life: life(pod), said }
}

fn life(pod: &Pod) -> Life {
    let status = pod.status.as_ref();
    let is_running = status.and_then(|status| status.phase.as_deref()) == Some("Running");
    if let Some(until) = pod.metadata.deletion_timestamp.as_ref().filter(|_| is_running) {
        return Life::Ending { until: until.0 };
    }
    let mut conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let is_ready = conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True");
    match (is_running, is_ready) {
        (false, _) => Life::Away,
        (true, false) => Life::Running,
        (true, true) => Life::Ready,
    }
}

fn says(status: &proto::GetStatusResponse, at: Timestamp, wanted: Option<&str>) -> Said {
    let named = |feature: &&proto::FeatureStatus| wanted.is_none_or(|wanted| feature.feature == wanted);
    let of = |feature: &proto::FeatureStatus| {
        let proto::FeatureStatus { feature, epoch, file_epoch, trial_weight_bp: _, revisions } = feature;
        let revisions = revisions.iter().filter_map(revision).collect();
        let said = OfFeature { epoch: *epoch, file_epoch: *file_epoch, revisions };
        (feature.clone(), said)
    };
    Said { features: status.features.iter().filter(named).map(of).collect(), at }
}

fn revision(said: &proto::RevisionStatus) -> Option<OfRevision> {
    use proto::revision_description::State as Wire;
    let proto::PinnedRevision { uid, digest } = said.revision.clone()?;
    let reason = said.reason.clone();
    let state = match Wire::try_from(said.state).unwrap_or(Wire::Unspecified) {
        Wire::Ready => State::Ready,
        Wire::Failed => State::Failed { reason },
        Wire::Loading | Wire::Unspecified => State::Loading { reason },
    };
    Some(OfRevision {
        pinned: Pinned { uid, digest },
        state,
        warm: said.warm,
        freshness: said.freshness.map(SignedDuration::from_micros),
        asked: said.pins.iter().filter_map(|pin| Timestamp::from_microsecond(pin.at).ok()).max(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: Value, deletion: Option<&str>) -> Pod {
        let mut pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u"}, "status": status})).unwrap();
        pod.metadata.deletion_timestamp = deletion.map(|at| serde_json::from_value(json!(at)).unwrap());
        pod
    }

    #[test]
    fn what_kubernetes_says_of_a_pod_is_one_of_four_lives() {
        let conditions = |ready: &str| json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]});
        assert_eq!(life(&pod(json!({"phase": "Pending"}), None)), Life::Away);
        assert_eq!(life(&pod(json!({"phase": "Failed"}), Some("1970-01-01T00:00:09Z"))), Life::Away);
        assert_eq!(life(&pod(conditions("False"), None)), Life::Running);
        assert_eq!(life(&pod(conditions("True"), None)), Life::Ready);
        let ending = Life::Ending { until: Timestamp::from_second(9).unwrap() };
        assert_eq!(life(&pod(conditions("True"), Some("1970-01-01T00:00:09Z"))), ending);
    }

    #[test]
    fn what_a_pod_says_is_taken_over_feature_by_feature() {
        let pinned = proto::PinnedRevision { uid: "u".to_owned(), digest: "d".to_owned() };
        let pins =
            vec![proto::ConsumerPin { consumer: "job".to_owned(), at: 5_000_000 }, proto::ConsumerPin { consumer: String::new(), at: 3 }];
        let revision = proto::RevisionStatus {
            revision: Some(pinned),
            state: proto::revision_description::State::Failed.into(),
            reason: "no lake".to_owned(),
            freshness: Some(2_000_000),
            warm: true,
            pins,
            ..proto::RevisionStatus::default()
        };
        let feature = |name: &str| proto::FeatureStatus {
            feature: name.to_owned(),
            epoch: 4,
            file_epoch: 3,
            trial_weight_bp: 0,
            revisions: vec![revision.clone()],
        };
        let status = proto::GetStatusResponse { features: vec![feature("n/a"), feature("n/b")], ..proto::GetStatusResponse::default() };
        let said = says(&status, Timestamp::UNIX_EPOCH, Some("n/b"));
        assert_eq!(said.features.keys().collect::<Vec<_>>(), ["n/b"]);
        let wanted = OfRevision {
            pinned: Pinned { uid: "u".to_owned(), digest: "d".to_owned() },
            state: State::Failed { reason: "no lake".to_owned() },
            warm: true,
            freshness: Some(SignedDuration::from_secs(2)),
            asked: Some(Timestamp::from_second(5).unwrap()),
        };
        assert_eq!(said.features["n/b"], OfFeature { epoch: 4, file_epoch: 3, revisions: vec![wanted] });
        assert_eq!(says(&status, Timestamp::UNIX_EPOCH, None).features.len(), 2);
    }
}
