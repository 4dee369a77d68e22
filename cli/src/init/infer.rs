//! A type for each field, from the values that were seen.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::name;
use super::sample::Sample;

/// A field of the events, as the sample shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// What it is called in the definition.
    pub name: String,
    /// Where it is in a record: keys from the outermost on.
    pub path: Vec<String>,
    pub shape: Shape,
    /// Whether a record was without it.
    pub nullable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    Bool,
    Int64,
    Float64,
    String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    One(Scalar),
    List(Scalar),
    /// Numbers, as many in every record.
    Vector(usize),
}

/// What was found in a sample.
#[derive(Debug)]
pub struct Fields {
    pub fields: Vec<Field>,
    /// Why what was left out is left out, a sentence each.
    pub left_out: Vec<String>,
}

/// Lists of numbers that are as long as this in every record are taken for vectors.
const MIN_VECTOR: usize = 8;

impl Scalar {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::String => "string",
        }
    }
}

impl Field {
    /// The value of this field in a record.
    pub fn of<'a>(&self, record: &'a Map<String, Value>) -> &'a Value {
        at(record, &self.path)
    }
}

/// Infers the fields of a sample, in the order in which they appear.
pub fn infer(sample: &Sample) -> Fields {
    let mut paths = Vec::new();
    let mut known = HashSet::new();
    for record in &sample.records {
        collect(record, &mut Vec::new(), &mut known, &mut paths);
    }
    let mut found = Fields { fields: Vec::new(), left_out: Vec::new() };
    let mut names = HashSet::new();
    for path in paths {
        let shown = path.join(".");
        if path.iter().any(|key| key.contains('.') || key.is_empty()) {
            found.left_out.push(format!("{shown}: a key with a dot or without letters cannot be named in a path"));
            continue;
        }
        let values: Vec<&Value> = sample.records.iter().map(|record| at(record, &path)).collect();
        let given: Vec<&Value> = values.iter().copied().filter(|v| !v.is_null()).collect();
        let shape = match shape(&given) {
            Ok(shape) => shape,
            Err(reason) => {
                found.left_out.push(format!("{shown}: {reason}"));
                continue;
            }
        };
        let mut name = name::field(path.last().map_or("", String::as_str));
        if !names.insert(name.clone()) {
            name = name::field(&path.join("_"));
            if !names.insert(name.clone()) {
                found.left_out.push(format!("{shown}: another field is called {name} already"));
                continue;
            }
        }
        found.fields.push(Field { name, path, shape, nullable: given.len() < values.len() });
    }
    found
}

/// All paths to values that are no objects.
fn collect(record: &Map<String, Value>, prefix: &mut Vec<String>, known: &mut HashSet<Vec<String>>, paths: &mut Vec<Vec<String>>) {
    for (key, value) in record {
        prefix.push(key.clone());
        match value {
            Value::Object(nested) => collect(nested, prefix, known, paths),
            _ if known.contains(prefix.as_slice()) => {}
            _ => {
                known.insert(prefix.clone());
                paths.push(prefix.clone());
            }
        }
        prefix.pop();
    }
}

fn at<'a>(record: &'a Map<String, Value>, path: &[String]) -> &'a Value {
    const NOTHING: &Value = &Value::Null;
    let Some((first, rest)) = path.split_first() else { return NOTHING };
    let mut value = record.get(first).unwrap_or(NOTHING);
    for key in rest {
        value = value.get(key).unwrap_or(NOTHING);
    }
    value
}

fn shape(values: &[&Value]) -> Result<Shape, &'static str> {
    if values.is_empty() {
        return Err("it has no value in the sample, so its type is not known");
    }
    if !values.iter().any(|v| v.is_array()) {
        return scalar(values.iter().copied()).map(Shape::One);
    }
    let Some(lists) = values.iter().map(|v| v.as_array()).collect::<Option<Vec<_>>>() else {
        return Err("it is a list in some records only");
    };
    if lists.iter().all(|list| list.is_empty()) {
        return Err("its lists are all empty, so the type of their items is not known");
    }
    let items = scalar(lists.iter().copied().flatten())?;
    let length = lists[0].len();
    let vector = items == Scalar::Float64 && length >= MIN_VECTOR && lists.iter().all(|list| list.len() == length);
    Ok(if vector { Shape::Vector(length) } else { Shape::List(items) })
}

fn scalar<'a>(values: impl Iterator<Item = &'a Value>) -> Result<Scalar, &'static str> {
    let mut found = None;
    for value in values {
        let this = match value {
            Value::Bool(_) => Scalar::Bool,
            Value::Number(n) if n.is_i64() => Scalar::Int64,
            Value::Number(_) => Scalar::Float64,
            Value::String(_) => Scalar::String,
            Value::Null => return Err("its lists hold nulls"),
            Value::Array(_) | Value::Object(_) => return Err("it is nested in a way that columns cannot hold"),
        };
        found = Some(match found {
            None => this,
            Some(before) if before == this => this,
            Some(Scalar::Int64 | Scalar::Float64) if matches!(this, Scalar::Int64 | Scalar::Float64) => Scalar::Float64,
            Some(_) => return Err("its values are of different types"),
        });
    }
    found.ok_or("it has no value in the sample")
}
