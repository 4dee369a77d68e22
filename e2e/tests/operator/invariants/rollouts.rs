//! One attempt of a feature at a time, each with a number of its own, by legal steps.

use std::collections::BTreeMap;

use tress_crds::rollout::Phase;
use tress_operator::rollout::is_legal;

use super::{Change, Invariant, Moment};
use crate::store::{number, text};

#[derive(Default)]
pub struct Rollouts {
    /// The greatest attempt of a feature, by the UID of its object, and the UID of the attempt.
    greatest: BTreeMap<String, (i64, String)>,
}

fn phase(object: &serde_json::Value) -> Option<Phase> {
    object.pointer("/status/phase").and_then(|phase| serde_json::from_value(phase.clone()).ok())
}

impl Invariant for Rollouts {
    fn look(&mut self, moment: &Moment, change: &Change<'_>) -> Vec<String> {
        let version = change.version;
        if version.key.kind != "SequenceRollout" || version.is_gone {
            return Vec::new();
        }
        let mut broken = Vec::new();
        let (object, feature) = (&version.object, text(&version.object, "/spec/feature"));
        let attempt = number(object, "/spec/attempt").unwrap_or(0);
        let of = text(object, "/metadata/ownerReferences/0/uid").to_owned();
        if change.before.is_none() {
            let uid = crate::store::uid(object).to_owned();
            if let Some((greatest, _)) = self.greatest.get(&of).filter(|(greatest, known)| *greatest >= attempt && *known != uid) {
                broken.push(format!("attempt {attempt} begins after attempt {greatest}"));
            }
            self.greatest.insert(of, (attempt, uid));
        }
        if let Some(before) = change.before.filter(|before| !is_legal(phase(before), phase(object))) {
            broken.push(format!("{:?} does not follow {:?}", phase(object), phase(before)));
        }
        let unfinished = |rollout: &serde_json::Value| !phase(rollout).is_some_and(Phase::is_end);
        let others: Vec<&str> = moment
            .all("SequenceRollout")
            .filter(|(key, other)| key.namespace == version.key.namespace && text(other, "/spec/feature") == feature && unfinished(other))
            .map(|(key, _)| key.name.as_str())
            .collect();
        if others.len() > 1 {
            broken.push(format!("{} go on at once", others.join(" and ")));
        }
        broken
    }
}
