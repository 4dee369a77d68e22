//! Rows, profiles and descriptions as JSON for people: times as RFC 3339, vectors as numbers, bytes as base64.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use chrono::{DateTime, SecondsFormat};
use half::f16;
use serde_json::{Map, Number, Value, json};
use tress_configs::column::TYPE_KEY;

use super::describe::{Description, RevisionDescription};
use super::profile::{Completeness, Degradation, Profile};
use super::refusal::Refusal;
use crate::error::{Error, Result};
use crate::store::SignalState;

/// One object per row, keys in the order of the columns.
///
/// # Errors
/// `Internal` for a type that has no place in replies.
pub fn rows_to_json(batch: &RecordBatch) -> Result<Vec<Value>> {
    let schema = batch.schema();
    let mut rows = vec![Map::with_capacity(batch.num_columns()); batch.num_rows()];
    for (field, array) in schema.fields().iter().zip(batch.columns()) {
        for (index, row) in rows.iter_mut().enumerate() {
            row.insert(field.name().clone(), value(field, array, index)?);
        }
    }
    Ok(rows.into_iter().map(Value::Object).collect())
}

fn value(field: &Field, array: &ArrayRef, row: usize) -> Result<Value> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).into(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).into(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).into(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).into(),
        DataType::Float32 => float32(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => float64(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::Binary => base64(array.as_binary::<i32>().value(row)).into(),
        DataType::FixedSizeBinary(_) => packed(field, array.as_fixed_size_binary().value(row)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => time(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        DataType::List(item) => {
            let items = array.as_list::<i32>().value(row);
            Value::Array((0..items.len()).map(|i| value(item, &items, i)).collect::<Result<_>>()?)
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let members = fields.iter().zip(columns).map(|(f, c)| Ok((f.name().clone(), value(f, c, row)?)));
            Value::Object(members.collect::<Result<_>>()?)
        }
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            let key = dictionary.normalized_keys()[row];
            value(field, dictionary.values(), key)?
        }
        other => return Err(Error::internal(format!("write JSON: the type {other} has no place in a reply"))),
    })
}

/// A packed vector as numbers; other bytes as base64.
fn packed(field: &Field, bytes: &[u8]) -> Value {
    let element = field.metadata().get(TYPE_KEY).and_then(|t| t.strip_prefix("vector<")).and_then(|t| t.split(',').next());
    match element {
        Some("float16") => bytes.chunks_exact(2).map(|b| float32(f16::from_le_bytes([b[0], b[1]]).to_f32())).collect(),
        Some("float32") => bytes.chunks_exact(4).map(|b| float32(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect(),
        Some("int8") => bytes.iter().map(|b| Value::from(b.cast_signed())).collect(),
        _ => base64(bytes).into(),
    }
}

/// The shortest number that is this float32: 0.1, not 0.10000000149011612.
fn float32(number: f32) -> Value {
    match number.to_string().parse::<f64>() {
        Ok(shortest) => float64(shortest),
        Err(_) => float64(f64::from(number)),
    }
}

/// JSON has no infinities and no NaN: these are strings, as protocol buffers write them.
fn float64(number: f64) -> Value {
    match Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => "NaN".into(),
        None if number > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

/// Microseconds as RFC 3339 in UTC; beyond its years, as a number.
pub fn time(micros: i64) -> Value {
    match DateTime::from_timestamp_micros(micros) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::AutoSi, true).into(),
        None => micros.into(),
    }
}

pub fn optional_time(micros: Option<i64>) -> Value {
    micros.map_or(Value::Null, time)
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let group = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let letter = LETTERS[(group >> (18 - 6 * digit)) as usize & 63];
            text.push(if digit <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// What an answer says of itself, as the HTTP server writes it.
#[must_use]
pub fn profile(profile: &Profile) -> Value {
    let signals: Map<String, Value> = profile.signals.iter().map(|(name, s)| (name.clone(), state(s))).collect();
    let coverage: Vec<Value> = profile
        .coverage
        .iter()
        .map(|c| json!({"signal": c.signal, "enrichment": c.enrichment, "found": c.found, "events": c.events}))
        .collect();
    let degraded: Vec<&str> = profile
        .degraded
        .iter()
        .map(|d| match d {
            Degradation::Stale => "STALE",
            Degradation::NotStarted => "NOT_STARTED",
            Degradation::TrialUnavailable => "TRIAL_UNAVAILABLE",
        })
        .collect();
    json!({
        "revision": profile.revision,
        "epoch": profile.epoch,
        "schemaDigest": profile.schema_digest,
        "asOf": {"eventTime": time(profile.as_of), "availableAt": optional_time(profile.known_by)},
        "appliedThrough": optional_time(profile.least.applied_through),
        "historyThrough": optional_time(profile.least.history_through),
        "completeThrough": optional_time(profile.least.complete_through),
        "signals": signals,
        "newest": optional_time(profile.newest),
        "oldest": optional_time(profile.oldest),
        "available": profile.available,
        "completeness": match profile.completeness {
            Completeness::Unknown => "UNKNOWN",
            Completeness::Open => "OPEN",
            Completeness::Complete => "COMPLETE",
        },
        "coverage": coverage,
        "truncated": profile.truncated,
        "degraded": degraded,
        "deprecated": profile.deprecated.as_ref().map(|sunset| json!({"sunset": sunset})),
        "deep": profile.deep,
    })
}

fn state(state: &SignalState) -> Value {
    json!({
        "appliedThrough": optional_time(state.applied_through),
        "historyThrough": optional_time(state.history_through),
        "completeThrough": optional_time(state.complete_through),
    })
}

pub fn description(description: &Description) -> Value {
    let columns: Vec<Value> = description
        .columns
        .iter()
        .map(|c| json!({"name": c.name, "type": c.column_type, "nullable": c.nullable, "meaning": c.meaning}))
        .collect();
    let about = &description.about;
    json!({
        "feature": description.feature.to_string(),
        "description": about.description,
        "owners": about.owners,
        "revision": description.revision,
        "schemaDigest": description.schema_digest,
        "columns": columns,
        "entityType": description.entity_type,
        "length": description.length,
        "window": description.window_ms.map(|ms| tress_configs::duration::Duration::from_millis(ms).to_string()),
        "signals": description.signals,
        "contract": {
            "freshnessP99": about.freshness_p99.map(|d| d.to_string()),
            "completeWithin": about.complete_within.map(|d| d.to_string()),
        },
        "epoch": description.epoch,
        "trialWeightBp": description.trial_weight_bp,
        "revisions": revisions(&description.revisions),
        "deprecated": description.deprecated.as_ref().map(|sunset| json!({"sunset": sunset})),
    })
}

pub fn revisions(revisions: &[RevisionDescription]) -> Value {
    revisions.iter().map(revision).collect()
}

pub fn revision(revision: &RevisionDescription) -> Value {
    let mut object = json!({"digest": revision.digest, "role": revision.role.name(), "state": revision.state.name()});
    if !revision.reason.is_empty() {
        object["reason"] = revision.reason.clone().into();
    }
    object
}

pub fn refusal(refusal: &Refusal) -> Value {
    json!({"error": {"code": refusal.code.name(), "field": refusal.field, "message": refusal.message, "help": refusal.help}})
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BinaryArray, FixedSizeBinaryArray, Float32Array, Float64Array, ListArray, TimestampMicrosecondArray};
    use arrow::datatypes::Schema;
    use tress_configs::column::{ColumnType, Scalar};

    use super::*;

    #[test]
    fn base64_has_the_test_vectors_of_its_standard() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn rows_are_readable() {
        let halves: Vec<u8> = [0.5f32, -2.0].iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect();
        let timestamp = ColumnType::scalar(Scalar::Timestamp).field("event_time", false);
        let fields = vec![
            timestamp,
            ColumnType::vector(Scalar::Float16, 2).field("embedding", true),
            ColumnType::scalar(Scalar::Float32).field("rating", true),
            ColumnType::scalar(Scalar::Float64).field("odd", true),
            ColumnType::scalar(Scalar::Binary).field("raw", true),
            ColumnType::list(Scalar::Int64).field("ids", true),
        ];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from(vec![0, 1_500_000]).with_timezone("UTC")),
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some(halves), None].into_iter(), 4).expect("four bytes")),
            Arc::new(Float32Array::from(vec![Some(0.1), None])),
            Arc::new(Float64Array::from(vec![f64::NAN, f64::NEG_INFINITY])),
            Arc::new(BinaryArray::from_opt_vec(vec![Some(b"foo"), None])),
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(9_007_199_254_740_993), None]), None])),
        ];
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns of the schema");
        let expected = r#"[{"event_time":"1970-01-01T00:00:00Z","embedding":[0.5,-2.0],"rating":0.1,"odd":"NaN","raw":"Zm9v","ids":[9007199254740993,null]},{"event_time":"1970-01-01T00:00:01.500Z","embedding":null,"rating":null,"odd":"-Infinity","raw":null,"ids":null}]"#;
        assert_eq!(serde_json::to_string(&rows_to_json(&batch).expect("JSON")).expect("text"), expected);
        assert_eq!(rows_to_json(&batch.slice(1, 1)).expect("JSON").len(), 1);
    }
}
