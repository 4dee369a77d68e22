use std::collections::BTreeMap;

use super::*;

fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap()
}

fn arrays() -> Vec<(ColumnType, Vec<ArrayRef>, &'static str)> {
    use Scalar::{Binary, Float16, Float32, Float64, Int32, Int64, String, Timestamp};
    let item = |t| Arc::new(Field::new("element", t, true));
    let fixed = FixedSizeListArray::try_new(item(DataType::Float32), 2, Arc::new(Float32Array::from(vec![0.1, -0.0])), None).unwrap();
    let list = ListArray::from_iter_primitive::<Float64Type, _, _>([Some(vec![Some(f64::from(0.1f32)), Some(0.0)])]);
    let packed: Vec<u8> = [half::f16::from_f32(0.1), -half::f16::ZERO].iter().flat_map(|v| v.to_le_bytes()).collect();
    let dictionary: DictionaryArray<Int32Type> = vec!["a"].into_iter().collect();
    vec![
        (
            ColumnType::scalar(Int64),
            vec![
                Arc::new(Int32Array::from(vec![7])),
                Arc::new(UInt8Array::from(vec![7])),
                Arc::new(UInt64Array::from(vec![7])),
                Arc::new(Float64Array::from(vec![7.0])),
                Arc::new(Int64Array::from(vec![7])),
            ],
            "7",
        ),
        (ColumnType::scalar(Int32), vec![Arc::new(Int64Array::from(vec![7])), Arc::new(Int32Array::from(vec![7]))], "7"),
        (ColumnType::scalar(Float32), vec![Arc::new(Float64Array::from(vec![0.1])), Arc::new(Float32Array::from(vec![0.1]))], "0.1"),
        (ColumnType::scalar(Float16), vec![Arc::new(Float64Array::from(vec![0.1])), Arc::new(Float32Array::from(vec![0.1]))], "0.1"),
        (ColumnType::scalar(Float64), vec![Arc::new(Float64Array::from(vec![-0.0])), Arc::new(Int32Array::from(vec![0]))], "-0.0"),
        (
            ColumnType::scalar(String),
            vec![
                Arc::new(StringArray::from(vec!["a"])),
                Arc::new(LargeStringArray::from(vec!["a"])),
                Arc::new(StringViewArray::from(vec!["a"])),
                Arc::new(dictionary),
            ],
            "\"a\"",
        ),
        (ColumnType::scalar(Binary), vec![Arc::new(FixedSizeBinaryArray::try_from_iter([[0u8, 255]].into_iter()).unwrap())], "\"AP8=\""),
        (
            ColumnType::scalar(Timestamp),
            vec![
                Arc::new(TimestampSecondArray::from(vec![-1]).with_timezone("Europe/Berlin")),
                Arc::new(TimestampNanosecondArray::from(vec![-1_000_000_000])),
            ],
            "\"1969-12-31T23:59:59Z\"",
        ),
        (ColumnType::list(Float32), vec![Arc::new(fixed.clone()), Arc::new(list.clone())], "[0.1,0]"),
        (
            ColumnType::vector(Float16, 2),
            vec![Arc::new(fixed), Arc::new(list), Arc::new(FixedSizeBinaryArray::try_from_iter([packed].into_iter()).unwrap())],
            "[0.1,0]",
        ),
    ]
}

#[test]
fn equal_values_of_a_table_and_of_a_topic_are_equal_fields_with_equal_hashes() {
    for (column_type, arrays, json) in arrays() {
        let plan = plan(column_type.clone());
        let topic = decode(&plan, &[format!(r#"{{"f":{json}}}"#)]);
        for array in arrays {
            let found = array.data_type().clone();
            let batch = ColumnsDecoder::new(&plan, &BTreeMap::new(), None).decode(&table(vec![("f", array)])).unwrap();
            assert_eq!(batch.broken, [None], "{found} as {column_type}");
            assert_eq!(batch.fields, topic.fields, "{found} as {column_type}");
            assert_eq!(raw_hashes(batch.fields.columns()).unwrap(), raw_hashes(topic.fields.columns()).unwrap());
        }
    }
}

#[test]
fn a_value_that_does_not_fit_breaks_its_row_only() {
    let plan = plan(ColumnType::scalar(Scalar::Int32));
    let batch = table(vec![("f", Arc::new(Float64Array::from(vec![Some(1.0), Some(1.5), None, Some(f64::NAN), Some(3e9)])) as ArrayRef)]);
    let raw = ColumnsDecoder::new(&plan, &BTreeMap::new(), None).decode(&batch).unwrap();
    assert_eq!(raw.fields.column(0).as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(1), None, None, None, None]);
    assert_eq!(raw.broken.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false, true, true]);
}

#[test]
fn columns_are_mapped_by_name_path_and_rename() {
    let mut plan = ratings();
    plan.event.fields = vec![
        required("ts", ColumnType::scalar(Scalar::Int64)),
        tress_configs::plan::FieldPlan {
            path: vec!["context".into(), "surface".into()],
            ..field("surface", ColumnType::scalar(Scalar::String))
        },
        field("gone", ColumnType::scalar(Scalar::Int64)),
    ];
    let surface: ArrayRef = Arc::new(StringArray::from(vec!["home", "search"]));
    let fields = vec![Field::new("surface", DataType::Utf8, true)];
    let context = StructArray::new(fields.into(), vec![surface], Some(vec![true, false].into()));
    let batch = table(vec![
        ("event_ts", Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef),
        ("context", Arc::new(context)),
        ("kafka_ts", Arc::new(TimestampNanosecondArray::from(vec![Some(1_999), None]))),
    ]);
    let rename = BTreeMap::from([("ts".to_owned(), "event_ts".to_owned())]);
    let decoder = ColumnsDecoder::new(&plan, &rename, Some("kafka_ts"));
    assert_eq!(decoder.columns().into_iter().collect::<Vec<_>>(), ["context", "event_ts", "gone", "kafka_ts"]);
    let raw = decoder.decode(&batch).unwrap();
    assert_eq!(raw.fields.column(0).as_primitive::<Int64Type>().values().to_vec(), [1, 2]);
    assert_eq!(
        raw.fields.column(1).as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some("home"), None],
        "what is in a null struct is null"
    );
    assert_eq!(raw.fields.column(2).null_count(), 2);
    assert_eq!(raw.record_timestamp.iter().collect::<Vec<_>>(), [Some(1), None]);
    assert_eq!((raw.partition.null_count(), raw.offset.null_count()), (2, 2));

    let refusal = |decoder: ColumnsDecoder| decoder.decode(&batch).unwrap_err().to_string();
    assert_eq!(
        refusal(ColumnsDecoder::new(&plan, &BTreeMap::new(), None)),
        "column ts is missing, and field ts is not nullable; add the column, rename another to the field, or declare it nullable"
    );
    assert!(refusal(ColumnsDecoder::new(&plan, &rename, Some("ts"))).starts_with("column ts is missing, and recordTimestamp names it"));
    assert_eq!(
        refusal(ColumnsDecoder::new(&plan, &rename, Some("event_ts"))),
        "column event_ts: it is Int32, but recordTimestamp needs a timestamp"
    );
    let wrong = BTreeMap::from([("ts".to_owned(), "kafka_ts".to_owned())]);
    assert!(refusal(ColumnsDecoder::new(&plan, &wrong, None)).starts_with("column kafka_ts: it is Timestamp(ns), which is not the int64"));
}
