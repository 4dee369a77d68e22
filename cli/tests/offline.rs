//! The commands that need no server, on real files.

mod tress;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tress::{run, succeed};

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/movielens")
}

/// The example's definitions, to be changed.
fn copy_of_example(to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(example()).expect("the example") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copied");
        }
    }
}

fn replace(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).expect("a file");
    assert!(text.contains(from), "{} has no {from:?}", file.display());
    fs::write(file, text.replacen(from, to, 1)).expect("written");
}

#[test]
fn every_mistake_is_told_with_its_line_and_its_remedy() {
    let dir = folder();
    copy_of_example(&dir.path().join("defs"));
    replace(&dir.path().join("defs/rating.yaml"), "filter: \"rating IS NOT NULL AND ratin", "filter: \"rating IS NOT NULL AND rting");
    replace(&dir.path().join("defs/rating.yaml"), "schemaVersion: 1", "schemaVersion: zero");
    replace(&dir.path().join("defs/favourite.yaml"), "rating >= 5.0", "ratng >= 5.0");
    replace(&dir.path().join("defs/taste.yaml"), "length: 50", "lenght: 50");
    let ended = run(dir.path(), &["lint", "defs"]);
    assert_eq!(ended.code, Some(2), "{}", ended.out);
    insta::assert_snapshot!("lint_mistakes", ended.out);
    let json = run(dir.path(), &["lint", "defs", "-o", "json"]);
    assert_eq!(json.code, Some(2));
    let report: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(report["errors"], report["issues"].as_array().expect("issues").iter().filter(|i| i["severity"] == "error").count());
    assert!(report["issues"].as_array().expect("issues").iter().all(|i| i["position"]["line"].as_u64() > Some(0)), "{}", json.out);
}

#[test]
fn a_plan_tells_the_class_of_each_change() {
    let dir = folder();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    copy_of_example(&old);
    copy_of_example(&new);
    replace(&new.join("rating.yaml"), "rating >= 4.0", "rating >= 3.0");
    replace(&new.join("favourite.yaml"), "id: [item_id]", "id: [item_id, kind]");
    replace(&new.join("movie-sessions.yaml"), "length: 200", "length: 100");
    fs::remove_file(new.join("taste.yaml")).expect("removed");
    fs::remove_file(new.join("tests.yaml")).expect("removed");
    insta::assert_snapshot!("plan_changes", digests_hidden(&succeed(dir.path(), &["plan", "new", "--against", "old"])));
    let before = succeed(dir.path(), &["plan", "old", "--show"]);
    fs::write(dir.path().join("before.json"), before).expect("written");
    let of_file = succeed(dir.path(), &["plan", "new", "--against", "before.json", "-o", "json"]);
    let of_folder = succeed(dir.path(), &["plan", "new", "--against", "old", "-o", "json"]);
    assert_eq!(of_file.replace("before.json", "old"), of_folder);
}

/// Digests change with the format of plans; what is said about them does not.
fn digests_hidden(text: &str) -> String {
    let mut shown = String::new();
    for word in text.split_inclusive([' ', '\n']) {
        let bare = word.trim_end();
        let digest = bare.len() == 12 && bare.bytes().all(|b| b.is_ascii_hexdigit());
        shown.push_str(&if digest { word.replace(bare, "<digest>") } else { word.to_owned() });
    }
    shown
}

#[test]
fn what_init_writes_lints_clean_and_passes_its_tests() {
    let dir = folder();
    fs::write(
        dir.path().join("plays.csv"),
        "listener_id,track,played_at,seconds,device\nl1,t1,1717225200000,12.5,phone\nl1,t2,1717225260000,200,\nl2,t1,1717225290000,3,tv\n",
    )
    .expect("written");
    let said = succeed(dir.path(), &["init", "signal", "--from", "plays.csv", "--entity", "listener_id", "--id", "track", "--dir", "defs"]);
    insta::assert_snapshot!("init_said", said);
    insta::assert_snapshot!("init_signal", fs::read_to_string(dir.path().join("defs/plays.yaml")).expect("the signal"));
    assert_eq!(succeed(dir.path(), &["lint", "defs"]), "2 definitions, 2 tests: no issues\n");
    let tested = succeed(dir.path(), &["test", "defs"]);
    assert!(tested.contains("2 passed, 0 failed"), "{tested}");

    let again = run(dir.path(), &["init", "signal", "--from", "plays.csv", "--dir", "defs"]);
    assert_eq!(again.code, Some(2), "{}", again.err);
    assert!(again.err.contains("is there already"), "{}", again.err);
    succeed(dir.path(), &["init", "feature", "--name", "all plays", "--dir", "defs"]);
    assert_eq!(succeed(dir.path(), &["lint", "defs"]), "3 definitions, 2 tests: no issues\n");
}

#[test]
fn a_test_that_does_not_hold_is_shown_with_what_was_found() {
    let dir = folder();
    succeed(dir.path(), &["init", "signal", "--dir", "defs"]);
    replace(&dir.path().join("defs/events.tests.yaml"), "- {item_id: 7", "- {item_id: 8");
    let ended = run(dir.path(), &["test", "defs"]);
    assert_eq!(ended.code, Some(1), "{}{}", ended.out, ended.err);
    let expected =
        "FAILED defs/events.tests.yaml:3: an event of the sample is in the sequence of its entity\n  row 1: item_id is 7, expected 8\n";
    assert!(ended.out.starts_with(expected), "{}", ended.out);
    assert!(ended.out.contains("1 passed, 1 failed"), "{}", ended.out);
}

#[test]
fn the_tests_of_the_example_pass() {
    let tested = succeed(&example(), &["test", "."]);
    assert!(tested.contains("6 passed, 0 failed"), "{tested}");
}

#[test]
fn wrong_usage_ends_with_two_and_says_what_to_do() {
    let dir = folder();
    for (arguments, said) in [
        (&["lint", "nowhere"][..], "nowhere: there is no such file or folder"),
        (&["get", "f", "e"], "nothing was run in . yet: start `tress dev .`"),
        (&["dev", "."], "holds no definitions"),
        (&["dev", "--input", "topic"], "topic=FILE"),
        (&["init", "feature"], "holds no signal to read"),
        (&["get", "f", "e", "--as-of", "yesterday"], "2024-05-01T12:00:00Z"),
    ] {
        let ended = run(dir.path(), arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}{}", ended.out, ended.err);
        assert!(ended.err.contains(said), "{arguments:?}: {}", ended.err);
    }
}

#[test]
fn completions_know_the_commands() {
    let dir = folder();
    for shell in ["bash", "zsh", "fish"] {
        let text = succeed(dir.path(), &["completion", shell]);
        for command in ["init", "lint", "plan", "test", "dev", "get", "status", "backfill", "dataset", "deadletters", "demo"] {
            assert!(text.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn a_parquet_sample_is_understood_too() {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray};
    let dir = folder();
    let tags = ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>([Some(vec![Some(1), Some(2)]), Some(vec![])]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("user_id", Arc::new(StringArray::from(vec!["a", "b"]))),
        ("item_id", Arc::new(Int64Array::from(vec![1, 2]))),
        ("tags", Arc::new(tags)),
        ("note", Arc::new(StringArray::from(vec![None, Some("x")]))),
        ("event_time", Arc::new(TimestampMicrosecondArray::from(vec![1_717_225_200_000_000, 1_717_225_200_500_000]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let file = fs::File::create(dir.path().join("clicks.parquet")).expect("a file");
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
    succeed(dir.path(), &["init", "signal", "--from", "clicks.parquet", "--dir", "defs"]);
    let signal = fs::read_to_string(dir.path().join("defs/clicks.yaml")).expect("the signal");
    for line in [
        "time: {field: event_time_value, unit: Rfc3339}",
        "{name: tags, type: int64, list: true}",
        "{name: note, type: string, nullable: true}",
    ] {
        assert!(signal.contains(line), "{line}\n{signal}");
    }
    assert_eq!(succeed(dir.path(), &["lint", "defs"]), "2 definitions, 2 tests: no issues\n");
    let tested = succeed(dir.path(), &["test", "defs"]);
    assert!(tested.contains("2 passed, 0 failed"), "{tested}");
}
