use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Float32Array, Int32Array, Int64Array, ListArray,
    StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, Int32Type};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::*;
use crate::serve::{decode, plain};

/// One row of every type there is.
type Row = (
    (Option<i64>, Option<i32>, Option<bool>),
    (Option<String>, Option<Vec<u8>>, Option<[u8; 6]>),
    (Option<Vec<Option<String>>>, Option<f32>),
);

fn row() -> impl Strategy<Value = Row> {
    (
        (of(any::<i64>()), of(any::<i32>()), of(any::<bool>())),
        (of("[a-zé]{0,6}"), of(vec(any::<u8>(), 0..6)), of(any::<[u8; 6]>())),
        (of(vec(of("[a-z]{0,3}"), 0..4)), of(-1e6f32..1e6)),
    )
}

fn batch(rows: &[Row]) -> RecordBatch {
    let mut lengths = Vec::new();
    let mut items = Vec::new();
    for row in rows {
        let list = row.2.0.clone().unwrap_or_else(|| vec![Some("beneath a null".to_owned())]);
        lengths.push(list.len());
        items.extend(list);
    }
    let nulls: NullBuffer = rows.iter().map(|r| r.2.0.is_some()).collect::<Vec<_>>().into();
    let lists = ListArray::new(
        Arc::new(Field::new("item", DataType::Utf8, true)),
        OffsetBuffer::from_lengths(lengths),
        Arc::new(StringArray::from(items)),
        Some(nulls),
    );
    let words: Vec<Option<&str>> = rows.iter().map(|r| r.1.0.as_deref()).collect();
    let inner: ArrayRef = Arc::new(rows.iter().map(|r| r.0.1).collect::<Int32Array>());
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i64", Arc::new(rows.iter().map(|r| r.0.0).collect::<Int64Array>())),
        ("time", Arc::new(rows.iter().map(|r| r.0.0).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))),
        ("i32", inner.clone()),
        ("bool", Arc::new(rows.iter().map(|r| r.0.2).collect::<BooleanArray>())),
        ("text", Arc::new(words.iter().copied().collect::<StringArray>())),
        ("word", Arc::new(words.iter().copied().collect::<DictionaryArray<Int32Type>>())),
        ("binary", Arc::new(rows.iter().map(|r| r.1.1.as_deref()).collect::<BinaryArray>())),
        ("packed", Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(rows.iter().map(|r| r.1.2), 6).expect("six bytes each"))),
        ("list", Arc::new(lists)),
        ("f32", Arc::new(rows.iter().map(|r| r.2.1).collect::<Float32Array>())),
        ("struct", Arc::new(StructArray::from(vec![(Arc::new(Field::new("a", DataType::Int32, true)), inner)]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).expect("columns of one length")
}

/// Every row, alone in its own batch, never sliced: the plainest way to say the same.
fn plainly(schema: &SchemaRef, rows: &[Row]) -> proto::Columns {
    let mut encoder = Encoder::new(schema).expect("a schema of known types");
    for row in rows {
        encoder.push(&batch(std::slice::from_ref(row))).expect("a batch of the schema");
    }
    encoder.finish("digest")
}

proptest! {
    #[test]
    fn any_batch_comes_back_as_it_was_and_equal_rows_are_equal_bytes(rows in vec(row(), 1..40), cut in any::<prop::sample::Index>(), end in any::<prop::sample::Index>()) {
        let whole = batch(&rows);
        let schema = plain(&whole.schema());
        let from = cut.index(rows.len());
        let to = from + end.index(rows.len() - from + 1);
        let slice = whole.slice(from, to - from);
        let mut encoder = Encoder::new(&schema).expect("a schema of known types");
        // In two parts, cut anywhere.
        let middle = cut.index(slice.num_rows() + 1);
        encoder.push(&slice.slice(0, middle)).expect("a batch of the schema");
        encoder.push(&slice.slice(middle, slice.num_rows() - middle)).expect("a batch of the schema");
        let columns = encoder.finish("digest");

        let back = decode(&schema, &columns).expect("what was encoded decodes");
        prop_assert_eq!(&back, &decode_dictionaries(&schema, &slice).expect("the same schema"));
        prop_assert_eq!(columns, plainly(&schema, &rows[from..to]));

        let ipc = encode_ipc(&schema, std::slice::from_ref(&slice)).expect("a batch of the schema");
        let mut reader = arrow::ipc::reader::StreamReader::try_new(ipc.as_ref(), None).expect("a stream");
        prop_assert_eq!(reader.next().expect("one batch").expect("a batch that reads"), back);
        prop_assert!(reader.next().is_none());
    }

    #[test]
    fn damaged_columns_are_an_error_and_never_a_panic(rows in vec(row(), 1..10), column in 0usize..11, cut in 0usize..40, flip in any::<(prop::sample::Index, u8)>()) {
        let whole = batch(&rows);
        let schema = plain(&whole.schema());
        let mut columns = plainly(&schema, &rows);
        let damaged = &mut columns.columns[column];
        for part in [&mut damaged.values, &mut damaged.offsets, &mut damaged.validity] {
            let mut bytes = part.to_vec();
            bytes.truncate(bytes.len().saturating_sub(cut));
            if !bytes.is_empty() {
                let at = flip.0.index(bytes.len());
                bytes[at] ^= flip.1;
            }
            *part = Bytes::from(bytes);
        }
        // Some damage makes other valid values; what matters is that reading all of them is sound.
        if let Ok(back) = decode(&schema, &columns) {
            let mut again = Encoder::new(&schema).expect("a schema of known types");
            again.push(&back).expect("a batch of the schema");
        }
    }
}

#[test]
fn columns_of_another_schema_are_refused() {
    let rows = [((Some(1), None, None), (None, None, None), (None, None))];
    let whole = batch(&rows);
    let schema = plain(&whole.schema());
    let columns = plainly(&schema, &rows);
    let fewer = Arc::new(schema.project(&[0, 1]).expect("two columns"));
    assert!(decode(&fewer, &columns).is_err());
    let reversed: Vec<usize> = (0..schema.fields().len()).rev().collect();
    assert!(decode(&Arc::new(schema.project(&reversed).expect("all columns")), &columns).is_err());
}

#[test]
fn no_rows_have_one_offset_and_no_validity() {
    let empty = batch(&[]);
    let schema = plain(&empty.schema());
    let columns = plainly(&schema, &[]);
    let text = &columns.columns[4];
    assert_eq!((text.offsets.as_ref(), text.values.len(), text.validity.len()), (&[0u8, 0, 0, 0][..], 0, 0));
    assert_eq!(decode(&schema, &columns).expect("no rows").num_rows(), 0);
}
