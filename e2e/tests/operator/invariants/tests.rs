//! Each invariant finds what breaks it, and takes what does not.

use std::sync::Arc;

use serde_json::{Value, json};

use super::broken;
use crate::store::{Key, Version};

fn version(revision: u64, kind: &'static str, name: &str, mut object: Value) -> Version {
    let metadata = object.as_object_mut().unwrap().entry("metadata").or_insert_with(|| json!({}));
    metadata["name"] = json!(name);
    metadata["namespace"] = json!("movies");
    if metadata.get("uid").is_none() {
        metadata["uid"] = json!(name);
    }
    Version { key: Key::of(kind, &object), revision, object: Arc::new(object), is_gone: false, is_after_gap: false }
}

fn gone(mut version: Version) -> Version {
    version.is_gone = true;
    version
}

/// An object with a status of this generation and these conditions.
fn said(generation: i64, observed: i64, conditions: &[(&str, &str)]) -> Value {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(what, truth)| json!({"type": what, "status": truth, "reason": "R", "observedGeneration": observed, "lastTransitionTime": "t"}))
        .collect();
    json!({"metadata": {"generation": generation}, "status": {"observedGeneration": observed, "conditions": conditions}})
}

fn one(object: Value) -> Vec<String> {
    broken(&[version(1, "SignalDefinition", "s", object)])
}

#[test]
fn statuses_that_tools_would_misread_are_found() {
    assert_eq!(one(said(1, 1, &[("Ready", "True")])), Vec::<String>::new());
    assert_eq!(one(said(2, 1, &[("Ready", "True"), ("Reconciling", "True")])), Vec::<String>::new());
    assert_eq!(one(said(1, -1, &[])), Vec::<String>::new());
    for wrong in [
        said(1, 2, &[("Ready", "True")]),
        said(1, 1, &[]),
        said(1, 1, &[("Ready", "False")]),
        said(1, 1, &[("Ready", "True"), ("Stalled", "True")]),
        said(1, 1, &[("Ready", "False"), ("Stalled", "True"), ("Reconciling", "True")]),
        said(1, 1, &[("Ready", "False"), ("Stalled", "False")]),
        said(1, 1, &[("Ready", "True"), ("Ready", "True")]),
    ] {
        assert!(!one(wrong.clone()).is_empty(), "{wrong}");
    }
    let mut later = said(1, 1, &[("Ready", "True")]);
    later["status"]["conditions"][0]["lastTransitionTime"] = json!("u");
    let history = [version(1, "Backfill", "b", said(1, 1, &[("Ready", "True")])), version(2, "Backfill", "b", later)];
    assert_eq!(broken(&history), ["at 2 Backfill movies/b: condition Ready is as it was, and its time of transition changed"]);
}

fn attempt(revision: u64, number: i64, phase: Option<&str>) -> Version {
    let name = format!("f-{number}");
    let mut object = json!({"spec": {"feature": "f", "attempt": number, "target": {"uid": format!("target-{number}")}}});
    if let Some(phase) = phase {
        object["status"] = json!({"observedGeneration": -1, "phase": phase});
    }
    version(revision, "SequenceRollout", &name, object)
}

#[test]
fn two_attempts_at_once_a_number_twice_and_an_illegal_step_are_found() {
    let fine = [
        attempt(1, 1, None),
        attempt(2, 1, Some("Pending")),
        attempt(3, 1, Some("Aborting")),
        attempt(4, 1, Some("Aborted")),
        attempt(5, 2, None),
    ];
    assert_eq!(broken(&fine), Vec::<String>::new());
    assert!(broken(&[attempt(1, 1, None), attempt(2, 2, None)])[0].contains("f-1 and f-2 go on at once"));
    assert!(broken(&[attempt(1, 1, None), attempt(2, 1, Some("Succeeded"))])[0].contains("does not follow"));
    let again = [attempt(1, 2, None), attempt(2, 2, Some("Pending")), gone(attempt(3, 2, None)), attempt(4, 1, None)];
    assert!(broken(&again)[0].contains("attempt 1 begins after attempt 2"));
}

fn route(revision: u64, live: Option<i64>, epoch: u64) -> Version {
    let live = live.map(|n| json!({"uid": format!("target-{n}"), "digest": "d"}));
    let mut entry = json!({"epoch": epoch});
    if let Some(live) = live {
        entry["live"] = live;
    }
    let file = json!({"version": 1, "features": {"movies/f": entry}}).to_string();
    version(revision, "ConfigMap", "tress-default-route", json!({"data": {"f.json": file}}))
}

#[test]
fn readers_that_are_sent_elsewhere_unannounced_or_under_the_same_epoch_are_found() {
    let begins = [attempt(1, 1, None), attempt(2, 1, Some("Retiring"))];
    let history = |more: &[Version]| [&begins[..], more].concat();
    assert_eq!(broken(&history(&[route(3, None, 1), route(4, Some(1), 2)])), Vec::<String>::new());
    assert!(broken(&history(&[route(3, Some(1), 2), route(4, None, 1)]))[0].contains("the epoch goes from 2 to 1"));
    assert!(broken(&history(&[route(3, None, 1), route(4, Some(1), 1)]))[0].contains("under the epoch 1"));
    assert!(broken(&history(&[route(3, Some(7), 1)]))[0].contains("no attempt says so"));
    let declared = [version(3, "SequenceFeature", "f", json!({})), route(4, Some(1), 1), route(5, None, 2)];
    assert!(broken(&history(&declared))[0].contains("nothing is live any more"));
    assert_eq!(broken(&history(&declared[1..])), Vec::<String>::new(), "a feature that is deleted has no route");
    let broken_file = version(3, "ConfigMap", "tress-default-route", json!({"data": {"f.json": "{}"}}));
    assert!(broken(&[broken_file])[0].contains("f.json"));
}

#[test]
fn a_revision_that_is_read_is_not_removed() {
    let sequence = version(3, "SequenceRevision", "target-1", json!({"spec": {"signals": [{"uid": "signal-1"}]}}));
    let signal = version(4, "SignalRevision", "signal-1", json!({}));
    let other = version(5, "SignalRevision", "signal-2", json!({}));
    let begins =
        [attempt(1, 1, None), attempt(2, 1, Some("Retiring")), sequence.clone(), signal.clone(), other.clone(), route(6, Some(1), 1)];
    let history = |more: Version| broken(&[&begins[..], &[gone(more)]].concat());
    assert!(history(sequence)[0].contains("while readers are sent to it"));
    assert!(history(signal)[0].contains("which is live"));
    assert_eq!(history(other), Vec::<String>::new());
}

#[test]
fn a_job_for_what_is_done_is_found() {
    let job = |revision, name: &str, of: &str| {
        let object = json!({"metadata": {"labels": {"tress.dev/of": of}, "ownerReferences": [{"uid": of}]}});
        version(revision, "Job", name, object)
    };
    let backfill = |phase: &str| version(1, "Backfill", "b", json!({"status": {"observedGeneration": -1, "phase": phase}}));
    assert_eq!(broken(&[backfill("Working"), job(2, "b-work", "b")]), Vec::<String>::new());
    assert!(broken(&[backfill("Sealing"), job(2, "b-work", "b")])[0].contains("while the backfill is \"Sealing\""));
    assert!(broken(&[job(2, "b-work", "b")])[0].contains("not there"));
    let revision = |status: Value| version(1, "SignalRevision", "r", json!({"status": status}));
    assert_eq!(broken(&[revision(json!({})), job(2, "r-prep", "r")]), Vec::<String>::new());
    assert!(broken(&[revision(json!({"prepared": {"path": "p"}})), job(2, "r-prep", "r")])[0].contains("prepared already"));
    let demands = |covered: Value| revision(json!({"demands": {"number": 2, "covered": covered}}));
    assert_eq!(broken(&[demands(json!(1)), job(2, "r-base", "r")]), Vec::<String>::new());
    assert!(broken(&[demands(json!(2)), job(2, "r-base", "r")])[0].contains("covers all demands"));
}
