use proptest::prelude::*;
use serde_json::json;

use super::{Foreign, MAX_DEPTH, MAX_TEXT, Position, parse, yaml};
use crate::IssueCode;

const MOVIES: &str = include_str!("../../golden/movies.yaml");

fn position(line: usize, column: usize) -> Option<Position> {
    Some(Position { line, column })
}

#[test]
fn every_field_knows_its_line_and_column() {
    let text = "a: 1\nb:\n  - x\n  - {y: 'é', z: \"t\"}\n---\nc: |\n  one\n  two\n";
    let (documents, stopped) = yaml::documents(text);
    assert!(stopped.is_none());
    let [first, second] = documents.as_slice() else { panic!("{documents:?}") };
    assert_eq!(first.value, json!({"a": 1, "b": ["x", {"y": "é", "z": "t"}]}));
    let at = |path| first.positions.of(path);
    assert_eq!((at("a"), at("b"), at("b[0]"), at("b[1]")), (position(1, 4), position(2, 1), position(3, 5), position(4, 5)));
    assert_eq!(
        (at("b[1].y"), at("b[1].z"), at("b[1].missing"), at("none")),
        (position(4, 9), position(4, 17), position(4, 5), position(1, 1))
    );
    assert_eq!(first.positions.of_key("b[1].z"), position(4, 14));
    // Inside a text: behind the quote, or below the bar.
    assert_eq!(first.positions.within("b[1].z", Position { line: 1, column: 1 }), position(4, 18));
    assert_eq!(second.positions.within("c", Position { line: 2, column: 2 }), position(8, 4));
}

#[test]
fn what_stands_for_more_than_its_own_length_is_refused() {
    let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
    let parsed = parse("f", bomb, Foreign::Report);
    assert_eq!((parsed.issues[0].code, parsed.issues[0].position), (IssueCode::Syntax, position(2, 8)));
    let deep = "[".repeat(MAX_DEPTH + 1);
    assert_eq!(parse("f", &deep, Foreign::Report).issues[0].code, IssueCode::TooLong);
    let deep = "a:\n".chars().collect::<String>() + &(1..60).map(|n| " ".repeat(n) + "a:\n").collect::<String>();
    assert_eq!(parse("f", &deep, Foreign::Report).issues[0].code, IssueCode::TooLong);
    let long = " ".repeat(MAX_TEXT + 1);
    assert_eq!(parse("f", &long, Foreign::Report).issues[0].code, IssueCode::TooLong);
    let many = "---\na: 1\n".repeat(1001);
    assert_eq!(parse("f", &many, Foreign::Skip).issues[0].code, IssueCode::TooLong);
}

#[test]
fn documents_of_other_systems_are_passed_over_or_reported() {
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\n---\n---\nresources: [a.yaml]\n---\napiVersion: tress.dev/v1alpha1\nkind: Backfill\n---\n{MOVIES}"
    );
    let skipped = parse("f", &text, Foreign::Skip);
    assert_eq!((skipped.objects.len(), skipped.issues.len()), (3, 0), "{:?}", skipped.issues);
    let reported = parse("f", &text, Foreign::Report);
    assert_eq!(reported.issues.iter().map(|i| i.code).collect::<Vec<_>>(), [IssueCode::UnknownKind; 2]);
    // A mistake in our own group is never passed over.
    let wrong = "apiVersion: tress.dev/v1alpha1\nkind: SequenceFeatures\n";
    assert_eq!(parse("f", wrong, Foreign::Skip).issues.len(), 1);
}

#[test]
fn an_object_read_back_from_a_cluster_is_the_same_object() {
    let mut from_cluster = MOVIES.replace("labels: {team: recs}", "labels: {team: recs}, uid: abc, generation: 3, managedFields: [{a: 1}]");
    from_cluster = from_cluster.replace("  deletionPolicy: Retain", "  deletionPolicy: Retain\nstatus: {conditions: []}");
    let (a, b) = (parse("f", MOVIES, Foreign::Report), parse("f", &from_cluster, Foreign::Report));
    assert_eq!((a.issues.len(), b.issues.len()), (0, 0), "{:?}", b.issues);
    assert_eq!(a.objects.iter().map(|o| &o.item).collect::<Vec<_>>(), b.objects.iter().map(|o| &o.item).collect::<Vec<_>>());
}

#[test]
fn a_broken_document_does_not_hide_those_before_it() {
    let parsed = parse("f", &format!("{MOVIES}---\na: [\n"), Foreign::Report);
    assert_eq!((parsed.objects.len(), parsed.issues.len()), (3, 1));
}

#[test]
fn tests_of_definitions_are_read_with_their_values() {
    let text = "tests:\n  - name: low ratings vanish\n    given: {rating: [{user_id: u1, rating: 0.3, ts: 100}]}\n    read: {feature: recent, entity: u1, asOf: \"1970-01-01T00:03:20Z\", order: OldestFirst}\n    expect: [{item_id: 7}]\n";
    let parsed = parse("f", text, Foreign::Skip);
    assert!(parsed.issues.is_empty(), "{:?}", parsed.issues);
    let test = &parsed.tests[0].item.tests[0];
    assert_eq!(test.given["rating"][0]["rating"], json!(0.3));
    assert_eq!((test.read.entity.clone(), test.expect.len()), (json!("u1"), 1));
    assert_eq!(parsed.tests[0].positions.of("tests[0].expect[0].item_id"), position(5, 24));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_makes_reading_panic(text in "[a-z:\\-\\[\\]{}#&*!|>'\"%@`,?\\n \\t0-9é]{0,80}") {
        let _ = parse("f", &text, Foreign::Report);
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse("f", &String::from_utf8_lossy(&bytes), Foreign::Report);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A definition with something cut out, doubled or put in: read or refused, with a place for every issue.
    #[test]
    fn no_change_of_a_definition_makes_reading_panic(
        at in 0..MOVIES.len(),
        length in 0usize..200,
        put in "[a-z:{}\\[\\]\\-\"'\\n |>&*!]{0,12}",
        double in any::<bool>(),
    ) {
        let from = (0..=at).rev().find(|i| MOVIES.is_char_boundary(*i)).unwrap();
        let to = (from + length).min(MOVIES.len());
        let to = (to..=MOVIES.len()).find(|i| MOVIES.is_char_boundary(*i)).unwrap();
        let kept = if double { &MOVIES[from..to] } else { "" };
        let text = format!("{}{kept}{put}{kept}{}", &MOVIES[..from], &MOVIES[to..]);
        for issue in parse("f", &text, Foreign::Report).issues {
            prop_assert!(issue.position.is_some(), "{issue}");
        }
    }
}
