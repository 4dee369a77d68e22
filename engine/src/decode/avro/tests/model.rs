//! Schemas and values as the specification describes them, and how values are written: shares no code with the decoder.

use serde_json::{Value, json};

/// A type.
#[derive(Debug, Clone, PartialEq)]
pub enum T {
    Null,
    Bool,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Str,
    Fixed(String, usize),
    Enum(String, Vec<String>),
    Array(Box<T>),
    Map(Box<T>),
    Record(String, Vec<F>),
    Union(Vec<T>),
}

/// A field.
#[derive(Debug, Clone, PartialEq)]
pub struct F {
    pub name: String,
    pub alias: Option<String>,
    pub t: T,
    pub default: Option<Value>,
}

/// A value, as its writer has it.
#[derive(Debug, Clone, PartialEq)]
pub enum V {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    Bytes(Vec<u8>),
    Str(String),
    Fixed(Vec<u8>),
    Enum(usize),
    Array(Vec<V>),
    Map(Vec<(String, V)>),
    Record(Vec<V>),
    Union(usize, Box<V>),
}

impl T {
    pub fn json(&self) -> Value {
        match self {
            Self::Null => json!("null"),
            Self::Bool => json!("boolean"),
            Self::Int => json!("int"),
            Self::Long => json!({"type": "long"}),
            Self::Float => json!("float"),
            Self::Double => json!("double"),
            Self::Bytes => json!("bytes"),
            Self::Str => json!({"type": "string", "avro.java.string": "String"}),
            Self::Fixed(name, size) => json!({"type": "fixed", "name": name, "size": size}),
            Self::Enum(name, symbols) => json!({"type": "enum", "name": name, "symbols": symbols}),
            Self::Array(items) => json!({"type": "array", "items": items.json()}),
            Self::Map(values) => json!({"type": "map", "values": values.json()}),
            Self::Union(branches) => Value::Array(branches.iter().map(Self::json).collect()),
            Self::Record(name, fields) => {
                let fields = fields.iter().map(|f| {
                    let mut field = json!({"name": f.name, "type": f.t.json()});
                    if let Some(alias) = &f.alias {
                        field["aliases"] = json!([alias]);
                    }
                    if let Some(default) = &f.default {
                        field["default"] = default.clone();
                    }
                    field
                });
                json!({"type": "record", "name": name, "fields": fields.collect::<Vec<_>>()})
            }
        }
    }
}

impl V {
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => {}
            Self::Bool(value) => out.push(u8::from(*value)),
            Self::Int(value) => long(i64::from(*value), out),
            Self::Long(value) => long(*value, out),
            Self::Float(value) => out.extend(value.to_le_bytes()),
            Self::Double(value) => out.extend(value.to_le_bytes()),
            Self::Bytes(bytes) => prefixed(bytes, out),
            Self::Str(text) => prefixed(text.as_bytes(), out),
            Self::Fixed(bytes) => out.extend(bytes),
            Self::Enum(symbol) => long(*symbol as i64, out),
            Self::Array(elements) => blocks(elements, out, |element, out| element.encode(out)),
            Self::Map(members) => blocks(members, out, |(key, value), out| {
                prefixed(key.as_bytes(), out);
                value.encode(out);
            }),
            Self::Record(fields) => fields.iter().for_each(|field| field.encode(out)),
            Self::Union(branch, value) => {
                long(*branch as i64, out);
                value.encode(out);
            }
        }
    }
}

/// In blocks of at most three, every other one with its size in bytes.
fn blocks<X>(elements: &[X], out: &mut Vec<u8>, encode: impl Fn(&X, &mut Vec<u8>)) {
    for (number, block) in elements.chunks(3).enumerate() {
        let mut bytes = Vec::new();
        block.iter().for_each(|element| encode(element, &mut bytes));
        if number % 2 == 0 {
            long(block.len() as i64, out);
        } else {
            long(-(block.len() as i64), out);
            long(bytes.len() as i64, out);
        }
        out.extend(bytes);
    }
    out.push(0);
}

fn prefixed(bytes: &[u8], out: &mut Vec<u8>) {
    long(bytes.len() as i64, out);
    out.extend(bytes);
}

pub fn long(value: i64, out: &mut Vec<u8>) {
    let zigzag = if value < 0 { !((value as u64) << 1) } else { (value as u64) << 1 };
    let mut groups: Vec<u8> = (0..10).map(|group| (zigzag >> (7 * group)) as u8 & 0x7f).collect();
    while groups.len() > 1 && groups.last() == Some(&0) {
        groups.pop();
    }
    let last = groups.len() - 1;
    groups[..last].iter_mut().for_each(|group| *group |= 0x80);
    out.extend(groups);
}
