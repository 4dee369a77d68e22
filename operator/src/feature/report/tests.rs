use std::sync::Arc;

use serde_json::{Value, json};
use tress_configs::{Issue, IssueCode};
use tress_crds::condition::{Condition, ConditionType};
use tress_crds::definition::{Change, Class, Kept};

use super::super::contract::sealed;
use super::super::decide as gates;
use super::super::decide::decide;
use super::super::seen::{Serving, Signal};
use super::*;
use crate::fixture::{at, changed_feature, digest, revision, rollout, signal_revision, stream, time};
use crate::pool::entry::{Entry, Pinned};
use crate::pool::told::{Life, OfFeature, OfRevision, Said, State, Told};

fn read(hash: &str) -> Pinned {
    Pinned { uid: format!("{hash}-uid"), digest: digest(hash) }
}

/// A pool whose route says that a revision is read, and whose pod says how far it has it.
fn pool(name: &str, hash: &str, state: Option<State>) -> Pool {
    let said = state.map(|state| {
        let revision = OfRevision { pinned: read(hash), state, warm: true, freshness: Some(jiff::SignedDuration::ZERO), asked: None };
        let feature = OfFeature { epoch: 6, file_epoch: 6, revisions: vec![revision] };
        Said { features: [("n/f".to_owned(), feature)].into(), at: at(900) }
    });
    let pods = vec![Told { name: "p".to_owned(), uid: "p".to_owned(), life: Life::Ready, said }];
    Pool { name: name.to_owned(), entry: Some(Entry { live: Some(read(hash)), epoch: 6, ..Entry::default() }), pods }
}

fn signal() -> Signal {
    let history = json!({"history": {"backfill": 1, "version": 1, "sealed": time(500)}});
    Signal {
        pinned: tress_crds::revision::PinnedSignal {
            namespace: "n".to_owned(),
            revision: "s-new".to_owned(),
            uid: "new-uid".to_owned(),
            digest: digest("new"),
        },
        revision: Some(signal_revision("new", history)),
        stream: Some(Arc::new(serde_json::from_value(stream(1, 1)).unwrap())),
    }
}

/// All is well: b is declared and read.
fn well(change: impl FnOnce(&mut Value)) -> Observed {
    let status = json!({
        "target": {"revision": "f-b", "since": time(100)},
        "live": {"revision": "f-b", "epoch": 5, "since": time(50)},
        "endpoint": "tress-default.n.svc:7400",
    });
    let serving = Serving { declared: pool("default", "b", Some(State::Ready)), current: Some(pool("default", "b", Some(State::Ready))) };
    Observed {
        feature: changed_feature(status, change),
        live: Some(revision("b", "new", json!({}))),
        change: None,
        serving,
        signals: vec![signal()],
        ..gates::tests::seen(|_| {})
    }
}

fn told(seen: &Observed) -> FeatureStatus {
    status(seen, &decide(seen, at(1000)), None, at(1000))
}

fn shown(seen: &Observed) -> Vec<String> {
    let one = |c: &Condition| format!("{}={} {}", c.type_, c.status, c.reason);
    told(seen).conditions.iter().map(one).collect()
}

fn message(seen: &Observed, what: ConditionType) -> String {
    told(seen).conditions.into_iter().find(|c| c.type_ == what.to_string()).map(|c| c.message).unwrap_or_default()
}

const WELL: [&str; 8] = [
    "Available=True AsDeclared",
    "BackfillComplete=True AsDeclared",
    "Compiled=True AsDeclared",
    "Ready=True AsDeclared",
    "SchemaCompatible=True AsDeclared",
    "ServingAvailable=True AsDeclared",
    "StreamingAvailable=True AsDeclared",
    "Updated=True AsDeclared",
];

#[test]
fn what_is_declared_and_read_is_ready_and_says_where() {
    let seen = well(|_| {});
    assert_eq!(shown(&seen), WELL);
    let FeatureStatus { observed_generation, live, target, endpoint, source_hash, moved, .. } = told(&seen);
    let live = live.unwrap();
    assert_eq!((observed_generation, live.epoch, live.since.0, live.revision.as_str()), (Some(2), 6, at(50), "f-b"));
    assert_eq!((target.unwrap().revision.as_str(), endpoint.as_deref()), ("f-b", Some("tress-default.n.svc:7400")));
    assert_eq!((source_hash.as_deref(), moved), (Some("h1:b"), None));
}

#[test]
fn an_invalid_definition_stalls_and_readers_go_on() {
    let mut seen = well(|_| {});
    let issue = Issue::error("definition.length", IssueCode::OutOfRange, "it is 0", "write 1");
    seen.compiled = Arc::new(crate::compile::Feature::Invalid(vec![issue]));
    let shown = shown(&seen);
    for wanted in [
        "Available=True AsDeclared",
        "Compiled=False Invalid",
        "Ready=False Invalid",
        "Stalled=True Invalid",
        "SchemaCompatible=Unknown NotObserved",
    ] {
        assert!(shown.iter().any(|s| s == wanted), "{wanted}: {shown:?}");
    }
    assert_eq!(message(&seen, ConditionType::Compiled), "definition.length: it is 0 — write 1");
    assert_eq!(told(&seen).target.unwrap().revision, "f-b", "what was accepted before stays");
}

#[test]
fn a_missing_signal_is_waited_for() {
    let mut seen = well(|_| {});
    seen.compiled = Arc::new(crate::compile::Feature::Missing("there is no signal n/s".to_owned()));
    let shown = shown(&seen);
    for wanted in ["Compiled=Unknown ReferenceMissing", "Ready=False ReferenceMissing", "Reconciling=True ReferenceMissing"] {
        assert!(shown.iter().any(|s| s == wanted), "{wanted}: {shown:?}");
    }
}

/// b is declared, a is read, and an attempt to b ended or goes on.
fn changing(attempt: Value, change: impl FnOnce(&mut Value)) -> Observed {
    let was = pool("default", "a", Some(State::Ready));
    Observed {
        live: Some(revision("a", "old", json!({}))),
        change: Some(Change { class: Class::Behavioural, paths: vec!["length".to_owned()] }),
        attempts: vec![rollout(4, "b", attempt)],
        serving: Serving { declared: was.clone(), current: Some(was) },
        ..well(change)
    }
}

#[test]
fn a_change_that_is_held_says_what_to_do_while_what_is_read_goes_on() {
    let held = json!({"phase": "Inconclusive", "reason": "NotCompared", "message": "a comparison is needed"});
    let seen = changing(held.clone(), |_| {});
    let shown_now = shown(&seen);
    for wanted in ["Available=True AsDeclared", "Updated=False BehaviouralChangeHeld", "Ready=True AsDeclared"] {
        assert!(shown_now.iter().any(|s| s == wanted), "{wanted}: {shown_now:?}");
    }
    let message = message(&seen, ConditionType::Updated);
    assert!(message.contains("tress.dev/force=f-b") && message.contains("(length)") && message.contains("Experimental"), "{message}");
    assert_eq!((told(&seen).held, told(&seen).change.unwrap().class), (vec!["h1:b".to_owned()], Class::Behavioural));
    // Who waits for the change itself is told.
    let complete = changing(held, |feature| feature["spec"]["rollout"] = json!({"reportProgressUntil": "Complete"}));
    let shown = shown(&complete);
    for wanted in ["Ready=False BehaviouralChangeHeld", "Stalled=True BehaviouralChangeHeld"] {
        assert!(shown.iter().any(|s| s == wanted), "{wanted}: {shown:?}");
    }
}

#[test]
fn an_attempt_is_shown_and_its_failure_told_with_its_reason() {
    let going = changing(json!({"phase": "Loading", "deadline": time(4000)}), |_| {});
    let attempt = told(&going).rollout.unwrap();
    assert_eq!((attempt.name.as_str(), attempt.phase, attempt.deadline.unwrap().0), ("f-4", Phase::Loading, at(4000)));
    assert!(shown(&going).contains(&"Updated=False InProgress".to_owned()));
    let failed = changing(json!({"phase": "Failed", "reason": "PrepareFailed", "message": "n/s-new: no topic t"}), |_| {});
    assert!(shown(&failed).contains(&"Updated=False AttemptFailed".to_owned()));
    assert!(message(&failed, ConditionType::Updated).ends_with("n/s-new: no topic t"));
    // What is said is of the attempt to what is declared, not of one to something else.
    let mut between = failed.clone();
    between.attempts.push(rollout(5, "c", json!({"phase": "Inconclusive", "reason": "NotCompared", "message": "of another"})));
    assert!(message(&between, ConditionType::Updated).ends_with("n/s-new: no topic t"));
    // Who deletes it lifts nothing.
    let status = serde_json::to_value(told(&failed)).unwrap();
    let deleted = Observed { attempts: Vec::new(), ..changing(Value::Null, |feature| feature["status"] = status.clone()) };
    assert!(shown(&deleted).contains(&"Updated=False AttemptFailed".to_owned()));
    assert!(message(&deleted, ConditionType::Updated).contains("was deleted"));
    assert_eq!(told(&deleted).held, ["h1:b"]);
    let forced = changing(Value::Null, |feature| {
        feature["status"] = status.clone();
        feature["metadata"]["annotations"] = json!({"tress.dev/force": "f-b"});
    });
    assert!(decide(&Observed { attempts: Vec::new(), ..forced }, at(1000)).begin.is_some());
    let succeeded = Observed { attempts: vec![rollout(4, "b", json!({"phase": "Succeeded"}))], ..well(|_| {}) };
    assert_eq!((told(&succeeded).last_stable.as_deref(), told(&succeeded).held.len()), (Some("f-b"), 0));
}

#[test]
fn before_anything_is_read_it_says_what_it_waits_for() {
    let first = |attempts: Vec<Value>| {
        let empty = Pool { name: "default".to_owned(), ..Pool::default() };
        let feature = changed_feature(json!({"target": {"revision": "f-b", "since": time(100)}}), |_| {});
        let attempts = attempts.into_iter().map(|status| rollout(1, "b", status)).collect();
        Observed { feature, live: None, attempts, serving: Serving { declared: empty, current: None }, ..well(|_| {}) }
    };
    let shown_now = shown(&first(vec![json!({"phase": "Preparing"})]));
    for wanted in
        ["Available=False InProgress", "Ready=False InProgress", "Reconciling=True InProgress", "ServingAvailable=False InProgress"]
    {
        assert!(shown_now.iter().any(|s| s == wanted), "{wanted}: {shown_now:?}");
    }
    let failed = shown(&first(vec![json!({"phase": "Failed", "message": "no topic"})]));
    for wanted in ["Available=False AttemptFailed", "Ready=False AttemptFailed", "Stalled=True AttemptFailed"] {
        assert!(failed.iter().any(|s| s == wanted), "{wanted}: {failed:?}");
    }
    assert_eq!(told(&first(vec![])).endpoint, None);
}

#[test]
fn a_new_leader_says_what_was_said_until_pods_have_answered() {
    let silent = |before: Value| {
        let mut seen = well(|feature| feature["status"]["conditions"] = before);
        for pool in [&mut seen.serving.declared, seen.serving.current.as_mut().unwrap()] {
            pool.pods[0].said = None;
        }
        seen
    };
    let condition = |status: &str| json!([{"type": "ServingAvailable", "status": status, "reason": "AsDeclared", "message": "", "lastTransitionTime": time(1)}]);
    assert_eq!(shown(&silent(condition("True"))), WELL);
    assert!(shown(&silent(condition("False"))).contains(&"Available=False InProgress".to_owned()));
    assert!(shown(&silent(json!([]))).contains(&"ServingAvailable=Unknown NotObserved".to_owned()));
}

#[test]
fn a_route_that_is_lost_takes_nothing_from_what_is_told() {
    let mut seen = well(|_| {});
    for pool in [&mut seen.serving.declared, seen.serving.current.as_mut().unwrap()] {
        pool.entry = None;
    }
    assert_eq!(told(&seen).live.unwrap().epoch, 5);
}

#[test]
fn readers_are_sent_to_another_pool_once_its_pods_have_what_is_read() {
    let moving = |state: State| {
        let seen = well(|feature| feature["spec"]["runtime"] = json!({"serving": {"pool": "large"}}));
        told(&Observed { serving: Serving { declared: pool("large", "b", Some(state)), ..seen.serving.clone() }, ..seen })
    };
    let loading = moving(State::Loading { reason: String::new() });
    assert_eq!((loading.endpoint.as_deref(), loading.moved), (Some("tress-default.n.svc:7400"), None));
    let moved = moving(State::Ready);
    assert_eq!(moved.endpoint.as_deref(), Some("tress-large.n.svc:7400"));
    assert_eq!(moved.moved.map(|moved| (moved.from, moved.since.0)), Some(("default".to_owned(), at(1000))));
    // The first time there is nowhere to come from.
    let mut first = well(|feature| feature["status"]["endpoint"] = Value::Null);
    first.serving.current = None;
    assert_eq!((told(&first).endpoint.as_deref(), told(&first).moved), (Some("tress-default.n.svc:7400"), None));
}

#[test]
fn streams_and_histories_are_told_by_name() {
    let mut seen = well(|_| {});
    (seen.signals[0].stream, seen.signals[0].revision) = (None, Some(signal_revision("new", json!({}))));
    assert!(
        message(&seen, ConditionType::StreamingAvailable).contains("n/s-new")
            && message(&seen, ConditionType::BackfillComplete).contains("n/s-new")
    );
    assert_eq!(sealed(&seen, at(1000)), None);
    assert_eq!(sealed(&well(|_| {}), at(1000)), Some(jiff::SignedDuration::from_secs(500)));
}

#[test]
fn a_contract_is_told_as_conditions() {
    let seen = well(|_| {});
    let contract = ContractStatus { freshness: Kept::Missed, completeness: Kept::Unknown };
    let status = status(&seen, &decide(&seen, at(1000)), Some(contract), at(1000));
    let find = |what: &str| status.conditions.iter().find(|c| c.type_ == what).map(|c| format!("{} {}", c.status, c.reason));
    assert_eq!((find("Fresh").as_deref(), find("Complete").as_deref()), (Some("False ContractMissed"), Some("Unknown NotObserved")));
    assert_eq!(find("Ready").as_deref(), Some("True AsDeclared"));
}
