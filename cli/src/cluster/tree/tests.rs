//! Trees of objects as an operator leaves them, in the words that people read.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::called::Called;
use crate::cluster::said::{Said, Served};
use crate::place::Choice;
use crate::render::{Style, tree};

/// 2026-01-02T00:00:00Z
const NOW: i64 = 1_767_312_000_000_000;
const EARLIER: &str = "2026-01-01T22:00:00Z";
const JUST_NOW: &str = "2026-01-01T23:55:00Z";

fn put<K: DeserializeOwned>(into: &mut Vec<Arc<K>>, value: Value) {
    into.push(Arc::new(serde_json::from_value(value).expect("an object")));
}

fn ours(kind: &str, name: &str, spec: Value, status: Value) -> Value {
    json!({"apiVersion": "tress.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "movies", "generation": 1}, "spec": spec, "status": status})
}

fn condition(what: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": what, "status": status, "reason": reason, "message": message, "lastTransitionTime": EARLIER, "observedGeneration": 1})
}

fn ready(reason: &str) -> Value {
    json!([condition("Ready", "True", reason, "")])
}

fn revision_spec(more: &Value, digest: &str) -> Value {
    let mut spec = json!({"sourceHash": "h1:x", "digest": digest, "semantics": 1, "plan": "{}", "source": "{}"});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

fn labels(of: &str, role: &str) -> Value {
    json!({"tress.dev/of": of, "tress.dev/role": role, "app.kubernetes.io/managed-by": "tress-operator"})
}

fn deployment(name: &str, (of, role): (&str, &str), (ready, wanted): (i32, i32), arguments: &[&str]) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "movies", "labels": labels(of, role)},
        "spec": {"replicas": wanted, "selector": {"matchLabels": {"tress.dev/of": of, "tress.dev/role": role}},
                 "template": {"spec": {"containers": [{"name": "engine", "args": arguments}]}}},
        "status": {"readyReplicas": ready},
    })
}

fn pod(name: &str, (of, role): (&str, &str), status: Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "movies", "labels": labels(of, role)}, "spec": {"containers": []}, "status": status})
}

fn pinned() -> Value {
    json!([{"namespace": "movies", "revision": "rating-abc", "uid": "u", "digest": "s1"}])
}

/// One feature over one signal; everything is as it should be.
fn sound() -> Seen {
    let mut seen = Seen::default();
    let live = json!({"revision": "recent-abc", "epoch": 3, "since": EARLIER});
    let status = json!({
        "observedGeneration": 1, "conditions": ready("AsDeclared"), "live": live, "target": {"revision": "recent-abc", "since": EARLIER},
        "endpoint": "tress-default.movies.svc:7400", "contract": {"freshness": "Met", "completeness": "Unknown"},
        "rollout": {"name": "recent-1", "phase": "Succeeded"},
    });
    put(
        &mut seen.features,
        ours("SequenceFeature", "recent", json!({"definition": {"signals": [{"name": "rating"}], "length": 5}}), status),
    );
    let spec = revision_spec(&json!({"feature": "recent", "signals": pinned()}), "f1");
    let revised = json!({"observedGeneration": 1, "conditions": ready("AsDeclared"), "use": "Running"});
    put(&mut seen.sequence_revisions, ours("SequenceRevision", "recent-abc", spec, revised));
    let target = json!({"revision": "recent-abc", "uid": "u", "digest": "0123456789abcdef0123456789abcdef", "sourceHash": "h1:x"});
    let rollout = json!({"feature": "recent", "attempt": 1, "target": target, "pool": "default"});
    put(&mut seen.rollouts, ours("SequenceRollout", "recent-1", rollout, json!({"phase": "Succeeded", "since": EARLIER})));
    let signal = json!({"definition": {
        "entity": {"field": "user_id"},
        "event": {"time": {"field": "ts", "unit": "Seconds"}, "availableAt": {"recordTimestamp": {}}, "id": ["item_id"],
                  "fields": [{"name": "user_id", "type": "string"}, {"name": "item_id", "type": "int64"}, {"name": "ts", "type": "int64"}]},
        "source": {"stream": {"connection": "main", "topic": "ratings", "format": {"json": {}}}, "archive": true},
    }});
    let told = json!({"observedGeneration": 1, "conditions": ready("AsDeclared"), "revision": "rating-abc", "usedBy": {"count": 1, "names": ["movies/recent"]}});
    put(&mut seen.signals, ours("SignalDefinition", "rating", signal, told));
    let spec = revision_spec(&json!({"signal": "rating", "schemaVersion": 1, "archive": {"connection": "main", "topic": "ratings"}}), "s1");
    let revised = json!({
        "observedGeneration": 1, "conditions": ready("AsDeclared"), "use": "Running",
        "prepared": {"partitions": 4, "path": "p", "since": EARLIER}, "demands": {"number": 2, "digest": "d", "covered": 2},
        "history": {"backfill": 1, "version": 3, "sealed": JUST_NOW},
    });
    put(&mut seen.signal_revisions, ours("SignalRevision", "rating-abc", spec, revised));
    put(&mut seen.deployments, deployment("rating-abc", ("rating-abc", "stream"), (1, 1), &["stream"]));
    let archive = ["archive", "--connection", "main", "--topic", "ratings"];
    put(&mut seen.deployments, deployment("archive-x", ("archive-x", "archive"), (1, 1), &archive));
    put(&mut seen.deployments, deployment("tress-default", ("tress-default-route", "serve"), (2, 2), &["serve"]));
    let is_ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    put(&mut seen.pods, pod("rating-abc-1", ("rating-abc", "stream"), is_ready.clone()));
    for name in ["tress-default-1", "tress-default-2"] {
        put(&mut seen.pods, pod(name, ("tress-default-route", "serve"), is_ready.clone()));
    }
    let spec = json!({"revision": "rating-abc", "mode": {"incremental": {}}});
    let done = json!({"phase": "Succeeded", "number": 1, "tasks": 3, "workers": 3, "done": 3, "rawEvents": 120_000, "rows": 99_000, "dead": 0, "ended": JUST_NOW});
    put(&mut seen.backfills, ours("Backfill", "rating-first", spec, done));
    seen
}

/// A second revision is on its way, and much is the matter.
fn troubled() -> Seen {
    let mut seen = sound();
    let live = json!({"revision": "recent-abc", "epoch": 3, "since": EARLIER});
    let status = json!({
        "observedGeneration": 1, "conditions": [condition("Available", "True", "AsDeclared", ""), condition("Ready", "False", "InProgress", "attempt recent-2 is in Backfilling")],
        "live": live, "target": {"revision": "recent-def", "since": JUST_NOW}, "endpoint": "tress-default.movies.svc:7400",
        "change": {"class": "Behavioural", "paths": []},
    });
    seen.features.clear();
    put(
        &mut seen.features,
        ours("SequenceFeature", "recent", json!({"definition": {"signals": [{"name": "rating"}], "length": 5}, "paused": true}), status),
    );
    let spec = revision_spec(
        &json!({"feature": "recent", "signals": [{"namespace": "movies", "revision": "rating-def", "uid": "v", "digest": "s2"}, {"namespace": "shared", "revision": "click-x", "uid": "w", "digest": "s3"}]}),
        "f2",
    );
    put(&mut seen.sequence_revisions, ours("SequenceRevision", "recent-def", spec, json!({"observedGeneration": -1})));
    let target = json!({"revision": "recent-def", "uid": "u2", "digest": "0123456789abcdef0123456789abcdef", "sourceHash": "h1:y"});
    let rollout = json!({"feature": "recent", "attempt": 2, "target": target, "pool": "default", "class": "Behavioural",
        "changed": [{"namespace": "movies", "revision": "rating-def", "uid": "v"}], "intent": {"action": "Abort", "nonce": "2"}});
    let state = json!({"phase": "Backfilling", "since": JUST_NOW, "deadline": "2026-01-02T12:00:00Z", "reason": "Done", "message": "backfill of rating-def", "paused": true, "handled": "1"});
    put(&mut seen.rollouts, ours("SequenceRollout", "recent-2", rollout, state));
    let spec = revision_spec(&json!({"signal": "rating", "schemaVersion": 1, "archive": {"connection": "main", "topic": "ratings"}}), "s2");
    let revised = json!({"observedGeneration": 1, "conditions": [condition("Ready", "False", "InProgress", "its history is being made")], "use": "Running", "demands": {"number": 1, "digest": "d"}});
    put(&mut seen.signal_revisions, ours("SignalRevision", "rating-def", spec, revised));
    put(&mut seen.deployments, deployment("rating-def", ("rating-def", "stream"), (0, 1), &["stream"]));
    let words = json!({"version": 1, "role": "Stream", "outcome": "FailedForNow", "reasons": ["connect to kafka:9092: nobody answers"]})
        .to_string();
    let crashing = json!({"phase": "Running", "containerStatuses": [{"name": "engine", "image": "", "imageID": "", "ready": false, "restartCount": 5,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}, "lastState": {"terminated": {"exitCode": 1, "message": words}}}]});
    put(&mut seen.pods, pod("rating-def-1", ("rating-def", "stream"), crashing));
    let spec = json!({"revision": "rating-def", "mode": {"incremental": {}}});
    let working = json!({"phase": "Working", "number": 1, "tasks": 30, "workers": 10, "done": 4, "started": JUST_NOW, "failed": ["7"]});
    put(&mut seen.backfills, ours("Backfill", "rating-second", spec, working));
    let job = json!({
        "metadata": {"name": "rating-second-work", "namespace": "movies", "labels": labels("rating-second", "backfill")},
        "spec": {"completions": 10, "template": {"spec": {"containers": []}}},
        "status": {"succeeded": 4, "failed": 1, "conditions": [{"type": "Failed", "status": "True", "reason": "FailedIndexes", "message": "Job has failed indexes"}]},
    });
    put(&mut seen.jobs, job);
    let words =
        json!({"version": 1, "role": "BackfillTasks", "outcome": "Failed", "reasons": ["task 7: raw/x.parquet was rewritten"]}).to_string();
    let mut failed = pod(
        "rating-second-work-7",
        ("rating-second", "backfill"),
        json!({"phase": "Failed", "containerStatuses": [{"name": "engine", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 2, "message": words}}}]}),
    );
    failed["metadata"]["labels"]["batch.kubernetes.io/job-name"] = json!("rating-second-work");
    put(&mut seen.pods, failed);
    let unplaced = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available: 3 Insufficient memory."}]});
    seen.pods.retain(|pod| pod.metadata.name.as_deref() != Some("tress-default-2"));
    put(&mut seen.pods, pod("tress-default-2", ("tress-default-route", "serve"), unplaced));
    seen.deployments.retain(|d| d.metadata.name.as_deref() != Some("tress-default"));
    put(&mut seen.deployments, deployment("tress-default", ("tress-default-route", "serve"), (1, 2), &["serve"]));
    seen
}

fn said() -> Said {
    let served = Served { state: "ready".into(), reason: None, freshness: Some(2_000_000) };
    Said {
        served: [("f1".to_owned(), served)].into(),
        lag: [(("movies".to_owned(), "rating-abc-1".to_owned()), 1_234)].into(),
        notes: Vec::new(),
    }
}

fn shown(seen: &Seen, words: &[&str]) -> String {
    let commands = Commands::of(Called::Tress, &Choice::default());
    let detail = if words.is_empty() { Detail::Brief } else { Detail::Whole };
    let view = View { seen, now: NOW, commands: &commands, detail };
    let items = match words {
        [] => all(&view),
        words => one(&view, &Target::parse(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()).expect("a target")).expect("there"),
    };
    tree::render(&items, &seen.said.notes, Style::plain())
}

#[test]
fn what_is_as_it_should_be_is_short() {
    let mut seen = sound();
    seen.said = said();
    insta::assert_snapshot!(shown(&seen, &[]));
}

#[test]
fn one_object_is_shown_with_all_its_parts() {
    let mut seen = sound();
    seen.said = said();
    insta::assert_snapshot!(shown(&seen, &["feature/recent"]));
}

#[test]
fn what_is_not_ready_says_why_and_what_may_help() {
    insta::assert_snapshot!(shown(&troubled(), &[]));
}

#[test]
fn an_attempt_and_a_backfill_can_be_shown_alone() {
    let seen = troubled();
    insta::assert_snapshot!(format!("{}\n{}", shown(&seen, &["rollout/recent-2"]), shown(&seen, &["bf/rating-second"])));
}

#[test]
fn an_object_that_nobody_has_looked_at_is_neither_ready_nor_failed() {
    let mut seen = Seen::default();
    for (name, generation, status) in [
        ("new", 1, json!({"observedGeneration": -1})),
        ("changed", 2, json!({"observedGeneration": 1, "conditions": ready("AsDeclared")})),
        (
            "held",
            1,
            json!({"observedGeneration": 1, "target": {"revision": "held-b", "since": EARLIER}, "conditions": [
                condition("Ready", "True", "AsDeclared", ""), condition("Updated", "False", "BehaviouralChangeHeld", "the data changes (length)")]}),
        ),
        (
            "invalid",
            1,
            json!({"observedGeneration": 1, "conditions": [condition("Ready", "False", "Invalid", "x"), condition("Stalled", "True", "Invalid", "spec.definition.length: 0 is too small")]}),
        ),
        ("without", 1, Value::Null),
    ] {
        let mut object = ours("SequenceFeature", name, json!({"definition": {"signals": [{"name": "rating"}], "length": 5}}), status);
        object["metadata"]["generation"] = json!(generation);
        put(&mut seen.features, object);
    }
    insta::assert_snapshot!(shown(&seen, &[]));
    assert_eq!(shown(&Seen::default(), &[]), "no definitions\n");
}

#[test]
fn programs_get_the_same_by_name() {
    let mut seen = sound();
    seen.said = said();
    let commands = Commands::of(Called::Plugin, &Choice { context: Some("prod".into()), ..Choice::default() });
    let items = all(&View { seen: &seen, now: NOW, commands: &commands, detail: Detail::Brief });
    let told = serde_json::to_value(&items).expect("JSON");
    assert_eq!(told[0]["kind"], "SequenceFeature");
    assert_eq!(told[0]["state"], "Ready");
    assert_eq!(told[0]["facts"], json!({"freshness": "Met", "completeness": "Unknown", "endpoint": "tress-default.movies.svc:7400"}));
    assert_eq!(told[0]["children"][0]["facts"]["freshnessMicros"], 2_000_000);
    assert_eq!(told[1]["children"][0]["children"][0]["facts"], json!({"ready": 1, "wanted": 1, "lag": 1_234}));
    assert_eq!(commands.tress("status", "movies"), "kubectl tress status --context prod -n movies");
}

#[test]
fn a_name_that_is_not_there_is_told_with_those_that_are() {
    let seen = sound();
    let commands = Commands::of(Called::Tress, &Choice::default());
    let view = View { seen: &seen, now: NOW, commands: &commands, detail: Detail::Whole };
    let missing = |words: &str| one(&view, &Target::parse(&[words.to_owned()]).expect("a target")).expect_err("not there").to_string();
    assert_eq!(missing("recnt"), "there is no feature or signal \"recnt\" here; there are rating, recent");
    assert_eq!(missing("bf/x"), "there is no backfill \"x\" here; there are rating-first");
}
