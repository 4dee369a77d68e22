//! The kinds and the workloads before a real API server: what it takes, what it refuses, what it says.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what cannot be had fails the test")]

mod objects;
mod server;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tress_crds::schema::RULES;

use objects::{backfill, feature, rollout, sequence_revision, signal, signal_revision};
use server::Server;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `value`, with what stands at the pointer replaced; null = removed.
fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = value.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer} is not there")).as_object_mut().unwrap();
    if new.is_null() {
        parent.remove(key).unwrap_or_else(|| panic!("{pointer} is not there"));
    } else {
        parent.insert(key.to_owned(), new);
    }
    value
}

/// For every rule, in the order of the list: an object that breaks it and no other; of a rule about changes, what is there before.
fn broken() -> Vec<(Option<Value>, Value)> {
    let long = |length: usize| json!("n".repeat(length));
    let made = |object: Value| with(object, "/metadata/name", long(52));
    let changed = |object: Value, pointer: &str, new: Value| (Some(object.clone()), with(object, pointer, new));
    vec![
        (None, with(signal(), "/metadata/name", long(41))),
        (None, with(signal(), "/spec/definition/event/availableAt", json!({"recordTimestamp": {}, "eventTime": {"delay": "1s"}}))),
        (None, with(signal(), "/spec/definition/source/archive", json!(false))),
        (None, with(signal(), "/spec/definition/source/stream/format", json!({"json": {}, "avro": {"subject": "s"}}))),
        (None, with(signal(), "/spec/definition/executor", json!({}))),
        (
            None,
            with(
                signal(),
                "/spec/definition/enrichments",
                json!([{"name": "m", "lookup": {}, "columns": [{"name": "t", "type": "string"}]}]),
            ),
        ),
        (None, with(feature(), "/metadata/name", json!("has.a.dot"))),
        (None, with(feature(), "/spec/definition/view", json!({}))),
        (None, made(backfill())),
        (None, with(backfill(), "/spec/mode", json!({"incremental": {}, "restate": {}}))),
        changed(backfill(), "/spec/mode", json!({"restate": {}})),
        (None, made(signal_revision())),
        changed(signal_revision(), "/spec/plan", json!("{\"other\":1}")),
        (None, made(sequence_revision())),
        changed(
            sequence_revision(),
            "/spec/signals",
            json!([sequence_revision()["spec"]["signals"][0], sequence_revision()["spec"]["signals"][0]]),
        ),
        (None, made(rollout())),
        changed(rollout(), "/spec/target/revision", json!("another")),
    ]
}

#[test]
fn the_kinds_are_taken_without_a_warning_and_shown_in_columns() {
    let server = Server::shared();
    server.namespace("columns");
    let crds = server.kubectl(&["get", "crd", "-o", "json"], None).json();
    let ours: Vec<&Value> = crds["items"].as_array().unwrap().iter().filter(|c| c["spec"]["group"] == "tress.dev").collect();
    assert_eq!(ours.len(), 6);
    for crd in ours {
        let conditions = crd["status"]["conditions"].as_array().unwrap();
        let is = |what: &str| conditions.iter().any(|c| c["type"] == what && c["status"] == "True");
        assert!(is("Established") && is("NamesAccepted") && !is("NonStructuralSchema"), "{conditions:#?}");
    }
    server.create("columns", &feature()).succeeded();
    let table = server.kubectl(&["get", "seq", "-n", "columns"], None).text();
    let heads: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(heads, ["NAME", "READY", "REASON", "LIVE", "TARGET", "PHASE", "FRESH", "AGE"]);
    let all = server.kubectl(&["get", "tress", "-n", "columns", "-o", "name"], None).text();
    assert_eq!(all.trim(), "sequencefeature.tress.dev/recent-movies");
    for short in ["sig", "seq", "bf", "sigrev", "seqrev", "seqroll"] {
        server.kubectl(&["get", short, "-n", "columns"], None).succeeded();
    }
}

#[test]
fn a_status_begins_as_not_observed_and_is_written_apart() {
    let server = Server::shared();
    server.namespace("status");
    for object in [signal(), feature(), backfill(), signal_revision(), sequence_revision(), rollout()] {
        // What people write into status is not taken.
        server.create("status", &with(object.clone(), "/status", json!({"observedGeneration": 9}))).succeeded();
        let there = server.get("status", &object);
        assert_eq!(there["status"], json!({"observedGeneration": -1}), "{}", object["kind"]);
        assert_eq!(there["spec"], object["spec"], "{}", object["kind"]);
    }
    let patch = json!({"status": {"phase": "Loading", "paused": true}}).to_string();
    server
        .kubectl(&["patch", "seqroll", "recent-movies-1", "-n", "status", "--subresource=status", "--type=merge", "-p", &patch], None)
        .succeeded();
    let there = server.get("status", &rollout());
    assert_eq!(there["status"], json!({"observedGeneration": -1, "phase": "Loading", "paused": true}));
    let unknown = json!({"status": {"phase": "Elsewhere"}}).to_string();
    let refused = server
        .kubectl(&["patch", "seqroll", "recent-movies-1", "-n", "status", "--subresource=status", "--type=merge", "-p", &unknown], None)
        .refused();
    assert!(refused.contains("Unsupported value: \"Elsewhere\""), "{refused}");
}

#[test]
fn every_rule_refuses_what_breaks_it_with_its_message() {
    let server = Server::shared();
    let broken = broken();
    assert_eq!(broken.len(), RULES.len());
    for (number, (rule, (before, object))) in RULES.iter().zip(broken).enumerate() {
        assert_eq!(object["kind"], rule.kind, "the samples are in the order of the rules");
        let namespace = format!("rule-{number}");
        server.namespace(&namespace);
        let refused = match before {
            None => server.create(&namespace, &object).refused(),
            Some(before) => {
                server.create(&namespace, &before).succeeded();
                server.replace(&namespace, &object).refused()
            }
        };
        assert!(refused.contains(rule.message), "{} {}: {refused}", rule.kind, rule.at);
    }
}

#[test]
fn what_may_change_of_an_immutable_object_may_change_and_optional_fields_can_be_neither_added_nor_removed() {
    let server = Server::shared();
    server.namespace("immutable");
    server.create("immutable", &backfill()).succeeded();
    let hurried = with(with(backfill(), "/spec/suspend", json!(true)), "/spec/parallelism", json!(9));
    server.replace("immutable", &hurried).succeeded();
    server.create("immutable", &rollout()).succeeded();
    let intent = json!({"action": "Abort", "nonce": "1", "reason": "it was a mistake"});
    let aborted = with(rollout(), "/spec/intent", intent);
    server.replace("immutable", &aborted).succeeded();
    for (pointer, new) in [("/spec/forced", json!(true)), ("/spec/previous", Value::Null), ("/spec/policy", json!({"bake": "2h"}))] {
        let refused = server.replace("immutable", &with(aborted.clone(), pointer, new)).refused();
        assert!(refused.contains("only intent can be changed"), "{pointer}: {refused}");
    }
}

#[test]
fn types_bounds_and_unknown_fields_are_refused_by_their_path() {
    let server = Server::shared();
    server.namespace("bounds");
    for (object, wanted) in [
        (with(signal(), "/spec/definition/lateness", json!("3 days")), "spec.definition.lateness"),
        (with(signal(), "/spec/definition/lifecyle", json!("Production")), "unknown field \"spec.definition.lifecyle\""),
        (with(signal(), "/spec/definition/entity", Value::Null), "spec.definition.entity: Required value"),
        (with(feature(), "/spec/definition/length", json!(10_001)), "should be less than or equal to 10000"),
        (with(feature(), "/spec/definition/lifecycle", json!("Alpha")), "Unsupported value: \"Alpha\""),
        (with(feature(), "/spec/definition/signals", json!([])), "should have at least 1 items"),
        (with(backfill(), "/spec/parallelism", json!(0)), "spec.parallelism"),
    ] {
        let refused = server.create("bounds", &object).refused();
        assert!(refused.contains(wanted), "{wanted}: {refused}");
    }
}

/// The same file is linted on a laptop and applied to a cluster.
#[test]
fn definitions_that_compile_are_taken_as_they_are() {
    let server = Server::shared();
    let mut files = Vec::new();
    for folder in ["configs/golden", "examples/movielens"] {
        let yaml = |p: &PathBuf| p.extension().is_some_and(|e| e == "yaml") && fs::read_to_string(p).unwrap().contains("apiVersion");
        files.extend(fs::read_dir(repository().join(folder)).unwrap().map(|f| f.unwrap().path()).filter(yaml));
    }
    assert!(files.len() >= 4, "{files:?}");
    for namespace in ["movies", "playback", "ranking", "all"] {
        server.namespace(namespace);
    }
    for file in files {
        server.kubectl(&["create", "--dry-run=server", "-f", file.to_str().unwrap()], None).succeeded();
    }
}

/// A namespace that enforces the restricted standard, and warns of what is not.
#[test]
fn workloads_are_taken_without_a_warning_where_the_restricted_standard_is_enforced() {
    let server = Server::shared();
    for namespace in ["movies", "tress"] {
        server.namespace(namespace);
    }
    let golden = repository().join("operator/golden");
    let mut taken = 0;
    for file in fs::read_dir(golden).unwrap().map(|f| f.unwrap().path()) {
        let apply = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", file.to_str().unwrap()];
        server.kubectl(&apply, None).succeeded();
        taken += 1;
    }
    assert!(taken >= 10, "{taken}");
}

/// Each gets as far as the platform file, which is not here, and leaves its report where it was told to.
#[test]
fn workloads_call_the_engine_as_it_is_called() {
    let server = Server::shared();
    let engine = std::env::current_exe().unwrap().with_file_name("../tress-engine");
    assert!(engine.exists(), "{} is not there: cargo build --workspace", engine.display());
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let mut called = 0;
    for file in fs::read_dir(repository().join("operator/golden")).unwrap().map(|f| f.unwrap().path()) {
        let object = server.kubectl(&["create", "--dry-run=client", "-o", "json", "-f", file.to_str().unwrap()], None).json();
        let Some(given) = object.pointer("/spec/template/spec/containers/0/args").and_then(Value::as_array) else { continue };
        let mut arguments: Vec<String> = given.iter().map(|a| a.as_str().unwrap().to_owned()).collect();
        for (option, path) in [("--platform", folder.path().join("platform.yaml")), ("--report", report.clone())] {
            let at = arguments.iter().position(|a| a == option).unwrap();
            arguments[at + 1] = path.to_str().unwrap().to_owned();
        }
        let ended = std::process::Command::new(&engine).args(&arguments).output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert!(told.contains("read platform file"), "{}: {told}", file.display());
        let said = fs::read_to_string(&report).unwrap();
        let outcome = serde_json::from_str::<Value>(&said).unwrap()["outcome"].clone();
        assert_eq!((outcome, ended.status.code()), (json!("Failed"), Some(2)), "{}", file.display());
        fs::remove_file(&report).unwrap();
        called += 1;
    }
    assert_eq!(called, 10);
}
