use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, Int32Array, Int64Array, LargeStringArray, ListArray, RecordBatch,
    StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use tress_configs::definition::OnMissing;
use tress_configs::plan::EnrichmentPlan;

use super::*;
use crate::error::ErrorKind;
use crate::pipeline::fixture::enriched;

fn plan() -> EnrichmentPlan {
    enriched(OnMissing::Null).enrichments.remove(0)
}

/// (movie_id, loaded_at in milliseconds, title); every other column follows from the title.
type Movie = (Option<i32>, Option<i64>, &'static str);

fn movies(rows: &[Movie]) -> RecordBatch {
    let genres = rows.iter().map(|(_, _, title)| title.chars().map(|c| Some(c.to_string())).collect::<Vec<_>>());
    let mut lists = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
    for row in genres {
        row.iter().for_each(|g| lists.values().append_option(g.as_ref()));
        lists.append(true);
    }
    let genres: ListArray = lists.finish();
    let numbers = Float32Array::from_iter_values(rows.iter().flat_map(|(_, _, t)| [t.len() as f32, 0.1, -0.0]));
    let item = Arc::new(Field::new("element", DataType::Float32, false));
    let embedding = FixedSizeListArray::try_new(item, 3, Arc::new(numbers), None).unwrap();
    RecordBatch::try_from_iter([
        ("movie_id", Arc::new(rows.iter().map(|r| r.0).collect::<Int32Array>()) as ArrayRef),
        ("unused", Arc::new(StringArray::from_iter_values(rows.iter().map(|_| "x")))),
        ("loaded_at", Arc::new(rows.iter().map(|r| r.1).collect::<TimestampMillisecondArray>())),
        ("title", Arc::new(LargeStringArray::from_iter_values(rows.iter().map(|r| r.2)))),
        ("genres", Arc::new(genres)),
        ("embedding", Arc::new(embedding)),
    ])
    .unwrap()
}

async fn put(store: &InMemory, path: &str, batch: &RecordBatch) {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    store.put(&Path::from(path), bytes.into()).await.unwrap();
}

async fn titles(lookup: &dyn Lookup, keys: &[(Option<i64>, i64)]) -> Vec<Option<String>> {
    let batch = RecordBatch::try_from_iter([("item_id", Arc::new(keys.iter().map(|k| k.0).collect::<Int64Array>()) as ArrayRef)]).unwrap();
    let found = lookup.lookup(&batch, &keys.iter().map(|k| Some(k.1)).collect()).await.unwrap();
    let titles: Vec<_> = found.columns[0].as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect();
    assert_eq!(found.found.iter().map(Option::unwrap).collect::<Vec<_>>(), titles.iter().map(Option::is_some).collect::<Vec<_>>());
    titles
}

#[tokio::test]
async fn the_newest_row_known_at_the_time_answers() {
    let store = InMemory::new();
    put(
        &store,
        "movies.parquet",
        &movies(&[(Some(1), Some(20), "b"), (Some(1), Some(10), "a"), (Some(2), None, "n"), (None, Some(1), "x")]),
    )
    .await;
    let mut plan = plan();
    plan.lookup.table = "movies.parquet".into();
    let table = TableLookup::load(Arc::new(store), &plan, None).await.unwrap();
    let asked =
        [(Some(1), 9_999), (Some(1), 10_000), (Some(1), 19_999), (Some(1), 20_000), (Some(2), i64::MAX), (None, 50_000), (Some(3), 0)];
    let wanted = [None, Some("a"), Some("a"), Some("b"), None, None, None];
    assert_eq!(titles(&table, &asked).await, wanted.map(|t| t.map(str::to_owned)));
}

#[tokio::test]
async fn a_single_file_of_a_local_folder_is_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let tables = crate::lake::Lake::local(folder.path()).unwrap();
    let memory = InMemory::new();
    put(&memory, "movies.parquet", &movies(&[(Some(1), Some(20), "b")])).await;
    let bytes = memory.get(&Path::from("movies.parquet")).await.unwrap().bytes().await.unwrap();
    std::fs::write(folder.path().join("movies.parquet"), bytes).unwrap();
    let mut plan = plan();
    plan.lookup.table = "movies.parquet".into();
    let table = TableLookup::load(Arc::clone(tables.store()), &plan, None).await.unwrap();
    assert_eq!(titles(&table, &[(Some(1), 20_000)]).await, [Some("b".to_owned())]);
}

#[tokio::test]
async fn lists_and_vectors_come_packed_and_rounded() {
    let store = InMemory::new();
    put(&store, "movies/a.parquet", &movies(&[(Some(1), Some(0), "ab")])).await;
    let table = TableLookup::load(Arc::new(store), &plan(), None).await.unwrap();
    let keys = RecordBatch::try_from_iter([("item_id", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]).unwrap();
    let found = table.lookup(&keys, &vec![0, 0].into()).await.unwrap();
    assert_eq!(found.columns[1].as_list::<i32>().value(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["a", "b"]);
    let packed: Vec<u8> = [2.0, 0.1, 0.0].iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect();
    assert_eq!(found.columns[2].as_fixed_size_binary().value(0), packed);
    assert!(found.columns.iter().all(|c| c.is_null(1)));
}

#[tokio::test]
async fn what_a_table_lacks_is_named() {
    let store = Arc::new(InMemory::new());
    let refusal = async |plan: &EnrichmentPlan, version| TableLookup::load(store.clone(), plan, version).await.unwrap_err();
    let error = refusal(&plan(), None).await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), "table movies: there is no Parquet file, no folder of them and no Delta table; check the path");

    put(&store, "movies/a.parquet", &movies(&[(Some(1), Some(0), "ab")])).await;
    let mut missing = plan();
    missing.columns[0].name = "name".into();
    assert_eq!(
        refusal(&missing, None).await.to_string(),
        "read table movies of enrichment movie: file movies/a.parquet: column name: the table has no such column; add it, or name another in the enrichment"
    );
    let mut other = plan();
    other.columns[0].column_type = tress_configs::column::ColumnType::scalar(tress_configs::column::Scalar::Int64);
    assert!(refusal(&other, None).await.to_string().ends_with("column title: it is LargeUtf8, which is not a int64"));
    let mut longer = plan();
    longer.columns[2].column_type = tress_configs::column::ColumnType::vector(tress_configs::column::Scalar::Float16, 4);
    assert!(refusal(&longer, None).await.to_string().contains("column embedding: 1 of 1 values are not vector<float16, 4>"));
    assert_eq!(refusal(&plan(), Some(3)).await.kind(), ErrorKind::Invalid);
    store.put(&Path::from("movies/b.parquet"), "no parquet".into()).await.unwrap();
    assert_eq!(refusal(&plan(), None).await.kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_refresh_swaps_to_what_the_table_holds_now() {
    let store = Arc::new(InMemory::new());
    put(&store, "movies/a.parquet", &movies(&[(Some(1), Some(0), "old")])).await;
    let lookup = ReloadingLookup::load(store.clone(), plan()).await.unwrap();
    let old = lookup.identity();
    assert_eq!(lookup.refresh().await.unwrap(), Refreshed::Unchanged);
    put(&store, "movies/b.parquet", &movies(&[(Some(1), Some(1), "new")])).await;
    assert_eq!(titles(&lookup, &[(Some(1), 5_000)]).await, [Some("old".to_owned())]);
    assert_eq!(lookup.refresh().await.unwrap(), Refreshed::Swapped { from: old, to: lookup.identity() });
    assert_eq!(titles(&lookup, &[(Some(1), 5_000)]).await, [Some("new".to_owned())]);
    let newer = lookup.identity();
    store.delete(&Path::from("movies/b.parquet")).await.unwrap();
    put(&store, "movies/b.parquet", &RecordBatch::new_empty(Arc::new(Schema::new(vec![Field::new("x", DataType::Int32, true)])))).await;
    assert!(lookup.refresh().await.is_err());
    assert_eq!(titles(&lookup, &[(Some(1), 5_000)]).await, [Some("new".to_owned())], "what cannot be loaded changes nothing");
    assert_eq!(lookup.identity(), newer);
}

#[tokio::test]
async fn equal_files_have_one_identity_whenever_they_were_written() {
    let identity = async |rows: &[Movie]| {
        let store = InMemory::new();
        put(&store, "movies/a.parquet", &movies(rows)).await;
        TableLookup::load(Arc::new(store), &plan(), None).await.unwrap().identity()
    };
    assert_eq!(identity(&[(Some(1), Some(0), "a")]).await, identity(&[(Some(1), Some(0), "a")]).await);
    assert_ne!(identity(&[(Some(1), Some(0), "a")]).await, identity(&[(Some(1), Some(0), "b")]).await);
}

#[tokio::test]
async fn a_delta_table_is_read_at_a_version() {
    use deltalake::kernel::transaction::CommitBuilder;
    use deltalake::kernel::{Action, Add, DataType as DeltaType, PrimitiveType, StructField};
    use deltalake::protocol::{DeltaOperation, SaveMode};

    let memory = Arc::new(InMemory::new());
    let lake = crate::lake::Lake::new(memory.clone(), url::Url::parse("memory:///").unwrap()).unwrap();
    let log = lake.delta_log(&Path::from("lake/movies")).unwrap();
    // The title is the partition: it stands in the log, not in the files.
    let string = || DeltaType::Primitive(PrimitiveType::String);
    let float = DeltaType::from(deltalake::kernel::ArrayType::new(DeltaType::Primitive(PrimitiveType::Float), false));
    let columns = [
        StructField::new("movie_id", DeltaType::Primitive(PrimitiveType::Integer), true),
        StructField::new("loaded_at", DeltaType::Primitive(PrimitiveType::TimestampNtz), true),
        StructField::new("title", string(), true),
        StructField::new("genres", deltalake::kernel::ArrayType::new(string(), true), true),
        StructField::new("embedding", float, true),
    ];
    let mut table = deltalake::operations::create::CreateBuilder::new()
        .with_log_store(log.clone())
        .with_columns(columns)
        .with_partition_columns(["title"])
        .await
        .unwrap();
    for (title, loaded_at) in [("old", 1), ("new", 2)] {
        let batch = movies(&[(Some(1), Some(loaded_at), title)]);
        let without_title: Vec<_> = (0..batch.num_columns()).filter(|i| batch.schema().field(*i).name() != "title").collect();
        let path = format!("title={title}/part.parquet");
        put(&memory, &format!("lake/movies/{path}"), &batch.project(&without_title).unwrap()).await;
        let add = Add {
            path,
            size: 1,
            data_change: true,
            partition_values: [("title".to_owned(), Some(title.to_owned()))].into(),
            ..Add::default()
        };
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
        let state = table.snapshot().unwrap().snapshot().clone();
        CommitBuilder::default().with_actions(vec![Action::Add(add)]).build(Some(&state), log.clone(), operation).await.unwrap();
        table.load().await.unwrap();
    }
    let mut plan = plan();
    plan.lookup.table = "lake/movies/".into();
    let store: Arc<dyn ObjectStore> = memory;
    let asked = [(Some(1), 5_000)];
    let newest = TableLookup::load(store.clone(), &plan, None).await.unwrap();
    assert_eq!(titles(&newest, &asked).await, [Some("new".to_owned())]);
    let pinned = TableLookup::load(store.clone(), &plan, Some(1)).await.unwrap();
    assert_eq!(titles(&pinned, &asked).await, [Some("old".to_owned())]);
    let id = table.snapshot().unwrap().metadata().id().to_owned();
    assert_eq!((newest.identity(), pinned.identity()), (format!("delta:{id}@2"), format!("delta:{id}@1")));
    assert_eq!(TableLookup::load(store, &plan, Some(9)).await.unwrap_err().kind(), ErrorKind::NotFound);
}

proptest! {
    /// Against a scan of all rows, for tables in any order and in any files, and keys in any batches.
    #[test]
    fn a_lookup_answers_as_a_scan_would(
        rows in prop::collection::vec((prop::option::weighted(0.9, 0..6i32), prop::option::weighted(0.9, 0..5i64), prop::sample::select(vec!["a", "bb", "ccc", "d"])), 0..40),
        asked in prop::collection::vec((prop::option::weighted(0.9, 0..7i64), 0..6_000i64), 1..30),
        cut in 0..40usize,
        split in 0..30usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answers = |rows: &[Movie], cut: usize, split: usize| runtime.block_on(async {
            let store = InMemory::new();
            let cut = cut.min(rows.len());
            put(&store, "movies/a.parquet", &movies(&rows[..cut])).await;
            put(&store, "movies/b.parquet", &movies(&rows[cut..])).await;
            let table = TableLookup::load(Arc::new(store), &plan(), None).await.unwrap();
            let split = split.min(asked.len());
            let mut found = titles(&table, &asked[..split]).await;
            found.extend(titles(&table, &asked[split..]).await);
            found
        });
        let found = answers(&rows, cut, split);
        for ((key, as_of), title) in asked.iter().zip(&found) {
            let known: Vec<_> = rows.iter().filter(|(id, from, _)| {
                id.is_some() && id.map(i64::from) == *key && from.is_some_and(|from| from * 1000 <= *as_of)
            }).collect();
            let newest = known.iter().filter_map(|r| r.1).max();
            // Which of two rows of one moment wins is left to their hashes.
            let candidates: Vec<_> = known.iter().filter(|r| r.1 == newest).map(|r| Some(r.2.to_owned())).collect();
            let right = if candidates.is_empty() { title.is_none() } else { candidates.contains(title) };
            prop_assert!(right, "found another title");
        }
        let reversed: Vec<_> = rows.iter().rev().copied().collect();
        prop_assert_eq!(answers(&reversed, 0, 0), found, "the order of a table's rows does not matter");
    }
}
