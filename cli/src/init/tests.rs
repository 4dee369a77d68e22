use std::io::Write;

use super::guess::{Unit, Wishes, roles};
use super::infer::{Scalar, Shape, infer};
use super::text::Draft;
use super::{name, sample};

fn sample(ending: &str, text: &str) -> sample::Sample {
    let mut file = tempfile::Builder::new().suffix(ending).tempfile().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("written");
    sample::read(file.path()).expect("a sample")
}

#[test]
fn a_csv_column_is_a_number_only_if_every_cell_is_one() {
    let sample = sample(".csv", "user_id,zip,score,ok,note,ts\n1,00123,1.5,true,,1700000000\n2,45,2,false,x,1700000001\n");
    let found = infer(&sample);
    let shapes: Vec<_> = found.fields.iter().map(|f| (f.name.as_str(), f.shape, f.nullable)).collect();
    assert_eq!(
        shapes,
        [
            ("user_id", Shape::One(Scalar::Int64), false),
            ("zip", Shape::One(Scalar::String), false),
            ("score", Shape::One(Scalar::Float64), false),
            ("ok", Shape::One(Scalar::Bool), false),
            ("note", Shape::One(Scalar::String), true),
            ("ts", Shape::One(Scalar::Int64), false),
        ]
    );
}

#[test]
fn a_tab_separated_file_without_an_ending_is_understood() {
    let sample = sample("", "user_id:token\titem_id:token\n1\t2\n");
    assert_eq!(sample.kind, sample::Kind::Csv);
    let names: Vec<_> = infer(&sample).fields.into_iter().map(|f| (f.name, f.path)).collect();
    assert_eq!(
        names,
        [("user_id_token".to_owned(), vec!["user_id:token".to_owned()]), ("item_id_token".to_owned(), vec!["item_id:token".to_owned()])]
    );
}

#[test]
fn nested_objects_become_paths_and_what_has_no_type_is_told() {
    let sample = sample(
        ".jsonl",
        "{\"u\": \"a\", \"context\": {\"surface\": \"home\", \"count\": 1}, \"mixed\": 1, \"tags\": [\"x\"]}\n\n{\"u\": \"b\", \"mixed\": \"1\", \"tags\": []}\n",
    );
    let found = infer(&sample);
    let paths: Vec<_> = found.fields.iter().map(|f| (f.name.as_str(), f.path.join("."), f.nullable)).collect();
    assert_eq!(
        paths,
        [
            ("u", "u".to_owned(), false),
            ("surface", "context.surface".to_owned(), true),
            ("count_value", "context.count".to_owned(), true),
            ("tags", "tags".to_owned(), false),
        ]
    );
    assert_eq!(found.left_out, ["mixed: its values are of different types"]);
}

#[test]
fn the_unit_of_a_time_is_told_by_its_size() {
    for (value, unit) in [
        ("1700000000", Unit::Seconds),
        ("1700000000000", Unit::Millis),
        ("1700000000000000", Unit::Micros),
        ("1700000000000000000", Unit::Nanos),
        ("\"2024-05-01T12:00:00+02:00\"", Unit::Rfc3339),
    ] {
        let sample = sample(".jsonl", &format!("{{\"user\": 1, \"ts\": {value}}}\n"));
        let found = infer(&sample);
        let roles = roles(&found.fields, &sample.records, &Wishes::default()).expect("roles");
        assert_eq!((roles.time.as_str(), roles.unit), ("ts", unit));
    }
}

#[test]
fn the_identity_is_the_field_that_tells_the_records_apart() {
    let sample = sample(".csv", "user_id,order_id,item_id,ts\n1,7,5,1700000000\n1,8,5,1700000000\n1,9,6,1700000000\n");
    let found = infer(&sample);
    let roles = roles(&found.fields, &sample.records, &Wishes::default()).expect("roles");
    assert_eq!((roles.id, roles.repeated), (vec!["order_id".to_owned()], 0));
}

#[test]
fn without_an_id_the_identity_is_what_the_events_are_about() {
    for (thing, ids) in [("item", vec!["item"]), ("Track", vec!["Track"]), ("movie", vec!["movie"]), ("seconds", vec![])] {
        let sample = sample(".csv", &format!("user,mood,{thing},ts\n1,9,5,1700000000\n1,9,6,1700000000\n2,9,5,1700000000\n"));
        let found = infer(&sample);
        let roles = roles(&found.fields, &sample.records, &Wishes::default()).expect("roles");
        assert_eq!((roles.entity.as_str(), &roles.id), ("user", &ids.into_iter().map(str::to_owned).collect::<Vec<_>>()), "{thing}");
    }
}

#[test]
fn an_id_that_does_not_tell_the_records_apart_is_joined_by_what_they_are_about() {
    let sample = sample(".csv", "user_id,order_id,product,ts\n1,7,5,1700000000\n1,7,6,1700000000\n1,8,5,1700000000\n");
    let found = infer(&sample);
    let roles = roles(&found.fields, &sample.records, &Wishes::default()).expect("roles");
    assert_eq!((roles.id, roles.repeated), (vec!["order_id".to_owned(), "product".to_owned()], 0));
}

#[test]
fn what_is_guessed_is_called_a_guess_where_it_is_written_and_what_was_said_is_not() {
    let sample = sample(".csv", "user,track,ts\n1,5,1700000000\n1,6,1700000000\n");
    let found = infer(&sample);
    let text = |wishes: &Wishes| {
        let roles = roles(&found.fields, &sample.records, wishes).expect("roles");
        let (name, topic, origin) = ("plays".to_owned(), "plays".to_owned(), "plays.csv".to_owned());
        Draft { name, topic, origin, fields: &found.fields, roles: &roles }.signal()
    };
    let guessed = text(&Wishes::default());
    for line in ["entity: {field: user}", "time: {field: ts, unit: Seconds}", "id: [track]"] {
        let (before, _) = guessed.split_once(line).unwrap_or_else(|| panic!("{line} is missing in\n{guessed}"));
        let comment = before.lines().rev().nth(usize::from(before.ends_with(' '))).unwrap_or_default().trim();
        assert!(comment.starts_with("# A guess"), "{line} is written below {comment:?}");
    }
    let said = text(&Wishes { entity: Some("user".into()), time: Some("ts".into()), id: vec!["track".into()] });
    assert!(!said.contains("guess"), "{said}");
    assert_eq!(said, guessed.lines().filter(|line| !line.contains("# A guess")).map(|line| format!("{line}\n")).collect::<String>());
}

#[test]
fn a_wish_that_names_no_field_says_what_there_is() {
    let sample = sample(".csv", "user_id,ts\n1,1700000000\n");
    let found = infer(&sample);
    let wishes = Wishes { entity: Some("customer".into()), ..Wishes::default() };
    let error = roles(&found.fields, &sample.records, &wishes).expect_err("no such field");
    assert_eq!(error.to_string(), "--entity: the sample has no field \"customer\"; it has user_id, ts");
}

#[test]
fn names_of_files_become_names_of_definitions() {
    for (file, expected) in [("My Events.v2", "my-events-v2"), ("2024", "e-2024"), ("___", "events"), ("Größe", "gr-e")] {
        assert_eq!(name::definition(file), expected);
    }
}
