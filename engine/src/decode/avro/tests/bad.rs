//! Records that cannot be read, beside ones that can.

use super::*;
use crate::decode::MAX_PAYLOAD_BYTES;
use crate::error::ErrorKind;

fn case() -> Case {
    let reader = json!({"type": "record", "name": "R", "fields": [
        {"name": "f", "type": "int"}, {"name": "l", "type": {"type": "array", "items": ["null", "int"]}}, {"name": "s", "type": "string"},
    ]});
    let void = json!({"type": "record", "name": "R", "fields": [
        {"name": "f", "type": "int"}, {"name": "l", "type": {"type": "array", "items": "null"}}, {"name": "s", "type": "string"},
        {"name": "more", "type": {"type": "array", "items": {"type": "record", "name": "E", "fields": []}}},
    ]});
    let fields = vec![
        declared("f", "f", scalar(Scalar::Int32)),
        declared("l", "l", ColumnType::list(Scalar::Int64)),
        declared("s", "s", scalar(Scalar::String)),
    ];
    Case::new(fields, &reader, &BTreeMap::from([(1, reader.clone()), (2, void), (3, json!({"type": "record", "name": "R"}))]))
}

fn good(n: i32) -> Vec<u8> {
    let elements = (0..n).map(|n| V::Union(1, Box::new(V::Int(n)))).collect();
    framed(1, &V::Record(vec![V::Int(n), V::Array(elements), V::Str(format!("s{n}"))]))
}

fn body(id: u32, bytes: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), bytes].concat()
}

/// A count, as it is written.
fn long(value: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    model::long(value, &mut bytes);
    bytes
}

#[test]
fn one_that_cannot_be_read_is_told_and_changes_nothing_of_the_others() {
    let case = case();
    let whole = good(3);
    let f = long(1);
    let unreadable: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("no whole frame", vec![0, 0, 0, 0]),
        ("another magic byte", [&[1][..], &whole[1..]].concat()),
        ("JSON", b"{\"f\":1}".to_vec()),
        ("more than the record", [&whole[..], &[0]].concat()),
        ("a branch that is not there", body(1, &[&f[..], &long(1), &long(2)].concat())),
        ("a branch below zero", body(1, &[&f[..], &long(1), &long(-1)].concat())),
        ("a number of 11 bytes", body(1, &[0xff; 11])),
        ("an int that is none", body(1, &[&long(1 << 31)[..], &[0, 0]].concat())),
        ("no text", body(1, &[&f[..], &[0], &long(1), &[0xff]].concat())),
        ("a length below zero", body(1, &[&f[..], &[0], &long(-1)].concat())),
        ("a length beyond the end", body(1, &[&f[..], &[0], &long(i64::MAX)].concat())),
        ("2^60 elements", body(1, &[&f[..], &long(1 << 60), &[0]].concat())),
        ("-2^63 elements", body(1, &[&f[..], &long(i64::MIN), &long(0)].concat())),
        ("2^60 elements of no bytes", body(2, &[&f[..], &long(1 << 60), &[0, 0, 0]].concat())),
        ("the same, of what is not declared", body(2, &[&f[..], &[0, 0], &long(1 << 60), &[0]].concat())),
        ("a block of another size", body(1, &[&f[..], &long(-1), &long(3), &long(0), &[0, 0]].concat())),
    ];
    let cut = (5..whole.len()).map(|end| ("cut off", whole[..end].to_vec()));
    for (what, payload) in unreadable.into_iter().chain(cut) {
        let raw = case.decode(&[good(1), payload, good(2)]);
        assert_eq!(reasons(&raw), [None, Some((Reason::Unreadable, "")), None], "{what}");
        assert!(nulls(&raw.fields, 1), "{what}");
        let others = case.decode(&[good(1), good(2)]);
        assert_eq!((raw.fields.slice(0, 1), raw.fields.slice(2, 1)), (others.fields.slice(0, 1), others.fields.slice(1, 1)), "{what}");
    }
    let raw =
        case.decode(&[vec![0; MAX_PAYLOAD_BYTES + 1], body(3, &[2]), body(2, &[&f[..], &long(4), &[0], &long(0)[..], &[0]].concat())]);
    assert_eq!(reasons(&raw), [Some((Reason::TooLarge, "")), Some((Reason::IncompatibleSchema, "")), None], "a schema that is none");
    assert_eq!(raw.fields.slice(2, 1), case.as_json(&[json!({"f": 1, "l": [null, null, null, null], "s": ""})]).fields);
}

#[test]
fn a_schema_that_nobody_tells_now_makes_it_wait_and_is_nobodys_fault() {
    let error = block_on(case().decoder.decode_records(0, &records(&[good(1), body(77, &[])]))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[test]
fn types_that_multiply_take_no_more_time_than_their_bytes_pay_for() {
    // 10^12 fields in all, of which none takes a byte; and the same with one byte at the end.
    for (last, bytes) in [("null", vec![]), ("boolean", vec![1])] {
        let mut kind = json!(last);
        for level in 0..12 {
            let mut fields = vec![json!({"name": "x0", "type": kind})];
            let name = if level == 0 { last.to_owned() } else { format!("L{}", level - 1) };
            let more = if last == "null" || level > 0 { 10 } else { 1 };
            fields.extend((1..more).map(|n| json!({"name": format!("x{n}"), "type": name})));
            kind = json!({"type": "record", "name": format!("L{level}"), "fields": fields});
        }
        let writer = json!({"type": "record", "name": "R", "fields": [{"name": "f", "type": "int"}, {"name": "wide", "type": kind}]});
        let reader = json!({"type": "record", "name": "R", "fields": [{"name": "f", "type": "int"}]});
        let case = Case::new(vec![declared("f", "f", scalar(Scalar::Int32))], &reader, &BTreeMap::from([(1, writer)]));
        let raw = case.decode(&[body(1, &[&long(1)[..], &bytes].concat())]);
        let expected = if last == "null" { None } else { Some((Reason::Unreadable, "")) };
        assert_eq!(reasons(&raw), [expected], "{last}");
    }
}
