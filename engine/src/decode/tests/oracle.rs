use super::*;

/// What the fields of `ratings` are, read off a generic JSON value; shares no code with the decoder.
fn expected(plan: &SignalPlan, payload: &str) -> Option<Vec<Result<Value, ()>>> {
    let record: Value = serde_json::from_str(payload).ok()?;
    if !record.is_object() {
        return None;
    }
    Some(
        plan.event
            .fields
            .iter()
            .map(|f| {
                let mut at = &record;
                for key in &f.path {
                    match at {
                        Value::Null => return Ok(Value::Null),
                        Value::Object(members) => at = members.get(key).unwrap_or(&Value::Null),
                        _ => return Err(()),
                    }
                }
                value(at, &f.column_type)
            })
            .collect(),
    )
}

fn value(at: &Value, t: &ColumnType) -> Result<Value, ()> {
    if at.is_null() {
        return Ok(Value::Null);
    }
    if let Some(dim) = t.dim {
        let elements = at.as_array().filter(|a| a.len() == dim as usize).ok_or(())?;
        let floats = elements.iter().map(|e| value(e, &ColumnType::scalar(t.scalar)).and_then(|v| v.as_f64().ok_or(())));
        return Ok(json!(floats.collect::<Result<Vec<_>, _>>()?));
    }
    if t.list {
        let elements = at.as_array().ok_or(())?.iter().map(|e| value(e, &ColumnType::scalar(t.scalar)));
        return Ok(Value::Array(elements.collect::<Result<_, _>>()?));
    }
    match t.scalar {
        Scalar::Bool => at.as_bool().map(Value::from).ok_or(()),
        Scalar::Int32 => whole(at).and_then(|v| i32::try_from(v).ok()).map(Value::from).ok_or(()),
        Scalar::Int64 => whole(at).map(Value::from).ok_or(()),
        Scalar::Float64 => at.as_f64().map(|v| json!(v + 0.0)).ok_or(()),
        Scalar::Float32 => at.as_f64().map(|v| v as f32).filter(|v| v.is_finite()).map(|v| json!(f64::from(v) + 0.0)).ok_or(()),
        Scalar::Float16 => {
            let half = at.as_f64().map(|v| half::f16::from_f32(v as f32).to_f64()).filter(|v| v.is_finite());
            half.map(|v| json!(v + 0.0)).ok_or(())
        }
        Scalar::String => at.as_str().map(Value::from).ok_or(()),
        Scalar::Timestamp => {
            let time = at.as_str().and_then(|t| chrono::DateTime::parse_from_rfc3339(t).ok());
            time.map(|t| Value::from(t.timestamp_micros())).ok_or(())
        }
        Scalar::Binary | Scalar::Int8 => Err(()),
    }
}

fn whole(at: &Value) -> Option<i64> {
    at.as_i64().or_else(|| at.as_f64().filter(|_| at.is_f64()).filter(|v| v.fract() == 0.0 && v.abs() <= 2f64.powi(53)).map(|v| v as i64))
}

/// A cell of a decoded batch as a generic JSON value.
fn found(array: &ArrayRef, row: usize, t: &ColumnType) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    if t.dim.is_some() {
        let halves = array.as_fixed_size_binary().value(row).chunks(2).map(|c| half::f16::from_le_bytes([c[0], c[1]]).to_f64());
        return json!(halves.collect::<Vec<_>>());
    }
    if t.list {
        let elements = array.as_list::<i32>().value(row);
        return (0..elements.len()).map(|i| found(&elements, i, &ColumnType::scalar(t.scalar))).collect();
    }
    match t.scalar {
        Scalar::Bool => json!(array.as_boolean().value(row)),
        Scalar::Int32 => json!(array.as_primitive::<Int32Type>().value(row)),
        Scalar::Int64 => json!(array.as_primitive::<Int64Type>().value(row)),
        Scalar::Float16 | Scalar::Float32 => json!(f64::from(array.as_primitive::<Float32Type>().value(row))),
        Scalar::Float64 => json!(array.as_primitive::<Float64Type>().value(row)),
        Scalar::String => json!(array.as_string::<i32>().value(row)),
        Scalar::Timestamp => json!(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        Scalar::Binary | Scalar::Int8 => Value::Null,
    }
}

fn json_value() -> BoxedStrategy<String> {
    let texts = [
        "null",
        "true",
        "0",
        "-0",
        "-1",
        "7",
        "1.5",
        "2.0",
        "1e2",
        "-0.0",
        "0.1",
        "65519",
        "65520",
        // 4e38, written so that a digit more cannot make it larger than the generic reader knows.
        "400000000000000000000000000000000000000",
        "2147483648",
        "9223372036854775808",
    ];
    let strings =
        ["\"\"", "\"a\"", "\"7\"", "\"\\u00e9\\n\"", "\"\\ud83d\\ude00\"", "\"2024-05-01T12:00:00.1234567Z\"", "\"2024-05-01\"", "\"é\""];
    let leaf = prop::sample::select(texts.into_iter().chain(strings).map(str::to_owned).collect::<Vec<_>>());
    leaf.prop_recursive(3, 12, 3, |inner| {
        let members = prop::collection::vec((key(), inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|v| format!("[{}]", v.join(" , "))),
            members.prop_map(|m| format!("{{{}}}", m.into_iter().map(|(k, v)| format!("{k}:{v}")).collect::<Vec<_>>().join(","))),
        ]
    })
    .boxed()
}

fn key() -> impl Strategy<Value = String> {
    let keys = [
        "user_id",
        "item_id",
        "rating",
        "ts",
        "kind",
        "context",
        "surface",
        "at",
        "tags",
        "scores",
        "taste",
        "half",
        "small",
        "flag",
        "x",
        "f\\u006cag",
    ];
    prop::sample::select(keys.map(|k| format!("\"{k}\"")).to_vec())
}

fn payload() -> BoxedStrategy<String> {
    let members = prop::collection::vec((key(), json_value()), 0..10);
    let object =
        members.prop_map(|m| format!("{{{}}}", m.into_iter().map(|(k, v)| format!("{k} :{v}")).collect::<Vec<_>>().join(",\n"))).boxed();
    let torn =
        (object.clone(), any::<prop::sample::Index>(), prop::sample::select(vec!["", "\"", "\\", "}", "]", ",", "0", "\u{1}", "u", " {}"]));
    prop_oneof![
        4 => object,
        1 => torn.prop_map(|(text, at, with)| {
            let at = at.index(text.len() + 1);
            let at = (0..=at).rev().find(|i| text.is_char_boundary(*i)).unwrap();
            format!("{}{with}{}", &text[..at], text[at..].chars().skip(1).collect::<String>())
        }),
        1 => json_value(),
    ]
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_record_decodes_to_what_a_generic_reader_finds_alone_and_in_company(payloads in prop::collection::vec(payload(), 1..8)) {
        let mut plan = ratings();
        plan.event.fields.retain(|f| f.column_type.scalar != Scalar::Binary);
        let whole = decode(&plan, &payloads);
        for (row, payload) in payloads.iter().enumerate() {
            let reason = whole.broken[row].as_ref().map(|b| (b.reason, b.field.as_str()));
            match expected(&plan, payload) {
                None => prop_assert_eq!(reason, Some((Reason::Unreadable, "")), "{}", payload),
                Some(values) => {
                    let misfit = plan.event.fields.iter().zip(&values).find(|(_, v)| v.is_err()).map(|(f, _)| (Reason::WrongType, f.name.as_str()));
                    prop_assert_eq!(reason, misfit, "{}", payload);
                    for ((f, value), array) in plan.event.fields.iter().zip(values).zip(whole.fields.columns()) {
                        prop_assert_eq!(found(array, row, &f.column_type), value.unwrap_or_default(), "{} of {}", f.name, payload);
                    }
                }
            }
        }
        let alone: Vec<RawBatch> = payloads.iter().map(|p| decode(&plan, std::slice::from_ref(p))).collect();
        prop_assert_eq!(concat_batches(&whole.fields.schema(), alone.iter().map(|a| &a.fields)).unwrap(), whole.fields);
        prop_assert_eq!(alone.into_iter().flat_map(|a| a.broken).collect::<Vec<_>>(), whole.broken);
    }

    /// Anything at all: the decoder answers, and the two readers agree on what is JSON.
    #[test]
    fn any_text_is_readable_exactly_if_it_is_a_json_object(text in "[{}\\[\\]\":,\\\\ a0-9.eE+-]{0,24}|\\PC{0,12}") {
        let readable = serde_json::from_str::<Value>(&text).is_ok_and(|v| v.is_object());
        let raw = decode(&ratings(), std::slice::from_ref(&text));
        prop_assert_eq!(raw.broken[0].as_ref().is_none_or(|b| b.reason != Reason::Unreadable), readable);
    }

    #[test]
    fn every_float_that_is_printed_shortest_is_read_back_exactly(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let (reason, array) = one(&ColumnType::scalar(Scalar::Float64), &format!("{value:e}"));
        prop_assert_eq!((reason, array.as_primitive::<Float64Type>().value(0)), (None, value));
    }
}
