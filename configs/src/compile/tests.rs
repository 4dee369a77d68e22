use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Kind, Outcome, Pinned, Pins, QualifiedObject, compile};
use crate::definition::Object;
use crate::issue::IssueCode;
use crate::name::QualifiedName;
use crate::plan::{AvailableAtPlan, BatchPlan, ExecutorPlan, Plan, ViewPlan};
use crate::source::{Foreign, parse};

const MOVIES: &str = include_str!("../../golden/movies.yaml");
const TYPES: &str = include_str!("../../golden/types.yaml");
const MINIMAL: &str = include_str!("../../golden/minimal.yaml");

fn objects(text: &str) -> Vec<Object> {
    let parsed = parse("f", text, Foreign::Report);
    assert!(parsed.issues.is_empty(), "{:#?}", parsed.issues);
    parsed.objects.into_iter().map(|o| o.item).collect()
}

fn compiled(text: &str) -> Outcome {
    compile(&objects(text), &Pins::default())
}

fn signal(namespace: &str, name: &str) -> QualifiedObject {
    QualifiedObject { kind: Kind::SignalDefinition, name: QualifiedName::new(namespace, name) }
}

fn feature(namespace: &str, name: &str) -> QualifiedObject {
    QualifiedObject { kind: Kind::SequenceFeature, name: QualifiedName::new(namespace, name) }
}

#[test]
fn what_is_omitted_has_its_default() {
    let outcome = compiled(MINIMAL);
    let Plan::Signal(plan) = &outcome[&signal("default", "click")].as_ref().unwrap().plan else { panic!() };
    assert_eq!((plan.schema_version, plan.lateness_ms, plan.max_future_skew_ms, plan.retention_ms), (1, 259_200_000, 600_000, None));
    assert_eq!(plan.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["page", "weight"]);
    assert_eq!(plan.executor, ExecutorPlan::Declarative { filter: None, derive: vec![] });
    assert_eq!((&plan.source.batch, &plan.event.available_at), (&BatchPlan::Archive, &AvailableAtPlan::EventTime { delay_ms: 60_000 }));
    let Plan::Feature(plan) = &outcome[&feature("default", "clicks")].as_ref().unwrap().plan else { panic!() };
    assert_eq!((&plan.view, plan.window_ms, plan.deduplicate.len(), &plan.sunset), (&ViewPlan::Events, None, 0, &None));
}

#[test]
fn a_column_is_nullable_when_any_signal_may_lack_it() {
    let outcome = compiled(MOVIES);
    let Plan::Feature(plan) = &outcome[&feature("movies", "recent-movies")].as_ref().unwrap().plan else { panic!() };
    // In the order first written; signals by (namespace, name), whatever the order written.
    assert_eq!(
        plan.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
        ["id", "seconds", "item_id", "liked", "genres", "embedding"]
    );
    assert!(plan.columns.iter().all(|c| c.nullable));
    assert_eq!(plan.signals.iter().map(|s| s.name.to_string()).collect::<Vec<_>>(), ["movies/rating", "playback/watch"]);
    assert_eq!((plan.signals[0].required_found, plan.signals[1].required_found), (0, 1));
    assert_eq!(plan.signals[1].filter_columns, ["seconds"]);
}

#[test]
fn the_source_hash_is_of_what_decides_the_data_alone() {
    let hash = |text: &str, object: &QualifiedObject| compiled(text)[object].as_ref().unwrap().source_hash.clone();
    let (rating, recent) = (signal("movies", "rating"), feature("movies", "recent-movies"));
    let before = (hash(MOVIES, &rating), hash(MOVIES, &recent));
    assert!(before.0.starts_with("h1:") && before.0.len() == 35, "{}", before.0);
    let change = |from: &str, to: &str| {
        assert!(MOVIES.contains(from), "{from}");
        let text = MOVIES.replace(from, to);
        (hash(&text, &rating) != before.0, hash(&text, &recent) != before.1)
    };
    for (from, to) in [
        ("A user rated a movie.", "Something else."),
        ("team-recs@example.com", "others@example.com"),
        ("lifecycle: Production", "lifecycle: Experimental"),
        ("sharedWith: [ranking]", "sharedWith: [other]"),
        ("replicas: 2", "replicas: 9"),
        ("deletionPolicy: Retain", "deletionPolicy: Delete"),
        ("update: Hold", "update: Auto"),
        ("completeWithin: 24h", "completeWithin: 25h"),
        ("pool: default", "pool: own"),
        // The same spans in other units.
        ("lateness: 3d", "lateness: 72h"),
        ("completeAfter: 2h", "completeAfter: 120m"),
        ("retention: 365d", "retention: 8760h"),
        ("window: 180d", "window: 4320h"),
        ("gap: 30m", "gap: 1800s"),
    ] {
        assert_eq!(change(from, to), (false, false), "{from}");
    }
    for (from, to) in [
        ("rating >= 0.5", "rating >= 0.6"),
        ("lateness: 3d", "lateness: 4d"),
        ("    bucket: Day\n", ""),
        ("maxFutureSkew: 10m", "maxFutureSkew: 11m"),
        ("completeAfter: 2h", "completeAfter: 3h"),
    ] {
        assert_eq!(change(from, to), (true, true), "{from}");
    }
    for (from, to) in
        [("length: 200", "length: 100"), ("window: 180d", "window: 181d"), ("gap: 30m", "gap: 31m"), ("by: [item_id]", "by: [liked]")]
    {
        assert_eq!(change(from, to), (false, true), "{from}");
    }
}

/// Every duration of a definition stands in a source hash in milliseconds, or decides nothing.
#[test]
fn no_duration_of_a_definition_is_hashed_as_text() {
    fn durations(schema: &Value, root: &Value, path: &str, found: &mut Vec<String>) {
        if schema["pattern"] == json!(crate::duration::PATTERN) {
            found.push(path.to_owned());
        }
        let target = schema["$ref"].as_str().and_then(|r| root.pointer(&r[1..]));
        for inner in target.iter().copied().chain(schema["anyOf"].as_array().into_iter().flatten()).chain(schema.get("items")) {
            durations(inner, root, path, found);
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            durations(field, root, &format!("{path}.{name}"), found);
        }
    }
    let of = |kind: &str, name: &str| {
        let root = crate::structure::schema_of(kind);
        let mut found = Vec::new();
        durations(&root["$defs"][name], root, "", &mut found);
        found
    };
    assert_eq!(
        of("SignalDefinition", "SignalDefinition"),
        [".event.availableAt.eventTime.delay", ".source.batch.completeAfter", ".maxFutureSkew", ".lateness", ".retention"]
    );
    assert_eq!(
        of("SequenceFeature", "FeatureDefinition"),
        [".window", ".view.sessions.gap", ".contract.freshness.p99", ".contract.completeWithin"]
    );
}

#[test]
fn a_feature_that_holds_stays_on_its_revision() {
    let old = compiled(MOVIES);
    let watch = old[&signal("playback", "watch")].as_ref().unwrap();
    let pinned = Pinned { plan: Arc::new(watch.plan.as_signal().unwrap().clone()), source_hash: watch.source_hash.clone() };
    let mut pins = Pins::default();
    pins.insert(QualifiedName::new("movies", "recent-movies"), pinned);
    let digest = |outcome: &Outcome| outcome[&feature("movies", "recent-movies")].as_ref().unwrap().digest.clone();
    let changed = MOVIES.replace("topic: watches", "topic: views");
    assert_eq!(digest(&compile(&objects(&changed), &pins)), digest(&old));
    // Without the pin, or without holding, it follows.
    assert_ne!(digest(&compiled(&changed)), digest(&old));
    assert_ne!(digest(&compile(&objects(&changed.replace("update: Hold", "update: Auto")), &pins)), digest(&old));
    // A schema version that is no longer written lives on for who reads it.
    let raised = MOVIES.replace("    schemaVersion: 2\n", "    schemaVersion: 3\n").replace("update: Hold", "update: Auto");
    assert_eq!(digest(&compile(&objects(&raised), &pins)), digest(&old));
    let unpinned = compiled(&raised);
    assert_eq!(unpinned[&feature("movies", "recent-movies")].as_ref().unwrap_err()[0].code, IssueCode::UnknownReference);
}

#[test]
fn one_bad_definition_does_not_hide_the_others() {
    let outcome = compiled(&MOVIES.replace("field: user_id", "field: nobody"));
    assert!(outcome[&signal("playback", "watch")].is_ok());
    let issues = outcome[&signal("movies", "rating")].as_ref().unwrap_err();
    assert_eq!((issues.len(), issues[0].object.as_str()), (1, "SignalDefinition/movies/rating"));
}

#[test]
fn a_plan_beyond_its_bound_is_refused() {
    let derived: String = (0..120).map(|i| format!("          - {{name: d{i}, expr: \"'{}' || kind\"}}\n", "x".repeat(3000))).collect();
    let text = MOVIES.replace(
        "          - {name: liked, expr: \"rating >= 4.0\"}\n",
        &format!("          - {{name: liked, expr: \"rating >= 4.0\"}}\n{derived}"),
    );
    let outcome = compiled(&text);
    assert_eq!(outcome[&signal("movies", "rating")].as_ref().unwrap_err()[0].code, IssueCode::PlanTooLarge);
}

#[test]
fn bounds_hold_for_objects_that_come_from_no_text() {
    let mut objects = objects(MINIMAL);
    let Some(Object::SequenceFeature(feature)) = objects.get_mut(1) else { panic!() };
    feature.spec.definition.length = -5;
    let outcome = compile(&objects, &Pins::default());
    let issues = outcome.values().last().unwrap().as_ref().unwrap_err();
    assert_eq!((issues[0].code, issues[0].path.as_str()), (IssueCode::OutOfRange, "definition.length"));
}

/// A value somewhere in a document, replaced by another of any kind.
fn mutated(document: &mut Value, place: prop::sample::Index, value: &Value) {
    fn count(value: &Value) -> usize {
        1 + match value {
            Value::Object(map) => map.values().map(count).sum(),
            Value::Array(items) => items.iter().map(count).sum(),
            _ => 0,
        }
    }
    fn replace(target: &mut Value, place: &mut usize, value: &Value) {
        if *place == 0 {
            *target = value.clone();
        }
        *place = place.wrapping_sub(1);
        match target {
            Value::Object(map) => map.values_mut().for_each(|v| replace(v, place, value)),
            Value::Array(items) => items.iter_mut().for_each(|v| replace(v, place, value)),
            _ => {}
        }
    }
    let mut at = place.index(count(document));
    replace(document, &mut at, value);
}

fn any_value() -> impl Strategy<Value = Value> {
    let words = vec![
        "",
        "x",
        "rating",
        "item_id",
        "user_id",
        "ts",
        "genres",
        "embedding",
        "string",
        "int64",
        "int8",
        "timestamp",
        "3d",
        "0s",
        "Drop",
        "Default",
        "Hour",
        "liked",
        "event_time",
        "rating > 1",
        "kind = 'x'",
        "NULL",
        "now()",
        "{date}",
        "a/{hour}",
        "2026-01-01",
        "op",
        "watch",
        "movies",
        "playback",
        "Rfc3339",
        "Timestamp",
        "EventTime",
        "Deprecated",
        "999999999999999999999d",
        "\u{0}",
        "é\"'",
    ];
    prop_oneof![
        prop::sample::select(words).prop_map(|w| json!(w)),
        any::<i64>().prop_map(|n| json!(n)),
        (0i64..40).prop_map(|n| json!(n)),
        any::<bool>().prop_map(|b| json!(b)),
        Just(json!(null)),
        Just(json!([])),
        Just(json!({})),
        Just(json!(["item_id", "rating"])),
        Just(json!({"item_id": "rating"})),
        Just(json!({"json": {}})),
        Just(json!(0.5)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Compile is total: any objects give plans or issues, and the same ones in any order.
    #[test]
    fn any_definitions_compile_or_say_why_not(
        changes in prop::collection::vec((0usize..3, any::<prop::sample::Index>(), any_value()), 1..4),
        which in prop::sample::select(vec![MOVIES, TYPES]),
        reversed in any::<bool>(),
    ) {
        let mut documents: Vec<Value> = objects(which).iter().map(|o| serde_json::to_value(o).unwrap()).collect();
        for (document, place, value) in &changes {
            mutated(&mut documents[*document], *place, value);
        }
        // Text and back, as a user would have it; JSON is YAML.
        let text = documents.iter().map(|d| d.to_string().replace("\\u0000", "0")).collect::<Vec<_>>().join("\n---\n");
        let parsed = parse("f", &text, Foreign::Report);
        for issue in &parsed.issues {
            prop_assert!(issue.position.is_some() && !issue.message.is_empty(), "{issue}");
        }
        let mut given: Vec<Object> = parsed.objects.into_iter().map(|o| o.item).collect();
        let outcome = compile(&given, &Pins::default());
        for (object, result) in &outcome {
            match result {
                Ok(compiled) => {
                    let json = compiled.plan.canonical_json();
                    let again = Plan::from_json(&json).unwrap();
                    prop_assert_eq!(&again, &compiled.plan);
                    prop_assert_eq!(again.digest(), compiled.digest.clone());
                }
                Err(issues) => prop_assert!(!issues.is_empty() && issues.iter().all(|i| i.object == object.to_string() && i.is_error())),
            }
        }
        if reversed { given.reverse() } else { let by = 1.min(given.len()); given.rotate_left(by) }
        prop_assert_eq!(compile(&given, &Pins::default()), outcome);
    }
}
