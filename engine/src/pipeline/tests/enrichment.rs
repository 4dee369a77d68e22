use arrow::array::{Array, ArrayRef, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use async_trait::async_trait;
use tress_configs::definition::OnMissing;

use super::*;
use crate::lookup::Found;
use crate::pipeline::fixture::enriched;

/// Knows the movies with an even id, from second 1001 on.
#[derive(Debug)]
struct Even;

#[async_trait]
impl Lookup for Even {
    async fn lookup(&self, keys: &RecordBatch, as_of: &TimestampMicrosecondArray) -> Result<Found> {
        let keys = keys.column(0).as_primitive::<Int64Type>();
        let found: Vec<bool> = keys.iter().zip(as_of.values()).map(|(k, t)| k.is_some_and(|k| k % 2 == 0) && *t >= 1_001_000_000).collect();
        let titles: StringArray = keys.iter().zip(&found).map(|(k, f)| f.then(|| format!("movie {}", k.unwrap()))).collect();
        let none =
            |i: usize| arrow::array::new_null_array(&enriched(OnMissing::Null).enrichments[0].columns[i].column_type.arrow(), keys.len());
        Ok(Found { columns: vec![std::sync::Arc::new(titles) as ArrayRef, none(1), none(2)], found: found.into() })
    }

    fn identity(&self) -> String {
        "even".into()
    }
}

async fn titles(on_missing: OnMissing) -> (Vec<Option<String>>, Vec<i32>, RecordBatch) {
    let plan = enriched(on_missing);
    let payloads = [rating(2, 4.0), rating(2, 4.0), rating(3, 4.0), rating(4, 0.1)];
    let raw = Decoder::new(&plan).unwrap().decode_records(0, &records(&payloads)).await.unwrap();
    let done = Pipeline::new(Arc::new(plan), vec![Arc::new(Even)]).unwrap().process(&raw, 0).await.unwrap();
    let title = done.rows.column_by_name("title").unwrap().as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect();
    let found: &Int32Array = done.rows.column(col::FOUND).as_primitive::<Int32Type>();
    (title, found.values().to_vec(), done.rows)
}

#[tokio::test]
async fn a_row_is_enriched_as_of_when_it_was_available_and_its_bit_says_so() {
    let (title, found, _) = titles(OnMissing::Null).await;
    assert_eq!(title, [None, Some("movie 2".into()), None, None]);
    assert_eq!(found, [0, 1, 0, 0]);
    let dropped = titles(OnMissing::Drop).await;
    assert_eq!((dropped.0, dropped.1), (title, found), "what is dropped is refused at read, not here");
}

#[tokio::test]
async fn what_is_missing_or_found_without_a_value_gets_its_default() {
    let (title, found, rows) = titles(OnMissing::Default).await;
    assert_eq!(title, [Some("none".into()), Some("movie 2".into()), Some("none".into()), None], "a tombstone has no default");
    assert_eq!(found, [0, 1, 0, 0]);
    let genres = rows.column_by_name("genres").unwrap().as_list::<i32>();
    assert!(genres.is_null(0) && genres.is_null(1), "there is no default");
    let embedding = rows.column_by_name("embedding").unwrap().as_fixed_size_binary();
    assert_eq!(embedding.value(0), half::f16::from_f32(0.5).to_le_bytes().repeat(3));
    assert_eq!(embedding.value(1), embedding.value(0), "found, without an embedding: the column is declared never to be null");
}
