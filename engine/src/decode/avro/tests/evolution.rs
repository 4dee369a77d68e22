//! Schemas that change: what was written with one is read as another.

use super::*;
use crate::error::ErrorKind;

fn record(fields: &Value) -> Value {
    json!({"type": "record", "name": "R", "namespace": "acme", "fields": fields})
}

/// What a reader's field `f` is in a record that a writer wrote; `column` is its declared type.
fn read(reader: &Value, column: ColumnType, writer: &Value, value: V) -> (Option<Reason>, RawBatch) {
    let case = Case::new(vec![declared("f", "f", column)], &record(reader), &BTreeMap::from([(7, record(writer))]));
    let raw = case.decode(&[framed(7, &value)]);
    (raw.broken[0].as_ref().map(|b| b.reason), raw)
}

/// The same value of that column, from JSON.
fn expected(column: &ColumnType, value: &Value) -> RecordBatch {
    let plan = plan(vec![declared("f", "f", column.clone())]);
    let payload = json!({"f": value}).to_string().into_bytes();
    let raw = block_on(Decoder::new(&plan).unwrap().decode_records(0, &records(&[payload]))).unwrap();
    assert_eq!(raw.broken, [None]);
    raw.fields
}

#[test]
fn what_was_written_is_read_as_the_reader_expects_it() {
    use Scalar::{Bool, Float32, Float64, Int32, Int64, String, Timestamp};
    let one = |t: Value| json!([{"name": "f", "type": t}]);
    let text = |t: &str| V::Record(vec![V::Str(t.to_owned())]);
    let cases: Vec<(&str, Value, ColumnType, Value, V, Value)> = vec![
        ("as it is", one(json!("int")), scalar(Int32), one(json!("int")), V::Record(vec![V::Int(-3)]), json!(-3)),
        ("int to long", one(json!("long")), scalar(Int64), one(json!("int")), V::Record(vec![V::Int(i32::MIN)]), json!(i32::MIN)),
        ("int to float", one(json!("float")), scalar(Float64), one(json!("int")), V::Record(vec![V::Int(16_777_217)]), json!(16_777_216.0)),
        (
            "long to double",
            one(json!("double")),
            scalar(Float64),
            one(json!("long")),
            V::Record(vec![V::Long(1 << 40)]),
            json!(1_099_511_627_776.0),
        ),
        (
            "float to double",
            one(json!("double")),
            scalar(Float64),
            one(json!("float")),
            V::Record(vec![V::Float(0.1)]),
            json!(f64::from(0.1f32)),
        ),
        (
            "bytes to string",
            one(json!("string")),
            scalar(String),
            one(json!("bytes")),
            V::Record(vec![V::Bytes(b"a".to_vec())]),
            json!("a"),
        ),
        ("string to bytes", one(json!("bytes")), scalar(Scalar::Binary), one(json!("string")), text("AP8="), json!("QVA4PQ==")),
        (
            "text of a time",
            one(json!("string")),
            scalar(Timestamp),
            one(json!("string")),
            text("2024-05-01T12:00:00Z"),
            json!("2024-05-01T12:00:00Z"),
        ),
        (
            "added with a default",
            json!([{"name": "f", "type": "boolean", "default": true}]),
            scalar(Bool),
            json!([]),
            V::Record(vec![]),
            json!(true),
        ),
        (
            "added with null",
            json!([{"name": "f", "type": ["null", "int"], "default": null}]),
            scalar(Int32),
            json!([]),
            V::Record(vec![]),
            Value::Null,
        ),
        (
            "a list by default",
            json!([{"name": "f", "type": {"type": "array", "items": "long"}, "default": [1, 2]}]),
            ColumnType::list(Int64),
            json!([]),
            V::Record(vec![]),
            json!([1, 2]),
        ),
        (
            "others removed, added and moved",
            json!([{"name": "new", "type": "int"}, {"name": "f", "type": "string"}]),
            scalar(String),
            json!([{"name": "f", "type": "string"}, {"name": "old", "type": {"type": "map", "values": "long"}}]),
            V::Record(vec![V::Str("x".into()), V::Map(vec![("k".into(), V::Long(1))])]),
            json!("x"),
        ),
        (
            "renamed",
            json!([{"name": "f", "type": "string", "aliases": ["was", "once"]}]),
            scalar(String),
            json!([{"name": "once", "type": "string"}]),
            text("x"),
            json!("x"),
        ),
        (
            "its own name before an alias",
            json!([{"name": "f", "type": "int", "aliases": ["g"]}]),
            scalar(Int32),
            json!([{"name": "g", "type": "int"}, {"name": "f", "type": "int"}]),
            V::Record(vec![V::Int(1), V::Int(2)]),
            json!(2),
        ),
        ("made nullable", one(json!(["null", "string"])), scalar(String), one(json!("string")), text("x"), json!("x")),
        (
            "made mandatory",
            one(json!("string")),
            scalar(String),
            one(json!(["null", "string"])),
            V::Record(vec![V::Union(1, Box::new(V::Str("x".into())))]),
            json!("x"),
        ),
        (
            "a union that grew",
            one(json!(["null", "int", "double"])),
            scalar(Float64),
            one(json!(["int", "null"])),
            V::Record(vec![V::Union(0, Box::new(V::Int(3)))]),
            json!(3),
        ),
        (
            "the very type before a wider one",
            one(json!(["double", "long"])),
            scalar(Int64),
            one(json!("long")),
            V::Record(vec![V::Long(9_007_199_254_740_993)]),
            json!(9_007_199_254_740_993_i64),
        ),
        (
            "a symbol that the reader does not know",
            one(json!({"type": "enum", "name": "E", "symbols": ["A", "UNKNOWN"], "default": "UNKNOWN"})),
            scalar(String),
            one(json!({"type": "enum", "name": "E", "symbols": ["Z", "A"]})),
            V::Record(vec![V::Enum(0)]),
            json!("UNKNOWN"),
        ),
        (
            "elements of a list",
            one(json!({"type": "array", "items": ["null", "double"]})),
            ColumnType::list(Float32),
            one(json!({"type": "array", "items": ["int", "null"]})),
            V::Record(vec![V::Array(vec![V::Union(0, Box::new(V::Int(1))), V::Union(1, Box::new(V::Null))])]),
            json!([1, null]),
        ),
    ];
    for (what, reader, column, writer, value, json) in cases {
        let (reason, raw) = read(&reader, column.clone(), &writer, value);
        assert_eq!((reason, &raw.fields), (None, &expected(&column, &json)), "{what}");
    }
}

#[test]
fn what_the_reader_has_no_place_for_is_incompatible_and_only_where_it_comes() {
    let one = |t: Value| json!([{"name": "f", "type": t}]);
    let column = || scalar(Scalar::Int32);
    let incompatible = |reader: Value, writer: Value, value: V| read(&reader, column(), &writer, value).0;
    let no = Some(Reason::IncompatibleSchema);
    assert_eq!(incompatible(one(json!("int")), one(json!("string")), V::Record(vec![V::Str("1".into())])), no);
    assert_eq!(incompatible(one(json!("int")), one(json!("long")), V::Record(vec![V::Long(1)])), no, "nothing is narrowed");
    assert_eq!(incompatible(one(json!("int")), json!([]), V::Record(vec![])), no, "no default");
    let either = one(json!(["int", "string"]));
    assert_eq!(incompatible(one(json!("int")), either.clone(), V::Record(vec![V::Union(0, Box::new(V::Int(1)))])), None);
    assert_eq!(incompatible(one(json!("int")), either, V::Record(vec![V::Union(1, Box::new(V::Str("1".into())))])), no);
    let millis = json!({"type": "long", "logicalType": "timestamp-millis"});
    let micros = json!({"type": "long", "logicalType": "timestamp-micros"});
    let (reason, _) = read(&one(micros), scalar(Scalar::Timestamp), &one(millis), V::Record(vec![V::Long(1)]));
    assert_eq!(reason, no, "a number that means something else is not taken for one");
    // Another record; but a namespace may change, and an alias knows.
    let fields = || one(json!("int"));
    let called = |name: &str| json!({"type": "record", "name": name, "fields": fields()});
    for (writer, reason) in [("acme.S", no), ("other.R", None), ("Old", None)] {
        let reader = json!({"type": "record", "name": "acme.R", "aliases": ["Old"], "fields": fields()});
        let case = Case::new(vec![declared("f", "f", column())], &reader, &BTreeMap::from([(7, called(writer))]));
        assert_eq!(case.decode(&[framed(7, &V::Record(vec![V::Int(1)]))]).broken[0].as_ref().map(|b| b.reason), reason, "{writer}");
    }
}

#[test]
fn nested_fields_are_read_through_records_that_may_be_missing() {
    let inner = |fields: Value| json!({"type": "record", "name": "C", "fields": fields});
    let reader = record(&json!([
        {"name": "c", "type": ["null", inner(json!([{"name": "surface", "type": "string"}, {"name": "n", "type": "long", "default": 5}]))], "default": null},
        {"name": "u", "type": ["int", "C"], "default": 1},
    ]));
    let writers = BTreeMap::from([
        (1, record(&json!([{"name": "c", "type": inner(json!([{"name": "surface", "type": "string"}]))}]))),
        (
            2,
            record(
                &json!([{"name": "c", "type": ["null", inner(json!([{"name": "n", "type": "int"}, {"name": "surface", "type": "string"}]))]}]),
            ),
        ),
        (3, record(&json!([]))),
    ]);
    let fields = vec![
        declared("surface", "c.surface", scalar(Scalar::String)),
        declared("n", "c.n", scalar(Scalar::Int64)),
        declared("again", "c.n", scalar(Scalar::Float64)),
        declared("below", "u.n", scalar(Scalar::Int64)),
    ];
    let case = Case::new(fields, &reader, &writers);
    let home = || V::Str("home".into());
    let raw = case.decode(&[
        framed(1, &V::Record(vec![V::Record(vec![home()])])),
        framed(2, &V::Record(vec![V::Union(1, Box::new(V::Record(vec![V::Int(2), home()])))])),
        framed(2, &V::Record(vec![V::Union(0, Box::new(V::Null))])),
        framed(3, &V::Record(vec![])),
    ]);
    // The default of `u` is a number: no field lies below it.
    assert_eq!(reasons(&raw), [Some((Reason::WrongType, "below")); 4]);
    let json = case.as_json(&[
        json!({"c": {"surface": "home", "n": 5}, "u": 1}),
        json!({"c": {"surface": "home", "n": 2}, "u": 1}),
        json!({"c": null, "u": 1}),
        json!({"u": 1}),
    ]);
    assert_eq!((&raw.fields, &raw.broken), (&json.fields, &json.broken));
}

#[test]
fn a_schema_may_hold_itself_and_refer_to_others() {
    let node =
        json!({"type": "record", "name": "Node", "fields": [{"name": "f", "type": "int"}, {"name": "next", "type": ["null", "Node"]}]});
    let fields = vec![declared("f", "f", scalar(Scalar::Int32)), declared("second", "next.f", scalar(Scalar::Int32))];
    let case = Case::new(fields, &node, &BTreeMap::from([(1, node.clone())]));
    let list =
        |n: i32| (0..n).rev().fold(V::Union(0, Box::new(V::Null)), |next, at| V::Union(1, Box::new(V::Record(vec![V::Int(at), next]))));
    let framed = |n| match list(n) {
        V::Union(_, record) => super::framed(1, &record),
        _ => unreachable!("a list is a union"),
    };
    let raw = case.decode(&[framed(1), framed(3), framed(1000)]);
    assert_eq!(reasons(&raw), [None, None, Some((Reason::Unreadable, ""))], "what is nested without an end is not read");
    assert_eq!(raw.fields.slice(0, 2), case.as_json(&[json!({"f": 0}), json!({"f": 0, "next": {"f": 1}})]).fields);

    let address = json!({"type": "record", "name": "acme.Address", "fields": [{"name": "city", "type": "string"}]});
    let user = json!({"type": "record", "name": "acme.User", "fields": [{"name": "home", "type": "Address"}]});
    let referring = |id| SchemaText { references: vec![address.to_string()], ..text(id, &user) };
    let plan = plan(vec![declared("city", "home.city", scalar(Scalar::String))]);
    let decoder = Decoder::avro(&plan, &referring(2), block_on(kept(vec![referring(2)]))).unwrap();
    let value = V::Record(vec![V::Record(vec![V::Str("Bern".into())])]);
    let raw = block_on(decoder.decode_records(0, &records(&[super::framed(2, &value)]))).unwrap();
    assert_eq!(
        (raw.broken, arrow::util::display::array_value_to_string(raw.fields.column(0), 0).unwrap()),
        (vec![None], "Bern".to_owned())
    );
}

#[test]
fn what_is_wrong_with_the_readers_schema_is_told_at_once_and_by_name() {
    let refusal = |schema: &Value, fields: Vec<FieldPlan>| {
        let error = Decoder::avro(&plan(fields), &text(1, schema), block_on(kept(Vec::new()))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error.to_string()
    };
    let schema = record(&json!([
        {"name": "user_id", "type": "string"},
        {"name": "tags", "type": {"type": "map", "values": "string"}},
        {"name": "at", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
        {"name": "c", "type": ["null", {"type": "record", "name": "C", "fields": [{"name": "surface", "type": "string"}]}]},
        {"name": "mixed", "type": ["null", "string", "long"]},
        {"name": "packed", "type": {"type": "fixed", "name": "P", "size": 4}},
    ]));
    let fields = vec![
        declared("userid", "userid", scalar(Scalar::String)),
        declared("tags", "tags", ColumnType::list(Scalar::String)),
        declared("at", "at", scalar(Scalar::Timestamp)),
        declared("at_number", "at", scalar(Scalar::Int64)),
        declared("surface", "c.surfaces", scalar(Scalar::String)),
        declared("deep", "user_id.x", scalar(Scalar::String)),
        declared("c", "c", scalar(Scalar::String)),
        declared("mixed", "mixed", scalar(Scalar::Int64)),
        declared("two", "packed", ColumnType::vector(Scalar::Float16, 2)),
        declared("three", "packed", ColumnType::vector(Scalar::Float16, 3)),
        declared("zebra", "zebra", scalar(Scalar::Int64)),
    ];
    assert_eq!(
        refusal(&schema, fields),
        "field userid: there is no field userid; did you mean user_id? give the field this path; \
         field tags: it is map, which is never a list<string>; \
         field at: it is long (local-timestamp-millis), which is never a timestamp; \
         field surface: there is no field surfaces in c; did you mean surface? give the field this path; \
         field deep: user_id is string, which has no fields; \
         field c: it is null or record acme.C, which is never a string; \
         field three: it is fixed acme.P of 4 bytes, which is never a vector<float16, 3>; \
         field zebra: there is no field zebra; remove the field, or name a version of the subject that has it"
    );
    assert_eq!(refusal(&json!(["null", "int"]), Vec::new()), "it is null or int, and not a record");
    for (schema, why) in [
        (
            json!({"type": "record", "name": "R", "fields": [{"name": "a", "type": "Missing"}]}),
            "it names Missing, which neither it nor its references define",
        ),
        (json!({"type": "record", "fields": []}), "a record, enum or fixed has no usable name"),
        (json!(["int", ["null"]]), "a union holds a union"),
        (
            json!({"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]}),
            "record R has two fields a",
        ),
        (json!({"type": "fixed", "name": "R", "size": 1u64 << 40}), "fixed R has no usable size"),
        (json!(7), "a type is neither a name, nor a list, nor an object"),
    ] {
        assert_eq!(refusal(&schema, Vec::new()), why);
    }
}
