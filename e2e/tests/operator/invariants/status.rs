//! Statuses say what tools that know nothing of Tress take them for: metav1's conditions, and the rules of kstatus.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Change, Invariant, Moment};
use crate::kinds;
use crate::store::{items, number, text};

pub struct Kstatus;

impl Invariant for Kstatus {
    fn look(&mut self, _: &Moment, change: &Change<'_>) -> Vec<String> {
        if change.version.is_gone || !kinds::is_ours(change.version.key.kind) {
            return Vec::new();
        }
        let object = &change.version.object;
        let mut broken = of_one(object);
        if let Some(before) = change.before {
            broken.extend(of_two(before, object));
        }
        broken
    }
}

fn truth<'a>(object: &'a Value, what: &str) -> Option<&'a str> {
    items(object, "/status/conditions").iter().find(|c| text(c, "/type") == what).map(|c| text(c, "/status"))
}

fn of_one(object: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    let observed = number(object, "/status/observedGeneration").unwrap_or(-1);
    let generation = number(object, "/metadata/generation").unwrap_or(0);
    if observed > generation {
        broken.push(format!("observedGeneration {observed} is ahead of the generation {generation}"));
    }
    let conditions = items(object, "/status/conditions");
    if observed < 0 && !conditions.is_empty() {
        broken.push("it has conditions and was not observed".to_owned());
    }
    if observed >= 0 && truth(object, "Ready").is_none() {
        broken.push("it was observed and has no condition Ready".to_owned());
    }
    let mut seen = BTreeSet::new();
    for condition in conditions {
        let what = text(condition, "/type");
        if !seen.insert(what) {
            broken.push(format!("there are two conditions {what}"));
        }
        if number(condition, "/observedGeneration") != Some(observed) {
            broken.push(format!("condition {what} speaks of another generation than the status"));
        }
        if text(condition, "/reason").is_empty() {
            broken.push(format!("condition {what} has no reason"));
        }
        if ["Reconciling", "Stalled"].contains(&what) && text(condition, "/status") != "True" {
            broken.push(format!("condition {what} is there and not True"));
        }
    }
    let (ready, reconciling, stalled) = (truth(object, "Ready"), truth(object, "Reconciling"), truth(object, "Stalled"));
    if reconciling.is_some() && stalled.is_some() {
        broken.push("it is Reconciling and Stalled".to_owned());
    }
    if ready == Some("True") && stalled.is_some() {
        broken.push("it is Ready and Stalled".to_owned());
    }
    // What something newer took the place of is not Ready, and nobody has to do anything about it.
    let is_overtaken = text(object, "/status/phase") == "Superseded";
    if ready == Some("False") && reconciling.is_none() && stalled.is_none() && !is_overtaken {
        broken.push("it is not Ready, and neither Reconciling nor Stalled says why".to_owned());
    }
    broken
}

fn of_two(before: &Value, now: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    let (was, is) = (number(before, "/status/observedGeneration"), number(now, "/status/observedGeneration"));
    if was > is {
        broken.push(format!("observedGeneration went back from {was:?} to {is:?}"));
    }
    for condition in items(now, "/status/conditions") {
        let what = text(condition, "/type");
        let Some(old) = items(before, "/status/conditions").iter().find(|c| text(c, "/type") == what) else { continue };
        let same = text(old, "/status") == text(condition, "/status");
        let (old, new) = (text(old, "/lastTransitionTime"), text(condition, "/lastTransitionTime"));
        if same && old != new {
            broken.push(format!("condition {what} is as it was, and its time of transition changed"));
        }
    }
    broken
}
