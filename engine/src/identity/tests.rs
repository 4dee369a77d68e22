use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float32Array, Float64Array, ListArray, StringArray};
use serde::Deserialize;
use tress_configs::column::ColumnType;

use super::*;
use crate::decode::Decoder;
use crate::pipeline::fixture::{field, ratings, records};

/// One case of `vectors/identity.json`, which `vectors/identity.py` computes without the engine.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    name: String,
    values: Vec<TypedValue>,
    xxh3: String,
    event_id: String,
    raw_hash: i32,
}

#[derive(Deserialize)]
struct TypedValue {
    #[serde(rename = "type")]
    column_type: ColumnType,
    value: serde_json::Value,
}

#[test]
fn identities_and_hashes_are_those_of_the_frozen_vectors() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../vectors/identity.json")).unwrap();
    assert!(cases.len() >= 17, "no case may go");
    for case in cases {
        let name = |i: usize| format!("f{i}");
        let mut plan = ratings();
        plan.event.fields = case.values.iter().enumerate().map(|(i, v)| field(&name(i), v.column_type.clone())).collect();
        let record: serde_json::Map<_, _> = case.values.into_iter().enumerate().map(|(i, v)| (name(i), v.value)).collect();
        let records = records(&[serde_json::to_string(&record).unwrap()]);
        let raw = futures::executor::block_on(Decoder::new(&plan).unwrap().decode_records(0, &records)).unwrap();
        assert_eq!(raw.broken, [None], "{}", case.name);
        let columns = raw.fields.columns();
        assert_eq!(row_hashes(columns).unwrap(), [u64::from_str_radix(&case.xxh3, 16).unwrap()], "{}", case.name);
        assert_eq!(event_ids(columns).unwrap(), [case.event_id.parse::<i64>().unwrap()], "{}", case.name);
        assert_eq!(raw_hashes(columns).unwrap(), [case.raw_hash], "{}", case.name);
    }
}

#[test]
fn a_hash_sees_the_value_and_not_how_arrow_holds_it() {
    let whole: ArrayRef = Arc::new(StringArray::from(vec!["x", "a", "b"]));
    let alone: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    assert_eq!(raw_hashes(&[whole.slice(1, 2)]).unwrap(), raw_hashes(&[alone]).unwrap());
    let nan = |bits: u32| -> ArrayRef { Arc::new(Float32Array::from(vec![f32::from_bits(bits)])) };
    assert_eq!(raw_hashes(&[nan(0x7fc0_0000)]).unwrap(), raw_hashes(&[nan(0xffff_ffff)]).unwrap());
    let double = |bits: u64| -> ArrayRef { Arc::new(Float64Array::from(vec![f64::from_bits(bits)])) };
    assert_eq!(raw_hashes(&[double(0x7ff8_0000_0000_0000)]).unwrap(), raw_hashes(&[double(0xfff0_0000_0000_0001)]).unwrap());
    let lists: ArrayRef =
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([None, Some(vec![Some(1)]), Some(vec![Some(2), None])]));
    let last: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(2), None])]));
    assert_eq!(raw_hashes(&[lists.slice(2, 1)]).unwrap(), raw_hashes(&[last]).unwrap());
}

#[test]
fn entities_hash_as_one_entity_does() {
    use crate::entity::Entity;
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["u1", "", "é"]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![0, -1, i64::MAX]));
    for column in [texts, numbers] {
        let alone: Vec<i64> = (0..3).map(|row| Entity::at(&column, row).hash()).collect();
        assert_eq!(entity_hashes(&column).unwrap(), alone);
    }
}
