use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Class, classify, classify_with};
use crate::compile::{Kind, Outcome, Pins};
use crate::lint::{SourceText, lint};
use crate::plan::Plan;
use crate::source::Foreign;

const MOVIES: &str = include_str!("../../golden/movies.yaml");

fn compiled(text: &str) -> Outcome {
    // The feature follows, so that a change of a signal reaches it.
    let linted = lint(&[SourceText { file: "movies.yaml", text }], Foreign::Report, &Pins::default());
    assert!(linted.outcome.values().all(Result::is_ok), "{:#?}", linted.issues);
    linted.outcome
}

fn plan(outcome: &Outcome, kind: Kind, name: &str) -> Plan {
    let found = outcome.iter().find(|(object, _)| object.kind == kind && object.name.name == name);
    found.and_then(|(_, c)| c.as_ref().ok()).map(|c| c.plan.clone()).unwrap()
}

/// What `rating` and the feature become when `from` is replaced by `to`.
fn change(from: &str, to: &str) -> (Class, Class) {
    assert!(MOVIES.contains(from), "{from}");
    let (live, new) = (compiled(MOVIES), compiled(&MOVIES.replacen(from, to, 1)));
    let signals: BTreeMap<String, Arc<_>> = live
        .values()
        .chain(new.values())
        .flatten()
        .filter_map(|c| Some((c.digest.clone(), Arc::new(c.plan.as_signal()?.clone()))))
        .collect();
    let of = |kind, name: &str| {
        let (live, new) = (plan(&live, kind, name), plan(&new, kind, name));
        let change = classify_with(&live, &new, &|digest| signals.get(digest).cloned());
        assert_eq!(change.class, change.differences.iter().map(|d| d.class).max().unwrap_or(Class::None));
        change.class
    };
    (of(Kind::SignalDefinition, "rating"), of(Kind::SequenceFeature, "recent-movies"))
}

#[test]
fn changes_fall_into_the_classes_of_the_design() {
    use Class::{Behavioural, Breaking, Compatible, None};
    for (from, to, signal, feature) in [
        ("A user rated a movie.", "Another text.", None, None),
        ("lateness: 3d", "lateness: 72h", None, None),
        ("replicas: 2", "replicas: 5", None, None),
        ("lateness: 3d", "lateness: 5d", Compatible, Compatible),
        // More of what may be null.
        ("- {name: surface,", "- {name: page, type: string, nullable: true}\n        - {name: surface,", Compatible, Compatible),
        (
            "columns: [item_id, rating, liked, surface, title, genres, embedding]",
            "columns: [item_id, rating, liked, surface, title, genres, embedding, op]",
            Compatible,
            Compatible,
        ),
        ("columns: [item_id, liked, genres, embedding]", "columns: [item_id, liked, genres, embedding, title]", None, Compatible),
        // Wider, outside the identity.
        ("{name: rating, type: float32}", "{name: rating, type: float64}", Compatible, Compatible),
        ("{name: seconds, type: int32}", "{name: seconds, type: int64}", None, Compatible),
        // Other data.
        ("rating >= 0.5", "rating >= 1.5", Behavioural, Behavioural),
        ("rating >= 4.0", "rating >= 3.0", Behavioural, Behavioural),
        ("kind = 'rating'", "kind = 'review'", Behavioural, Behavioural),
        ("topic: ratings", "topic: reviews", Behavioural, Behavioural),
        ("validFrom: loaded_at", "validFrom: seen_at", Behavioural, Behavioural),
        ("retention: 365d", "retention: 400d", Behavioural, Behavioural),
        ("delete: \"op = 'd'\"", "delete: \"op = 'x'\"", Behavioural, Behavioural),
        ("length: 200", "length: 100", None, Behavioural),
        ("window: 180d", "window: 90d", None, Behavioural),
        ("view: {sessions: {gap: 30m}}", "view: {sessions: {gap: 40m}}", None, Behavioural),
        ("deduplicate: {by: [item_id]}", "deduplicate: {by: [liked]}", None, Behavioural),
        ("seconds >= 30", "seconds >= 31", None, Behavioural),
        ("columns: [item_id, rating, liked, surface,", "columns: [rating, item_id, liked, surface,", Behavioural, Compatible),
        // A change of what the feature does not read.
        ("columns: [item_id, rating, liked, surface,", "columns: [item_id, rating, liked,", Breaking, Compatible),
        // Readers break.
        ("id: [item_id]", "id: [item_id, kind]", Breaking, Behavioural),
        ("bucket: Day", "bucket: Hour", Breaking, Behavioural),
        ("columns: [item_id, liked, genres, embedding]", "columns: [item_id, liked, genres]", None, Breaking),
        ("dim: 64", "dim: 32", Breaking, Breaking),
        ("{name: rating, type: float32}", "{name: rating, type: float32, nullable: true}", Breaking, Behavioural),
        ("rename: {item_id: id}", "rename: {item_id: ident}", None, Breaking),
    ] {
        assert_eq!(change(from, to), (signal, feature), "{from} -> {to}");
    }
}

#[test]
fn without_the_signals_plans_another_revision_counts_as_other_data() {
    let (live, new) = (compiled(MOVIES), compiled(&MOVIES.replace("lateness: 3d", "lateness: 5d")));
    let of = |o: &Outcome| plan(o, Kind::SequenceFeature, "recent-movies");
    assert_eq!(classify(&of(&live), &of(&new)).class, Class::Behavioural);
}

#[test]
fn a_signal_cannot_become_a_feature() {
    let outcome = compiled(MOVIES);
    let (signal, feature) = (plan(&outcome, Kind::SignalDefinition, "rating"), plan(&outcome, Kind::SequenceFeature, "recent-movies"));
    assert_eq!(classify(&signal, &feature).class, Class::Breaking);
    assert_eq!(classify(&signal, &signal).differences, []);
}
