//! `tress dataset --all-entities`: raw Parquet files in, the sequence of every entity out, with nothing running.

mod tress;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;
use tress::{json, run, succeed};

const DEFINITIONS: &str = r#"
apiVersion: tress.dev/v1alpha1
kind: SignalDefinition
metadata: {name: view}
spec:
  definition:
    entity: {field: user}
    event:
      time: {field: ts, unit: Seconds}
      availableAt: {eventTime: {delay: 1s}}
      id: [item]
      fields:
        - {name: user, type: string}
        - {name: item, type: int64}
        - {name: ts, type: int64}
    source:
      stream: {connection: main, topic: views, format: {json: {}}}
      batch: {connection: lake, path: "raw/dt={date}", partitionedBy: EventTime, rename: {user: who}, completeAfter: 1h}
    enrichments:
      - name: catalogue
        lookup: {table: {connection: lake, table: items.parquet, key: {item: item}}}
        columns: [{name: title, type: string}]
---
apiVersion: tress.dev/v1alpha1
kind: SequenceFeature
metadata: {name: recent}
spec:
  definition:
    signals: [{name: view, columns: [item, title]}]
    length: 2
"#;

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let mut writer = ArrowWriter::try_new(fs::File::create(path).expect("a file"), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

fn raw(path: &Path, events: &[(&str, i64, i64)]) {
    write(
        path,
        vec![
            ("who", Arc::new(StringArray::from_iter_values(events.iter().map(|e| e.0))) as ArrayRef),
            ("item", Arc::new(Int64Array::from_iter_values(events.iter().map(|e| e.1)))),
            ("ts", Arc::new(Int64Array::from_iter_values(events.iter().map(|e| e.2)))),
        ],
    );
}

fn folder() -> TempDir {
    let dir = TempDir::new().expect("a temporary folder");
    let defs = dir.path().join("defs");
    raw(&defs.join("raw/dt=2024-05-01/a.parquet"), &[("ada", 1, 100), ("bob", 9, 100), ("ada", 3, 300)]);
    // Delivered again, and one that is older than what came before.
    raw(&defs.join("raw/dt=2024-05-02/b.parquet"), &[("ada", 3, 300), ("ada", 2, 200), ("eve", 5, 900)]);
    let items = vec![
        ("item", Arc::new(Int64Array::from(vec![2, 3])) as ArrayRef),
        ("title", Arc::new(StringArray::from(vec!["two", "three"])) as ArrayRef),
    ];
    write(&defs.join("items.parquet"), items);
    fs::write(defs.join("defs.yaml"), DEFINITIONS).expect("written");
    dir
}

/// Entity and (item, title) of its sequence, of all files by name.
fn sequences(folder: &Path) -> Vec<(String, Vec<(i64, Option<String>)>)> {
    let mut files: Vec<_> = fs::read_dir(folder).expect("the result").map(|e| e.expect("an entry").path()).collect();
    files.sort();
    let mut found = Vec::new();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "parquet")) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(file).expect("a file")).expect("Parquet");
        for batch in reader.build().expect("a reader") {
            let batch = batch.expect("rows");
            let list = |name: &str, row| batch.column_by_name(name).expect("a column").as_list::<i32>().value(row);
            for row in 0..batch.num_rows() {
                let titles = list("title", row).as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect::<Vec<_>>();
                let items = list("item", row).as_primitive::<Int64Type>().values().to_vec();
                found.push((batch.column(0).as_string::<i32>().value(row).to_owned(), items.into_iter().zip(titles).collect()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_entity_of_the_raw_files_has_its_newest_events_enriched() {
    let dir = folder();
    let asked = ["dataset", "--feature", "recent", "--all-entities", "--as-of", "1970-01-01T00:10:00Z", "--dir", "defs"];
    let said = succeed(dir.path(), &[&asked[..], &["--out", "all"]].concat());
    assert!(said.starts_with("2 entities with 3 events in ") && said.ends_with("/all\n"), "{said}");
    let title = |t: &str| Some(t.to_owned());
    let expected = vec![("ada".to_owned(), vec![(2, title("two")), (3, title("three"))]), ("bob".to_owned(), vec![(9, None)])];
    assert_eq!(sequences(&dir.path().join("all")), expected);
    assert_eq!(fs::read_dir(dir.path()).expect("the folder").count(), 2, "nothing but definitions and the result is left");

    let again = run(dir.path(), &[&asked[..], &["--out", "all"]].concat());
    assert_eq!(again.code, Some(2), "{}", again.err);
    assert!(again.err.contains("is not empty; give another folder"), "{}", again.err);

    // Files that are named instead: one of them, and now.
    let one = ["--out", "one", "--raw", "view=defs/raw/dt=2024-05-02/b.parquet", "--memory", "0", "-o", "json"];
    let told = json(dir.path(), &[&["dataset", "--feature", "default/recent", "--all-entities", "--dir", "defs"][..], &one].concat());
    assert_eq!((&told["entities"], &told["events"]), (&2.into(), &3.into()));
    assert_eq!(told["manifest"]["signals"][0]["counts"]["read"], 3);
    let expected = vec![("ada".to_owned(), vec![(2, title("two")), (3, title("three"))]), ("eve".to_owned(), vec![(5, None)])];
    assert_eq!(sequences(&dir.path().join("one")), expected);
}

#[test]
fn what_cannot_be_done_is_said_with_its_remedy_and_leaves_nothing() {
    let dir = folder();
    raw(&dir.path().join("other/a.parquet"), &[]);
    write(&dir.path().join("wrong/a.parquet"), vec![("who", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
    let archived =
        DEFINITIONS.lines().map(|l| if l.contains("batch: {") { "      archive: true" } else { l }).collect::<Vec<_>>().join("\n");
    fs::create_dir(dir.path().join("archived")).expect("a folder");
    fs::write(dir.path().join("archived/defs.yaml"), archived).expect("written");
    let base = ["dataset", "--feature", "recent", "--out", "out"];
    for (more, said) in [
        (&["--dir", "defs"][..], "--labels <FILE>|--all-entities"),
        (&["--dir", "defs", "--all-entities", "--labels", "l.csv"], "cannot be used with"),
        (&["--dir", "defs", "--labels", "l.csv"], "--entity-column"),
        (&["--dir", "defs", "--all-entities", "--raw", "click=other"], "it reads default/view"),
        (&["--dir", "defs", "--all-entities", "--raw", "view=nowhere"], "read the raw events of default/view from"),
        (&["--dir", "defs", "--all-entities", "--raw", "view=other"], "there is no raw event"),
        (&["--dir", "defs", "--all-entities", "--raw", "view=wrong"], "column who: it is Int64, which is not the string that field user"),
        (&["--dir", "defs", "--all-entities", "--raw", "view=defs/defs.yaml"], "raw events are read from Parquet files"),
        (&["--dir", "archived", "--all-entities"], "nothing was run in archived yet"),
    ] {
        let ended = run(dir.path(), &[&base[..], more].concat());
        assert!(ended.code != Some(0) && ended.err.contains(said), "{more:?}: {:?} {}{}", ended.code, ended.out, ended.err);
        let left: Vec<_> = fs::read_dir(dir.path()).expect("the folder").map(|e| e.expect("an entry").file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().contains("out")), "{more:?}: {left:?}");
    }
}
