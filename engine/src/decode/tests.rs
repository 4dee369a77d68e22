mod oracle;
mod tables;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, FixedSizeBinaryArray, FixedSizeListArray, Float32Array, Float64Array, Int32Array,
    Int64Array, LargeStringArray, ListArray, RecordBatch, StringArray, StringViewArray, StructArray, TimestampNanosecondArray,
    TimestampSecondArray, UInt8Array, UInt64Array,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use futures::executor::block_on;
use proptest::prelude::*;
use serde_json::{Value, json};
use tress_configs::SignalPlan;
use tress_configs::column::{ColumnType, Scalar};

use super::*;
use crate::identity::raw_hashes;
use crate::pipeline::fixture::{field, ratings, records, required};
use crate::raw::Reason;

fn plan(column_type: ColumnType) -> SignalPlan {
    let mut plan = ratings();
    plan.event.fields = vec![field("f", column_type)];
    plan
}

fn decode(plan: &SignalPlan, payloads: &[String]) -> RawBatch {
    block_on(Decoder::new(plan).unwrap().decode_records(0, &records(payloads))).unwrap()
}

/// Whether `value`, as JSON, is of the type; the array it became.
fn one(column_type: &ColumnType, value: &str) -> (Option<Reason>, ArrayRef) {
    let raw = decode(&plan(column_type.clone()), &[format!(r#"{{"f":{value}}}"#)]);
    (raw.broken[0].as_ref().map(|b| b.reason), raw.fields.column(0).clone())
}

#[test]
fn a_value_of_another_type_is_never_taken_for_one_of_the_type() {
    use Scalar::{Binary, Bool, Float16, Float32, Float64, Int8, Int32, Int64, String, Timestamp};
    let scalar = ColumnType::scalar;
    let cases: Vec<(ColumnType, Vec<&str>, Vec<&str>)> = vec![
        (scalar(Bool), vec!["true", "false"], vec!["1", "\"true\"", "0", "[]"]),
        (scalar(Int32), vec!["1", "-2147483648", "1.0", "1e3", "-0"], vec!["1.5", "2147483648", "\"1\"", "true", "1e10", "1e400"]),
        (
            scalar(Int64),
            vec!["9223372036854775807", "-9223372036854775808", "9007199254740992.0"],
            vec!["9223372036854775808", "0.1", "\"1\"", "9007199254740994.0", "{}"],
        ),
        (scalar(Float16), vec!["65504", "0.1", "5"], vec!["65520", "1e300", "\"0.1\"", "[1]"]),
        (scalar(Float32), vec!["3.4028234e38", "1", "1e-60"], vec!["3.5e38", "-1e39", "\"1\"", "1e400"]),
        (scalar(Float64), vec!["1e308", "18446744073709551616"], vec!["1e309", "\"NaN\"", "false"]),
        (scalar(String), vec!["\"\"", "\"1\"", "\"\\u0000\""], vec!["1", "true", "{}", "[]"]),
        (scalar(Binary), vec!["\"\"", "\"AP8=\""], vec!["\"AP8\"", "\"!\"", "1", "[0,255]"]),
        (scalar(Timestamp), vec!["\"2024-05-01T12:00:00+02:00\""], vec!["1714564800", "\"2024-05-01\"", "\"\"", "1.5"]),
        (ColumnType::list(Int64), vec!["[]", "[1,null,2.0]"], vec!["1", "[1.5]", "[\"1\"]", "[[1]]", "[{}]", "{}"]),
        (ColumnType::list(String), vec!["[\"a\\n\",null]"], vec!["[1]", "\"a\"", "[true]"]),
        (ColumnType::vector(Float16, 2), vec!["[1,0.1]"], vec!["[1]", "[1,2,3]", "[1,null]", "[1,\"2\"]", "1", "\"AAAAAA==\"", "[1,1e6]"]),
        (ColumnType::vector(Int8, 2), vec!["[-128,127]"], vec!["[128,0]", "[0.5,0]", "[]"]),
    ];
    for (column_type, good, bad) in cases {
        for value in good {
            let (reason, array) = one(&column_type, value);
            assert_eq!((reason, array.null_count()), (None, 0), "{value} is a {column_type}");
        }
        for value in bad {
            let (reason, array) = one(&column_type, value);
            assert_eq!((reason, array.null_count()), (Some(Reason::WrongType), 1), "{value} is no {column_type}");
        }
        for value in ["null"] {
            let (reason, array) = one(&column_type, value);
            assert_eq!((reason, array.null_count()), (None, 1), "null may stand for a {column_type}");
        }
    }
}

#[test]
fn a_field_that_does_not_fit_leaves_the_others_of_its_row_and_all_other_rows() {
    let payloads = [r#"{"f":1,"g":"a"}"#, r#"{"f":"x","g":"b"}"#, "nothing", r#"{"f":3,"g":7}"#].map(str::to_owned);
    let mut plan = plan(ColumnType::scalar(Scalar::Int64));
    plan.event.fields.push(field("g", ColumnType::scalar(Scalar::String)));
    let raw = decode(&plan, &payloads);
    assert_eq!(raw.fields.column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(1), None, None, Some(3)]);
    assert_eq!(raw.fields.column(1).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a"), Some("b"), None, None]);
    let broken: Vec<_> = raw.broken.iter().map(|b| b.as_ref().map(|b| (b.reason, b.field.as_str()))).collect();
    assert_eq!(broken, [None, Some((Reason::WrongType, "f")), Some((Reason::Unreadable, "")), Some((Reason::WrongType, "g"))]);
    assert_eq!(raw.payload[2].as_ref(), b"nothing");
    assert_eq!((raw.offset.values().to_vec(), raw.record_timestamp.value(1)), (vec![0, 1, 2, 3], 1_001_000_000));
}

#[test]
fn nested_fields_are_found_and_the_last_of_equal_keys_counts_with_all_it_holds() {
    let mut plan = ratings();
    let at = |name: &str, path: &[&str], scalar| {
        let path = path.iter().map(|p| (*p).to_owned()).collect();
        tress_configs::plan::FieldPlan { path, ..field(name, ColumnType::scalar(scalar)) }
    };
    plan.event.fields =
        vec![at("c", &["a", "b", "c"], Scalar::Int64), at("d", &["a", "d"], Scalar::String), at("e", &["a", "b", "c"], Scalar::Float64)];
    let row = |payload: &str| {
        let raw = decode(&plan, &[payload.to_owned()]);
        let c = raw.fields.column(0).as_primitive::<Int64Type>().iter().next().flatten();
        let d = raw.fields.column(1).as_string::<i32>().iter().next().flatten().map(str::to_owned);
        let e = raw.fields.column(2).as_primitive::<Float64Type>().iter().next().flatten();
        (c, d, e, raw.broken[0].as_ref().map(|b| b.field.clone()))
    };
    let d = Some("x".to_owned());
    assert_eq!(row(r#"{"a":{"b":{"c":1,"z":[{}]},"d":"x"},"c":9}"#), (Some(1), d.clone(), Some(1.0), None));
    assert_eq!(row(r#"{"a":{"b":{"c":1},"d":"y"},"a":{"d":"x"}}"#), (None, d.clone(), None, None));
    assert_eq!(row(r#"{"a":{"d":"x","b":null}}"#), (None, d.clone(), None, None));
    assert_eq!(row(r#"{"a":{"d":"x","b":[1]}}"#), (None, d.clone(), None, Some("c".into())));
    assert_eq!(row(r#"{"a":"x"}"#), (None, None, None, Some("c".into())), "text is no object, and not the text of a field below it");
    assert_eq!(row(r#"{"a":"x","a":{"\u0064":"x"}}"#), (None, d, None, None));
    assert_eq!(row("{}"), (None, None, None, None));
}

#[test]
fn what_is_no_single_object_is_unreadable() {
    let deep = |n: usize| format!(r#"{{"x":{}1{}}}"#, "[".repeat(n), "]".repeat(n));
    let bad = [
        "",
        " ",
        "null",
        "[]",
        "1",
        "{",
        "{}{}",
        "{} x",
        "{\"f\":1,}",
        "{f:1}",
        "{\"f\":01}",
        "{\"f\":1.}",
        "{\"f\":+1}",
        "{\"f\":.5}",
        "{\"f\":NaN}",
    ]
    .into_iter()
    .chain([
        "{\"f\":\"\\x\"}",
        "{\"f\":\"\\ud800\"}",
        "{\"f\":\"\\ud800\\u0041\"}",
        "{\"f\":\"\n\"}",
        "{'f':1}",
        "\u{feff}{}",
        "{\"f\" 1}",
        "{\"g\":tru}",
    ])
    .map(str::to_owned)
    .chain([deep(128)]);
    for payload in bad {
        let raw = decode(&plan(ColumnType::scalar(Scalar::Int64)), std::slice::from_ref(&payload));
        assert_eq!(raw.broken[0].as_ref().map(|b| b.reason), Some(Reason::Unreadable), "{payload}");
    }
    for payload in ["{}".to_owned(), " {\"f\" :\t1 }\r\n".to_owned(), deep(127)] {
        assert_eq!(decode(&plan(ColumnType::scalar(Scalar::Int64)), &[payload]).broken, [None]);
    }
    let mut record = records(&["{}"]);
    record[0].payload = vec![b'{', b'"', 0xff, b'"', b':', b'1', b'}'].into();
    let raw = block_on(Decoder::new(&ratings()).unwrap().decode_records(0, &record)).unwrap();
    assert_eq!(raw.broken[0].as_ref().map(|b| b.reason), Some(Reason::Unreadable));
}

#[test]
fn more_than_arrow_can_count_is_refused_and_not_a_panic() {
    let mut record = records(&["{}"]).remove(0);
    record.payload = vec![b' '; MAX_PAYLOAD_BYTES].into();
    // Payloads are shared: this takes one of them in memory.
    let error = block_on(Decoder::new(&ratings()).unwrap().decode_records(0, &vec![record; 1025])).unwrap_err();
    assert_eq!(error.to_string(), "decode records: they have more than 1 GiB together; give fewer at once");
}

#[test]
fn avro_without_a_readers_schema_is_refused_by_name() {
    let mut plan = ratings();
    plan.source.stream.format = tress_configs::plan::FormatPlan::Avro { subject: "s".into(), version: None };
    let error = Decoder::new(&plan).unwrap_err().to_string();
    assert_eq!(error, "signal movies/rating: source.stream.format avro needs the schema of its reader");
}
