//! What numbers and bytes mean beyond their types, by what they are declared to be.

use super::*;

#[test]
fn a_logical_type_gives_what_the_declared_type_needs() {
    use Scalar::{Binary, Float64, Int32, Int64, String, Timestamp};
    let long = |logical: &str| json!({"type": "long", "logicalType": logical});
    let money = json!({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2});
    let small = json!({"type": "fixed", "name": "D", "size": 3, "logicalType": "decimal", "precision": 6, "scale": 3});
    let unknown = json!({"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3});
    let uuid = json!({"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"});
    let time = "2024-05-01T12:00:00.123456Z";
    let micros = 1_714_564_800_123_456;
    let bytes = |bytes: &[u8]| V::Bytes(bytes.to_vec());
    let sixteen: Vec<u8> = (0..16).map(|n| n * 17).collect();
    let cases: Vec<(&str, Value, Scalar, V, Value)> = vec![
        ("millis", long("timestamp-millis"), Timestamp, V::Long(1_714_564_800_123), json!("2024-05-01T12:00:00.123Z")),
        ("millis as a number", long("timestamp-millis"), Int64, V::Long(1_714_564_800_123), json!(1_714_564_800_123_i64)),
        ("micros", long("timestamp-micros"), Timestamp, V::Long(micros), json!(time)),
        ("nanos are floored", long("timestamp-nanos"), Timestamp, V::Long(-1), json!("1969-12-31T23:59:59.999999Z")),
        ("a date", json!({"type": "int", "logicalType": "date"}), Timestamp, V::Int(-1), json!("1969-12-31T00:00:00Z")),
        ("a date as a number", json!({"type": "int", "logicalType": "date"}), Int32, V::Int(19_844), json!(19_844)),
        ("a time of a day", json!({"type": "int", "logicalType": "time-millis"}), Int32, V::Int(5), json!(5)),
        ("money", money.clone(), Float64, bytes(&[0x04, 0xd2]), json!(12.34)),
        ("money below zero", money.clone(), Float64, bytes(&[0xff]), json!(-0.01)),
        ("whole money", money.clone(), Int64, bytes(&[0x04, 0xb0]), json!(12)),
        ("money, with digits that say nothing", money.clone(), Int64, bytes(&[&[0; 20][..], &[0x04, 0xb0]].concat()), json!(12)),
        ("money written out", money.clone(), String, bytes(&[0xfb, 0x2e]), json!("-12.34")),
        ("less than one, written out", money.clone(), String, bytes(&[0x05]), json!("0.05")),
        ("no digits", money.clone(), Int64, bytes(&[]), json!(0)),
        ("money as bytes", money.clone(), Binary, bytes(&[0x04, 0xd2]), json!("BNI=")),
        ("a fixed decimal", small, Float64, V::Fixed(vec![0xff, 0xfe, 0x0c]), json!(-0.5)),
        ("a decimal that is none", unknown, Binary, bytes(&[1]), json!("AQ==")),
        ("a UUID", uuid.clone(), String, V::Fixed(sixteen.clone()), json!("00112233-4455-6677-8899-aabbccddeeff")),
        ("a UUID as bytes", uuid, Binary, V::Fixed(sixteen), json!("ABEiM0RVZneImaq7zN3u/w==")),
        ("a UUID as text", json!({"type": "string", "logicalType": "uuid"}), String, V::Str("x".into()), json!("x")),
        ("what nobody knows", json!({"type": "long", "logicalType": "fortnights"}), Int64, V::Long(2), json!(2)),
    ];
    for (what, of, column, value, json) in cases {
        let schema = json!({"type": "record", "name": "R", "fields": [{"name": "f", "type": of}]});
        let case = Case::new(vec![declared("f", "f", scalar(column))], &schema, &BTreeMap::from([(1, schema.clone())]));
        let raw = case.decode(&[framed(1, &V::Record(vec![value]))]);
        let expected = case.as_json(&[json!({"f": json})]);
        assert_eq!((&raw.broken, &raw.fields), (&expected.broken, &expected.fields), "{what}");
        assert_eq!(raw.broken, [None], "{what}");
    }
}

#[test]
fn what_no_type_can_hold_does_not_fit_and_stays_alone() {
    let misfit = |of: Value, column: Scalar, value: V| {
        let schema = json!({"type": "record", "name": "R", "fields": [{"name": "f", "type": of}]});
        let case = Case::new(vec![declared("f", "f", scalar(column))], &schema, &BTreeMap::from([(1, schema.clone())]));
        case.decode(&[framed(1, &V::Record(vec![value]))]).broken[0].as_ref().map(|b| b.reason)
    };
    let money = || json!({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2});
    let wrong = Some(Reason::WrongType);
    assert_eq!(misfit(money(), Scalar::Int64, V::Bytes(vec![1])), wrong, "a part of one is no whole number");
    assert_eq!(misfit(money(), Scalar::Float64, V::Bytes(vec![1; 17])), wrong, "more than 128 bits");
    assert_eq!(misfit(json!("long"), Scalar::Int32, V::Long(1 << 31)), wrong);
    assert_eq!(misfit(json!("double"), Scalar::Float32, V::Double(1e300)), wrong);
    assert_eq!(misfit(json!({"type": "long", "logicalType": "timestamp-millis"}), Scalar::Timestamp, V::Long(i64::MAX)), wrong);
    assert_eq!(misfit(json!(["string", "long"]), Scalar::Int64, V::Union(0, Box::new(V::Str("1".into())))), wrong);
    assert_eq!(misfit(json!("string"), Scalar::Timestamp, V::Str("yesterday".into())), wrong);
}

#[test]
fn vectors_come_as_lists_or_packed() {
    let schema = json!({"type": "record", "name": "R", "fields": [
        {"name": "list", "type": {"type": "array", "items": "float"}}, {"name": "packed", "type": "bytes"},
        {"name": "fixed", "type": {"type": "fixed", "name": "F", "size": 8}},
    ]});
    let fields = ["list", "packed", "fixed"].map(|name| declared(name, name, ColumnType::vector(Scalar::Float32, 2)));
    let case = Case::new(fields.to_vec(), &schema, &BTreeMap::from([(1, schema.clone())]));
    let packed = [1.5f32.to_le_bytes(), (-0.0f32).to_le_bytes()].concat();
    let whole = V::Record(vec![V::Array(vec![V::Float(1.5), V::Float(-0.0)]), V::Bytes(packed.clone()), V::Fixed(packed.clone())]);
    let short = V::Record(vec![V::Array(vec![V::Float(1.5)]), V::Bytes(packed[1..].to_vec()), V::Fixed(packed)]);
    let raw = case.decode(&[framed(1, &whole), framed(1, &short)]);
    let json = case.as_json(&[json!({"list": [1.5, 0], "packed": [1.5, 0], "fixed": [1.5, 0]}), json!({"fixed": [1.5, 0]})]);
    assert_eq!(raw.fields, json.fields);
    assert_eq!(reasons(&raw), [None, Some((Reason::WrongType, "list"))]);
}
