use serde_json::{Value, json};
use tress_configs::compile::Compiled;
use tress_configs::plan::{FeaturePlan, ViewPlan};
use tress_configs::{Issue, IssueCode, Plan};
use tress_crds::definition::Change;
use tress_crds::revision::PinnedSignal;

use super::super::seen::{Limits, Pool, Serving};
use super::*;
use crate::fixture::{at, changed_feature, changed_rollout, digest, revision as made, rollout, time};

/// What compiles to the revision of this hash.
fn compiled(hash: &str) -> compile::Feature {
    let plan = FeaturePlan {
        version: 1,
        semantics: 1,
        name: tress_configs::name::QualifiedName::new("n", "f"),
        entity: tress_configs::column::Scalar::String,
        signals: Vec::new(),
        length: 10,
        window_ms: None,
        deduplicate: Vec::new(),
        view: ViewPlan::Events,
        columns: Vec::new(),
        sunset: None,
    };
    let pin = PinnedSignal { namespace: "n".to_owned(), revision: "s-new".to_owned(), uid: "new-uid".to_owned(), digest: digest("new") };
    let compiled = Compiled { plan: Plan::Feature(plan), digest: digest(hash), source_hash: format!("h1:{hash}"), warnings: Vec::new() };
    compile::Feature::Compiled { compiled, signals: vec![pin] }
}

/// Declared is b, which is made and accepted long ago; live is a.
pub fn seen(change: impl FnOnce(&mut Value)) -> Observed {
    let status = json!({"target": {"revision": "f-b", "since": time(100)}, "live": {"revision": "f-a", "epoch": 3, "since": time(50)}});
    Observed {
        feature: changed_feature(status, change),
        compiled: Arc::new(compiled("b")),
        revision: Some(made("b", "new", json!({}))),
        live: Some(made("a", "old", json!({}))),
        change: Some(Change { class: Class::Compatible, paths: Vec::new() }),
        attempts: Vec::new(),
        greatest: 4,
        serving: Serving { declared: Pool { name: "default".to_owned(), ..Pool::default() }, current: None },
        signals: Vec::new(),
        limits: Limits::default(),
        quiet: jiff::SignedDuration::from_secs(30),
    }
}

fn with(change: impl FnOnce(&mut Observed)) -> Decision {
    let mut seen = seen(|_| {});
    change(&mut seen);
    decide(&seen, at(1000))
}

fn why(decision: &Decision) -> Reason {
    match &decision.answer {
        Answer::Wait { reason, .. } => *reason,
        Answer::Begin { .. } => panic!("it begins"),
    }
}

#[test]
fn an_attempt_carries_all_that_it_needs() {
    let decision = decide(
        &seen(|feature| {
            feature["spec"]["rollout"] = json!({"bake": "1h"});
            feature["spec"]["definition"]["lifecycle"] = json!("Experimental");
            feature["metadata"]["annotations"] = json!({"tress.dev/force": "f-b"});
        }),
        at(1000),
    );
    let begun = decision.begin.unwrap();
    let wanted = json!({
        "feature": "f",
        "attempt": 5,
        "target": crate::fixture::reference("b"),
        "previous": crate::fixture::reference("a"),
        "changed": [{"namespace": "n", "revision": "s-new", "uid": "new-uid"}],
        "class": "Compatible",
        "lifecycle": "Experimental",
        "forced": true,
        "pool": "default",
        "policy": {"bake": "1h"},
    });
    assert_eq!(serde_json::to_value(&begun.spec).unwrap(), wanted);
    let owner = &begun.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((begun.name_any().as_str(), owner.uid.as_str(), owner.kind.as_str()), ("f-5", "f-uid", "SequenceFeature"));
    assert_eq!(decision.accepted.unwrap().since.0, at(100));
}

#[test]
fn a_first_deploy_has_no_previous_and_no_class_and_a_wrong_force_is_none() {
    let mut first = seen(|feature| feature["metadata"]["annotations"] = json!({"tress.dev/force": "f-a"}));
    (first.live, first.change, first.greatest) = (None, None, 0);
    let spec = decide(&first, at(100)).begin.unwrap().spec.clone();
    assert_eq!((spec.previous, spec.class, spec.forced, spec.attempt), (None, None, None, 1));
}

#[test]
fn the_revision_is_adopted_made_or_made_way_for() {
    assert!(matches!(with(|_| {}).first, First::Nothing));
    let made_anew = with(|seen| seen.revision = None);
    let First::Create(revision) = &made_anew.first else { panic!("{made_anew:?}") };
    assert_eq!(revision.spec.compiled.source_hash, "h1:b");
    assert_eq!((revision.spec.signals[0].uid.as_str(), revision.spec.semantics), ("new-uid", 1));
    assert_eq!((revision.name_any(), why(&made_anew)), (crate::name::revision("f", "h1:b"), Reason::InProgress));
    assert!(made_anew.begin.is_none());
    assert_eq!(made_anew.accepted.unwrap().revision, crate::name::revision("f", "h1:b"));
    // Its signal was deleted and made anew: its data is elsewhere.
    let other = with(|seen| seen.revision = Some(made("b", "gone", json!({}))));
    assert!(matches!(other.first, First::Remove(_)) && other.begin.is_none());
    let paused = with(|seen| {
        seen.revision = None;
        seen.feature = changed_feature(json!({}), |feature| feature["spec"]["paused"] = json!(true));
    });
    assert!(matches!(paused.first, First::Nothing) && why(&paused) == Reason::Paused);
}

#[test]
fn what_is_read_is_made_anew_when_a_signal_revision_that_it_reads_was() {
    // The revision s-new was deleted, and there is another one of its name.
    let stranded = |change: fn(&mut Observed)| {
        with(|seen| {
            let mut live = made("b", "new", json!({})).as_ref().clone();
            live.spec.signals[0].uid = "old-uid".to_owned();
            let live = Arc::new(live);
            (seen.live, seen.revision, seen.change) = (Some(Arc::clone(&live)), Some(live), None);
            change(seen);
        })
    };
    let anew = stranded(|_| {});
    let First::Renew { old, new } = &anew.first else { panic!("{anew:?}") };
    assert_eq!((old.spec.signals[0].uid.as_str(), new.spec.signals[0].uid.as_str()), ("old-uid", "new-uid"));
    assert!(anew.begin.is_none() && why(&anew) == Reason::InProgress);
    let paused = stranded(|seen| seen.feature = changed_feature(json!({}), |feature| feature["spec"]["paused"] = json!(true)));
    assert!(matches!(paused.first, First::Nothing));
    // Made anew, and what is read is known no more: an attempt brings it, though the last one of the same succeeded.
    let next = stranded(|seen| {
        seen.attempts = vec![rollout(4, "b", json!({"phase": "Succeeded"}))];
        (seen.live, seen.revision) = (None, Some(made("b", "new", json!({}))));
    });
    assert_eq!(next.begin.map(|begun| (begun.spec.attempt, begun.spec.previous)), Some((5, None)));
}

#[test]
fn another_way_to_write_what_is_read_is_no_change() {
    let same = with(|seen| {
        let mut live = made("a", "new", json!({})).as_ref().clone();
        live.spec.compiled.digest = digest("b");
        (seen.live, seen.change) = (Some(Arc::new(live)), None);
    });
    assert_eq!((why(&same), same.accepted.unwrap().revision.as_str()), (Reason::AsDeclared, "f-a"));
    // A newer compiler makes another plan of the same source.
    let recompiled = with(|seen| {
        seen.live = Some(made("b", "new", json!({})));
        let compile::Feature::Compiled { compiled, signals } = compiled("b") else { return };
        seen.compiled = Arc::new(compile::Feature::Compiled { compiled: Compiled { digest: digest("x"), ..compiled }, signals });
    });
    assert_eq!(why(&recompiled), Reason::AsDeclared);
}

#[test]
fn what_cannot_be_accepted_says_why_and_leaves_what_was() {
    let refused = |change: fn(&mut Observed)| {
        let decision = with(change);
        assert!(decision.begin.is_none(), "{decision:?}");
        (why(&decision), decision.accepted.is_some())
    };
    assert_eq!(
        refused(|seen| seen.compiled = Arc::new(compile::Feature::Missing("there is no signal n/s".to_owned()))),
        (Reason::ReferenceMissing, false)
    );
    let issue = |seen: &mut Observed| {
        seen.compiled = Arc::new(compile::Feature::Invalid(vec![Issue::error("definition.length", IssueCode::OutOfRange, "m", "h")]));
    };
    assert_eq!(refused(issue), (Reason::Invalid, false));
    assert_eq!(
        refused(|seen| seen.change = Some(Change { class: Class::Breaking, paths: vec!["columns.a".to_owned()] })),
        (Reason::Breaking, false)
    );
    assert_eq!(refused(|seen| seen.limits.features = Some("m".to_owned())), (Reason::LimitReached, false));
    // What is accepted may still have to wait.
    assert_eq!(refused(|seen| seen.limits.running = Some("m".to_owned())), (Reason::LimitReached, true));
    assert_eq!(refused(|seen| seen.limits.semantics = Some("m".to_owned())), (Reason::SemanticsUnsupported, true));
    assert_eq!(refused(|seen| seen.limits.pool = Some("m".to_owned())), (Reason::Invalid, true));
    assert_eq!(refused(|seen| seen.limits.crowded = Some("m".to_owned())), (Reason::Waiting, true));
    assert_eq!(refused(|seen| seen.limits.unsettled = Some("m".to_owned())), (Reason::Waiting, true));
    assert_eq!(refused(|seen| seen.attempts = vec![rollout(4, "b", json!({"phase": "Loading"}))]), (Reason::InProgress, true));
}

#[test]
fn a_new_target_waits_until_definitions_are_left_alone() {
    let new = with(|seen| seen.feature = changed_feature(json!({}), |_| {}));
    assert!(matches!(&new.answer, Answer::Wait { reason: Reason::Waiting, until, .. } if *until == Some(at(1030))));
    assert_eq!(new.accepted.unwrap().since.0, at(1000));
}

#[test]
fn who_does_without_a_comparison_begins_anew_and_nobody_else() {
    let held = json!({"phase": "Inconclusive", "reason": "NotCompared"});
    let begins = |status: &Value, forced: bool, feature: fn(&mut Value)| {
        let attempt = changed_rollout(4, "b", status.clone(), |r| {
            if forced {
                r["spec"]["forced"] = json!(true);
            }
        });
        decide(&Observed { attempts: vec![attempt], ..seen(feature) }, at(1000)).begin.is_some()
    };
    let force: fn(&mut Value) = |feature| feature["metadata"]["annotations"] = json!({"tress.dev/force": "f-b"});
    let experiment: fn(&mut Value) = |feature| feature["spec"]["definition"]["lifecycle"] = json!("Experimental");
    assert!(!begins(&held, false, |_| {}));
    assert!(begins(&held, false, force) && begins(&held, false, experiment));
    assert!(!begins(&held, true, force), "it was forced already");
    assert!(!begins(&json!({"phase": "Failed", "reason": "LoadFailed"}), false, force));
    assert!(begins(&json!({"phase": "Failed", "reason": "LoadFailed", "retried": true}), false, |_| {}));
}

#[test]
fn attempts_of_long_ago_are_forgotten_but_for_the_last_that_succeeded() {
    let decision = with(|seen| {
        let phase = |n: i32| if n == 2 { "Succeeded" } else { "Failed" };
        seen.attempts = (1..=13).map(|n| rollout(n, "x", json!({"phase": phase(n)}))).collect();
        seen.attempts.push(rollout(14, "b", json!({"phase": "Loading"})));
    });
    assert_eq!(decision.forgotten.iter().map(|r| r.name_any()).collect::<Vec<_>>(), ["f-1", "f-3"]);
}
