//! What users write, and what it is compiled to.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{Field, Schema};
use tress_configs::column::{ColumnType, Scalar};
use tress_configs::expression::{self, Column, Wanted};
use tress_configs::source::{Foreign, parse};
use tress_configs::{Pins, Plan, compile};
use tress_engine::decode::Decoder;
use tress_engine::pipeline::Pipeline;
use tress_engine::read::Feature;

use crate::mutate::mutate;
use crate::run::Target;

/// Files of the tree with this ending, sorted.
pub fn files(folder: &str, ending: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(&folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == ending));
    paths.sort();
    assert!(!paths.is_empty(), "{} has no .{ending}", folder.display());
    paths.iter().map(|path| std::fs::read(path).expect("a file")).collect()
}

pub fn definitions() -> Target {
    let seeds = [files("configs/golden", "yaml"), files("examples/movielens", "yaml")].concat();
    Box::new(move |random, keep| {
        let text = String::from_utf8_lossy(&mutate(random, &seeds)).into_owned();
        keep(text.as_bytes());
        let parsed = parse("fuzz.yaml", &text, Foreign::Report);
        let objects: Vec<_> = parsed.objects.into_iter().map(|o| o.item).collect();
        for compiled in compile(&objects, &Pins::default()).into_values().flatten() {
            let json = compiled.plan.canonical_json();
            assert_eq!(Plan::from_json(&json).as_ref(), Ok(&compiled.plan), "what is compiled can be read back");
        }
    })
}

pub fn plans() -> Target {
    let plan = |golden: &Vec<u8>| serde_json::from_slice::<serde_json::Value>(golden).expect("JSON")["plan"].to_string().into_bytes();
    let seeds: Vec<Vec<u8>> = files("configs/golden", "json").iter().map(plan).collect();
    let signals: Vec<_> =
        seeds.iter().filter_map(|json| Plan::from_json(std::str::from_utf8(json).ok()?).ok()?.as_signal().cloned().map(Arc::new)).collect();
    assert!(signals.len() > 1);
    Box::new(move |random, keep| {
        let text = String::from_utf8_lossy(&mutate(random, &seeds)).into_owned();
        keep(text.as_bytes());
        match Plan::from_json(&text) {
            Err(_) => {}
            Ok(Plan::Signal(plan)) => {
                let plan = Arc::new(plan);
                // Whether they take it or not is theirs to say.
                drop(Decoder::new(&plan));
                drop(Pipeline::new(plan, Vec::new()));
            }
            Ok(Plan::Feature(plan)) => {
                let read = plan.signals.iter().filter_map(|s| signals.iter().find(|known| known.name == s.name).cloned()).collect();
                drop(Feature::new(Arc::new(plan), read));
            }
        }
    })
}

pub fn expressions() -> Target {
    let seeds: Vec<Vec<u8>> = [
        "a + 1 > 2 AND NOT (b IS NULL) OR c = 'x'",
        "CASE WHEN a > 1 THEN 'y' WHEN a < -5 THEN NULL ELSE c END",
        "coalesce(b, 1.5) * 2 - abs(b) / 3",
        "substr(lower(c), 1, 3) || '-' || upper(c)",
        "a IN (1, 2, 3) AND c LIKE '%a_b%' AND a BETWEEN -1 AND 10",
        "CAST(c AS BIGINT) = 3 OR TRY_CAST(b AS INTEGER) % 7 = 1",
        "date_trunc('hour', t) = TIMESTAMP '2024-01-01T00:00:00Z'",
        "array_length(l) > 0 AND array_has(l, 'x')",
        "c ~ '^[a-z]+$' AND character_length(c) < 10",
        "((((((((((((a))))))))))))",
        "power(b, 1000) + sqrt(-b) + ln(b) + round(b, 400)",
        "repeat(c, 1000000)",
        "lpad(c, 2147483647, 'x')",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    let list = ColumnType { list: true, ..ColumnType::scalar(Scalar::String) };
    let columns: Vec<Column> = [
        ("a", ColumnType::scalar(Scalar::Int64)),
        ("b", ColumnType::scalar(Scalar::Float64)),
        ("c", ColumnType::scalar(Scalar::String)),
        ("t", ColumnType::scalar(Scalar::Timestamp)),
        ("l", list),
    ]
    .into_iter()
    .map(|(name, column_type)| Column { name: name.to_owned(), column_type, nullable: true })
    .collect();
    let schema = Arc::new(Schema::new(columns.iter().map(|c| Field::new(&c.name, c.column_type.arrow(), true)).collect::<Vec<_>>()));
    let values: Vec<ArrayRef> = schema.fields().iter().map(|f| values(f)).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), values).expect("a batch");
    Box::new(move |random, keep| {
        let text = String::from_utf8_lossy(&mutate(random, &seeds)).into_owned();
        keep(text.as_bytes());
        let wanted = if random.below(2) == 0 { Wanted::Condition } else { Wanted::Value };
        drop(expression::columns_of(&text));
        if let Ok(typed) = expression::compile(&text, &columns, wanted) {
            let physical = expression::physical(&typed.expression, &schema).expect("what compiles has a physical expression");
            // It may fail for these values; that is a row's fault.
            drop(physical.evaluate(&batch).and_then(|value| value.into_array(batch.num_rows())));
        }
    })
}

/// Two values and a null of a type.
fn values(field: &Field) -> ArrayRef {
    use arrow::array::{Float64Array, Int64Array, StringArray};
    match field.name().as_str() {
        "a" => Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(7), None])),
        "b" => Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(-1.5), None])),
        "c" => Arc::new(StringArray::from(vec![Some("änd"), Some(""), None])),
        _ => {
            let nulls = new_null_array(field.data_type(), 3);
            assert_eq!(nulls.len(), 3);
            nulls
        }
    }
}
