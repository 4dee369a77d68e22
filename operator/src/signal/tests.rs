use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tress_configs::platform::PlatformFile;
use tress_crds::condition::Condition;
use tress_crds::definition::{Class, SignalStatus};
use tress_crds::{SignalDefinition, SignalRevision};

use super::*;
use crate::compile::Compiler;

const PLATFORM: &str = "
connections:
  main: {kafka: {bootstrap: [\"kafka:9092\"]}, namespaces: [movies]}
  other: {kafka: {bootstrap: [\"kafka:9093\"]}, namespaces: [playback]}
  lake: {objectStore: {url: \"s3://acme/ml\"}, namespaces: [\"*\"]}
outputs: {lake: lake, changelog: main}
";

fn definition(change: impl FnOnce(&mut Value)) -> SignalDefinition {
    let mut spec = json!({"definition": {
        "entity": {"field": "user"},
        "event": {
            "time": {"field": "ts", "unit": "Seconds"},
            "availableAt": {"recordTimestamp": {}},
            "id": ["item"],
            "fields": [{"name": "user", "type": "string"}, {"name": "item", "type": "int64"}, {"name": "ts", "type": "int64"}],
        },
        "source": {"stream": {"connection": "main", "topic": "t", "format": {"json": {}}}, "archive": true},
    }});
    change(&mut spec);
    let meta = json!({"name": "rating", "namespace": "movies", "uid": "d", "generation": 3});
    serde_json::from_value(json!({"metadata": meta, "spec": spec})).unwrap()
}

/// What is there of a definition; `revisions`: of the same signal, the last one was accepted last.
fn facts(definition: SignalDefinition, revisions: &[SignalRevision]) -> Facts {
    let compiled = Compiler::default().signal(&definition);
    let platform = PlatformFile::parse("platform.yaml", PLATFORM).unwrap();
    let (mut refused, mut named) = (Vec::new(), None);
    if let Ok(compiled) = &*compiled {
        refused = admit::refused(&definition, compiled.plan.as_signal().unwrap(), &platform);
        let name = crate::name::revision("rating", &compiled.source_hash);
        named = revisions.iter().find(|r| r.name_any() == name).map(|r| Arc::new(r.clone()));
    }
    let last = revisions.iter().rev().find(|r| Some(r.spec.schema_version) == definition.spec.definition.schema_version.or(Some(1)));
    let last = last.map(|revision| {
        let plan = tress_configs::Plan::from_json(&revision.spec.compiled.plan);
        Last { revision: Arc::new(revision.clone()), plan: plan.map(|plan| Arc::new(plan.as_signal().unwrap().clone())) }
    });
    let readers = BTreeSet::from(["movies/recent".to_owned()]);
    Facts { definition: Arc::new(definition), compiled, refused, named, last, readers }
}

/// The revision that a definition makes.
fn revision(definition: SignalDefinition) -> SignalRevision {
    let Verdict::Make(mut revision) = decide(&facts(definition, &[])) else { panic!() };
    revision.metadata.uid = Some("r".to_owned());
    *revision
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn told(conditions: &[Condition]) -> String {
    conditions.iter().map(|c| format!("{} {} {}", c.type_, c.status, c.reason)).collect::<Vec<_>>().join(", ")
}

fn with_column(name: &str) -> impl FnOnce(&mut Value) {
    let field = json!({"name": name, "type": "string", "nullable": true});
    move |spec| spec["definition"]["event"]["fields"].as_array_mut().unwrap().push(field)
}

#[test]
fn a_definition_makes_the_revision_that_it_is() {
    let made = revision(definition(|_| {}));
    let again = revision(definition(|spec| {
        spec["definition"]["description"] = json!("said in other words");
        spec["runtime"] = json!({"stream": {"replicas": 9}});
    }));
    let is = |revision: &SignalRevision| (revision.metadata.name.clone(), revision.spec.compiled.digest.clone());
    assert_eq!(is(&made), is(&again));
    assert_eq!((made.spec.signal.as_str(), made.spec.schema_version, made.spec.semantics), ("rating", 1, 1));
    assert_eq!(made.spec.archive.as_ref().map(|a| (a.connection.as_str(), a.topic.as_str())), Some(("main", "t")));
    assert!(made.metadata.owner_references.is_none(), "a deleted definition takes nothing with it");
    assert_eq!(made.metadata.labels.unwrap()["tress.dev/of"], "rating");
    assert!(matches!(decide(&facts(definition(|_| {}), &[revision(definition(|_| {}))])), Verdict::Is(_)));
}

#[test]
fn mistakes_are_all_told_with_path_and_remedy_and_what_was_accepted_stays() {
    let mut broken = definition(|spec| {
        spec["definition"]["entity"]["field"] = json!("nobody");
        spec["definition"]["columns"] = json!(["itm"]);
    });
    broken.status =
        Some(SignalStatus { revision: Some("rating-good".to_owned()), source_hash: Some("h".to_owned()), ..SignalStatus::default() });
    let facts = facts(broken, &[]);
    let status = report::status(&facts, &decide(&facts), None, at(1));
    assert_eq!(told(&status.conditions), "Compiled False Invalid, Ready False Invalid, Stalled True Invalid");
    let message = &status.conditions[0].message;
    assert!(message.contains("definition.entity.field: ") && message.contains("definition.columns[0]: "), "{message}");
    assert_eq!((status.revision.as_deref(), status.source_hash.as_deref()), (Some("rating-good"), Some("h")));
    assert_eq!((status.observed_generation, status.used_by.unwrap().names), (Some(3), vec!["movies/recent".to_owned()]));
}

#[test]
fn a_connection_is_for_those_that_it_admits_and_nothing_is_told_of_others() {
    let refused = |connection: &str| {
        let facts = facts(definition(|spec| spec["definition"]["source"]["stream"]["connection"] = json!(connection)), &[]);
        let Verdict::Refused { reason, message } = decide(&facts) else { panic!() };
        (reason.to_string(), message)
    };
    let (reason, message) = refused("other");
    assert_eq!(reason, "ConnectionNotAllowed");
    assert!(message.starts_with("definition.source.stream.connection: ") && message.contains("it may use main;"), "{message}");
    assert_eq!(refused("nowhere").1.replace("nowhere", "other"), message);
    assert_eq!(refused("lake").0, "Invalid");
    let zone = facts(definition(|spec| spec["runtime"] = json!({"backfill": {"timeZone": "Mars/Olympus"}})), &[]);
    let Verdict::Refused { message, .. } = decide(&zone) else { panic!() };
    assert!(message.starts_with("runtime.backfill.timeZone: "), "{message}");
}

#[test]
fn a_change_that_breaks_readers_needs_another_schema_version() {
    let first = revision(definition(with_column("c")));
    let dropped = facts(definition(|_| {}), std::slice::from_ref(&first));
    let verdict = decide(&dropped);
    let status = report::status(&dropped, &verdict, None, at(1));
    assert_eq!(
        told(&status.conditions),
        "Compiled True AsDeclared, Ready False Breaking, SchemaCompatible False Breaking, Stalled True Breaking"
    );
    let change = status.change.unwrap();
    assert!(change.class == Class::Breaking && change.paths[0].starts_with("columns.c: "), "{change:?}");
    assert!(status.conditions[1].message.contains("schemaVersion to 2"));
    let raised = facts(definition(|spec| spec["definition"]["schemaVersion"] = json!(2)), std::slice::from_ref(&first));
    assert!(matches!(decide(&raised), Verdict::Make(_)));
    let more = facts(definition(with_column("c")), &[revision(definition(|_| {}))]);
    let Verdict::Make(next) = decide(&more) else { panic!() };
    let status = report::status(&more, &Verdict::Make(next.clone()), Some(&*next), at(1));
    assert_eq!(status.change.map(|change| change.class), Some(Class::Compatible));
    assert_eq!(status.revision, next.metadata.name);
}

#[test]
fn going_back_to_a_revision_that_survives_breaks_nobody() {
    let (first, second) = (revision(definition(|_| {})), revision(definition(with_column("c"))));
    let back = facts(definition(|_| {}), &[first.clone(), second]);
    let Verdict::Is(adopted) = decide(&back) else { panic!() };
    assert_eq!(adopted.metadata.name, first.metadata.name);
}

#[test]
fn what_is_being_dropped_is_not_adopted_and_what_is_in_the_way_is_told() {
    let mut leaving = revision(definition(|_| {}));
    leaving.status.get_or_insert_default().dropping = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(0)));
    let waits = facts(definition(|_| {}), &[leaving]);
    let status = report::status(&waits, &decide(&waits), None, at(1));
    assert!(told(&status.conditions).contains("Ready False InProgress, Reconciling True InProgress"));
    let mut other = revision(definition(|_| {}));
    other.spec.compiled.source_hash = "h1:another".to_owned();
    assert!(matches!(decide(&facts(definition(|_| {}), &[other])), Verdict::Refused { .. }));
    let mut newer = revision(definition(with_column("c")));
    newer.spec.compiled.plan = newer.spec.compiled.plan.replace("\"semantics\":1", "\"semantics\":99");
    let too_old = facts(definition(|_| {}), &[newer]);
    let status = report::status(&too_old, &decide(&too_old), None, at(1));
    assert!(told(&status.conditions).contains("Stalled True OperatorTooOld"));
}

#[test]
fn a_paused_definition_makes_nothing() {
    let paused = |revisions: &[SignalRevision]| decide(&facts(definition(|spec| spec["paused"] = json!(true)), revisions));
    assert!(matches!(paused(&[]), Verdict::Paused));
    assert!(matches!(paused(&[revision(definition(|_| {}))]), Verdict::Is(_)));
}

#[test]
fn ready_is_what_the_revision_says_and_work_that_goes_on_is_told() {
    let mirror = |conditions: Value| {
        let mut revision = revision(definition(|_| {}));
        revision.status.get_or_insert_default().conditions = serde_json::from_value(conditions).unwrap();
        let facts = facts(definition(|_| {}), std::slice::from_ref(&revision));
        told(&report::status(&facts, &decide(&facts), Some(&revision), at(1)).conditions)
    };
    let says = |what: &str, status: &str, reason: &str| json!({"type": what, "status": status, "reason": reason, "message": "", "lastTransitionTime": at(0)});
    let fine = "Compiled True AsDeclared";
    let fits = "SchemaCompatible True AsDeclared";
    assert_eq!(mirror(json!([])), format!("{fine}, Ready False InProgress, Reconciling True InProgress, {fits}"));
    let unused = json!([says("Prepared", "True", "AsDeclared"), says("Ready", "True", "Unused")]);
    assert_eq!(mirror(unused), format!("{fine}, Prepared True AsDeclared, Ready True Unused, {fits}"));
    let failed = json!([says("Prepared", "False", "JobFailed"), says("Ready", "False", "JobFailed"), says("Stalled", "True", "JobFailed")]);
    assert_eq!(mirror(failed), format!("{fine}, Prepared False JobFailed, Ready False JobFailed, {fits}, Stalled True JobFailed"));
}

#[test]
fn a_status_that_is_said_again_is_the_same() {
    let made = revision(definition(with_column("c")));
    let before = revision(definition(|_| {}));
    let first = facts(definition(with_column("c")), &[before]);
    let status = report::status(&first, &Verdict::Make(Box::new(made.clone())), Some(&made), at(1));
    let mut accepted = definition(with_column("c"));
    accepted.status = Some(status.clone());
    let next = facts(accepted, std::slice::from_ref(&made));
    assert_eq!(report::status(&next, &decide(&next), Some(&made), at(2)), status);
}
