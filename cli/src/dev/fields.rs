//! What the signals of a topic declare of its records: how CSV cells are read.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Number, Value};
use tress_configs::SignalPlan;
use tress_configs::column::{ColumnType, Scalar};

use super::records::insert;

/// Declared fields by their path in a record, `context.surface`.
type Declared = HashMap<String, (Vec<String>, ColumnType)>;

/// What is declared of a topic's records now. Clones share it: an edited definition counts from the next record on.
#[derive(Debug, Clone, Default)]
pub struct Fields(Arc<RwLock<Declared>>);

impl Fields {
    /// Of all signals that read `topic`; the first that declares a field decides.
    pub fn declare<'a>(&self, topic: &str, signals: impl IntoIterator<Item = &'a SignalPlan>) {
        let mut fields = Declared::new();
        for signal in signals.into_iter().filter(|s| s.source.stream.topic == topic) {
            for field in &signal.event.fields {
                fields.entry(field.path.join(".")).or_insert_with(|| (field.path.clone(), field.column_type.clone()));
            }
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fields;
    }

    /// Puts a cell where it belongs; an empty one is null, one of an undeclared column text.
    pub fn put(&self, object: &mut Map<String, Value>, name: &str, cell: &str) {
        match self.0.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            Some((path, column_type)) => insert(object, path, typed(cell, column_type)),
            None => insert(object, &[name.to_owned()], if cell.is_empty() { Value::Null } else { Value::from(cell) }),
        }
    }

    #[cfg(test)]
    pub fn for_test(fields: &[(&str, &str)]) -> Self {
        let column_type = |name: &str| match name {
            "int64" => ColumnType::scalar(Scalar::Int64),
            "float64" => ColumnType::scalar(Scalar::Float64),
            "bool" => ColumnType::scalar(Scalar::Bool),
            "list" => ColumnType::list(Scalar::String),
            _ => ColumnType::scalar(Scalar::String),
        };
        let fields = fields.iter().map(|(path, t)| ((*path).to_owned(), (path.split('.').map(str::to_owned).collect(), column_type(t))));
        Self(Arc::new(RwLock::new(fields.collect())))
    }
}

/// A cell as a value of a type; what is none stays text.
fn typed(cell: &str, column_type: &ColumnType) -> Value {
    if cell.is_empty() {
        return Value::Null;
    }
    let text = || Value::from(cell);
    if !column_type.is_scalar() {
        return serde_json::from_str(cell).ok().filter(Value::is_array).unwrap_or_else(text);
    }
    match column_type.scalar {
        Scalar::Int8 | Scalar::Int32 | Scalar::Int64 => cell.trim().parse::<i64>().map_or_else(|_| text(), Value::from),
        Scalar::Float16 | Scalar::Float32 | Scalar::Float64 => match cell.trim().parse::<i64>() {
            Ok(whole) => Value::from(whole),
            Err(_) => cell.trim().parse::<f64>().ok().and_then(Number::from_f64).map_or_else(text, Value::Number),
        },
        Scalar::Bool => match cell.trim() {
            "true" | "True" | "TRUE" | "1" => true.into(),
            "false" | "False" | "FALSE" | "0" => false.into(),
            _ => text(),
        },
        Scalar::String | Scalar::Binary | Scalar::Timestamp => text(),
    }
}
