//! From what users write to rows, with a real table: YAML → plan → pipeline.

use arrow::array::{Array, ArrayRef, Int64Array, ListArray, StringArray, TimestampMillisecondArray};
use arrow::datatypes::Float32Type;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use tress_configs::compile::{Pins, compile};
use tress_configs::source::{Foreign, parse};

use super::*;
use crate::lookup::TableLookup;

const DEFINITION: &str = r#"
apiVersion: tress.dev/v1alpha1
kind: SignalDefinition
metadata: {name: rating, namespace: movies}
spec:
  definition:
    entity: {field: user_id}
    event:
      time: {field: ts, unit: Rfc3339}
      availableAt: {recordTimestamp: {}}
      id: [item_id]
      version: {field: updated_at}
      delete: "op = 'd'"
      fields:
        - {name: user_id, type: string}
        - {name: item_id, type: int64}
        - {name: rating, type: float32, nullable: true}
        - {name: ts, type: string}
        - {name: kind, type: string}
        - {name: op, type: string, nullable: true}
        - {name: updated_at, type: int64}
        - {name: surface, type: string, path: context.surface, nullable: true}
    source:
      where: "kind = 'rating'"
      stream: {connection: main, topic: ratings, format: {json: {}}}
      archive: true
    executor:
      declarative:
        filter: "rating IS NOT NULL AND rating >= 0.5"
        derive:
          - {name: liked, expr: "rating >= 4.0"}
          - {name: place, expr: "upper(coalesce(surface, 'none'))"}
          - {name: both, expr: "concat(place, '/', CASE WHEN liked THEN 'y' ELSE 'n' END)"}
    enrichments:
      - name: movie
        lookup:
          table: {connection: lake, table: movies, key: {item_id: movie_id}, validFrom: loaded_at}
        onMissing: Default
        columns:
          - {name: title, type: string, default: "unknown"}
          - {name: embedding, type: float16, dim: 2}
    columns: [item_id, rating, liked, both, title, embedding]
"#;

#[tokio::test]
async fn a_definition_as_it_is_written_makes_enriched_rows() {
    let parsed = parse("rating.yaml", DEFINITION, Foreign::Report);
    assert!(parsed.issues.is_empty(), "{:?}", parsed.issues);
    let objects: Vec<_> = parsed.objects.into_iter().map(|o| o.item).collect();
    let compiled = compile(&objects, &Pins::default()).into_values().next().unwrap().unwrap();
    let plan = compiled.plan.as_signal().unwrap().clone();

    let store = InMemory::new();
    let embeddings =
        ListArray::from_iter_primitive::<Float32Type, _, _>([Some(vec![Some(1.0), Some(2.0)]), Some(vec![Some(3.0), Some(4.0)])]);
    let movies = RecordBatch::try_from_iter([
        ("movie_id", Arc::new(Int64Array::from(vec![7, 7])) as ArrayRef),
        ("loaded_at", Arc::new(TimestampMillisecondArray::from(vec![0, 1_001_000]))),
        ("title", Arc::new(StringArray::from(vec!["early", "late"]))),
        ("embedding", Arc::new(embeddings)),
    ])
    .unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, movies.schema(), None).unwrap();
    writer.write(&movies).unwrap();
    writer.close().unwrap();
    store.put(&Path::from("movies/part.parquet"), bytes.into()).await.unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(store);
    let lookup = TableLookup::load(store, &plan.enrichments[0], None).await.unwrap();

    let record = |item: i64, rest: &str| {
        format!(r#"{{"kind":"rating","user_id":"u1","item_id":{item},"ts":"1970-01-01T00:05:00+00:01","updated_at":1{rest}}}"#)
    };
    let payloads = [
        record(7, r#","rating":4.5,"context":{"surface":"home"}"#),
        record(7, r#","rating":3"#),
        record(8, r#","rating":5"#),
        record(7, ""),
        record(7, r#","rating":5,"op":"d""#),
    ];
    let raw = Decoder::new(&plan).unwrap().decode_records(0, &records(&payloads)).await.unwrap();
    let done = Pipeline::new(Arc::new(plan), vec![Arc::new(lookup)]).unwrap().process(&raw, 0).await.unwrap();
    assert_eq!((done.dead.len(), done.yielded_nothing), (0, 2));
    let rows = Rows::new(done.rows).unwrap();
    let texts = |name: &str| -> Vec<Option<String>> {
        rows.batch().column_by_name(name).unwrap().as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(texts("both"), [some("HOME/y"), some("NONE/n"), some("NONE/y"), None, None]);
    assert_eq!(texts("title"), [some("early"), some("late"), some("unknown"), None, None]);
    assert_eq!(rows.found(), [1, 1, 0, 0, 0]);
    assert_eq!(rows.event_time(), [240_000_000; 5]);
    assert_eq!(rows.deleted().iter().flatten().collect::<Vec<_>>(), [false, false, false, true, true]);
    let embedding = rows.batch().column_by_name("embedding").unwrap().as_fixed_size_binary();
    let packed = |values: [f32; 2]| values.map(|v| half::f16::from_f32(v).to_le_bytes()).concat();
    assert_eq!((embedding.value(0), embedding.value(1)), (&packed([1.0, 2.0])[..], &packed([3.0, 4.0])[..]));
    assert_eq!(embedding.null_count(), 3);
}
