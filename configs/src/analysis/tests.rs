use super::{Impact, estimate_feature, estimate_signal, impact};
use crate::compatibility::Class;
use crate::compile::{Kind, Outcome, Pins};
use crate::issue::IssueCode;
use crate::lint::{Linted, SourceText, lint};
use crate::plan::Plan;
use crate::source::Foreign;

const MOVIES: &str = include_str!("../../golden/movies.yaml");

fn linted(text: &str) -> Linted {
    let linted = lint(&[SourceText { file: "f", text }], Foreign::Report, &Pins::default());
    assert!(linted.issues.iter().all(|i| !i.is_error()), "{:#?}", linted.issues);
    linted
}

fn changed(from: &str, to: &str) -> String {
    assert!(MOVIES.contains(from), "{from}");
    MOVIES.replacen(from, to, 1)
}

#[test]
fn a_sound_definition_has_no_warnings() {
    assert_eq!(linted(MOVIES).issues, []);
}

#[test]
fn what_is_probably_not_meant_is_warned_of_at_its_place() {
    for (from, to, code, path) in [
        (
            "columns: [item_id, rating, liked, surface, title, genres, embedding]",
            "columns: [item_id, rating, liked, title, genres, embedding]",
            IssueCode::UnusedColumn,
            "definition.event.fields[7]",
        ),
        (
            "{name: liked, expr: \"rating >= 4.0\"}",
            "{name: liked, expr: \"rating >= 4.0\"}\n          - {name: idle, expr: \"rating * 2\"}",
            IssueCode::UnusedColumn,
            "definition.executor.declarative.derive[1]",
        ),
        (
            "columns: [item_id, rating, liked, surface, title, genres, embedding]",
            "columns: [item_id, rating, liked, surface, genres, embedding]",
            IssueCode::UnusedColumn,
            "definition.enrichments[0].columns[0]",
        ),
        (
            "    enrichments:\n",
            "    enrichments:\n      - {name: idle, lookup: {table: {connection: lake, table: t, key: {item_id: id}}}, columns: [{name: x, type: string}]}\n",
            IssueCode::UnusedEnrichment,
            "definition.enrichments[0]",
        ),
        ("id: [item_id]\n      fields", "id: []\n      fields", IssueCode::WeakIdentity, "definition.event.id"),
        ("delay: 5m", "delay: 0s", IssueCode::NoDelay, "definition.event.availableAt.eventTime.delay"),
        ("dim: 64", "dim: 512", IssueCode::LargeEmbedding, "definition.enrichments[0].columns[2]"),
        ("retention: 365d", "retention: 90d", IssueCode::RetentionTooShort, "definition.window"),
        (
            "lifecycle: Production",
            "lifecycle: Deprecated\n    sunset: 2027-01-01",
            IssueCode::DeprecatedSignal,
            "definition.signals[1].name",
        ),
    ] {
        let issues = linted(&changed(from, to)).issues;
        let found: Vec<_> = issues.iter().map(|i| (i.code, i.path.as_str(), i.position.is_some())).collect();
        assert_eq!(found, [(code, path, true)], "{from}: {issues:#?}");
    }
}

#[test]
fn a_column_that_no_feature_reads_is_warned_of_when_nobody_else_can() {
    let text = changed("sharedWith: [ranking]\n", "\n");
    let codes: Vec<_> = linted(&text).issues.iter().map(|i| (i.code, i.path.clone())).collect();
    let unused = |n: usize| (IssueCode::UnusedColumn, format!("definition.columns[{n}]"));
    assert_eq!(codes, [unused(1), unused(3), unused(4)]);
}

#[test]
fn sizes_are_what_the_columns_take() {
    let outcome = linted(MOVIES).outcome;
    let signals: Vec<_> = outcome.values().flatten().filter_map(|c| c.plan.as_signal()).collect();
    // 76 of the system, 24 of the entity; int64, float32, bool, two texts, a list of four texts, 64 half floats.
    assert_eq!(estimate_signal(signals[0]).per_event, 76 + 24 + 8 + 4 + 1 + 24 + 24 + (4 + 4 * 24) + 128);
    let Some(Plan::Feature(feature)) = outcome.values().flatten().map(|c| &c.plan).find(|p| p.as_feature().is_some()) else { panic!() };
    let estimate = estimate_feature(feature, &signals);
    assert_eq!(estimate.per_event, 8 + 4 + 8 + 1 + 100 + 128);
    let watch = estimate_signal(signals[1]).per_event;
    assert_eq!(estimate.per_entity, Some(250 * estimate_signal(signals[0]).per_event + 66 * watch));
}

#[test]
fn the_impact_of_a_change_names_what_it_reaches() {
    let of = |text: &str| linted(text).outcome;
    let reached = |live: &Outcome, new: &Outcome| -> Vec<(Kind, Class, bool)> {
        let changed = impact(live, new).into_iter().map(|i| match i {
            Impact::Changed { object, change, backfill } => (object.kind, change.class, backfill),
            other => panic!("{other:?}"),
        });
        changed.collect()
    };
    let live = of(MOVIES);
    assert_eq!(reached(&live, &live), []);
    let filter = of(&changed("rating >= 0.5", "rating >= 1.0"));
    assert_eq!(
        reached(&live, &filter),
        [(Kind::SignalDefinition, Class::Behavioural, true), (Kind::SequenceFeature, Class::Behavioural, false)]
    );
    let lateness = of(&changed("lateness: 3d", "lateness: 4d"));
    assert_eq!(
        reached(&live, &lateness),
        [(Kind::SignalDefinition, Class::Compatible, false), (Kind::SequenceFeature, Class::Compatible, false)]
    );
    let renamed = of(&changed("name: recent-movies", "name: latest-movies"));
    assert!(
        matches!(impact(&live, &renamed).as_slice(), [Impact::Added(a), Impact::Removed(r)] if a.name.name == "latest-movies" && r.name.name == "recent-movies")
    );
}
