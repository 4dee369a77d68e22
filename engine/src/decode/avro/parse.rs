//! A schema's text into a schema, as the Avro specification has it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::schema::{Field, Kind, Logical, MAX_TYPES, Name, Schema, Type, TypeId};
use crate::registry::{Language, SchemaText};

/// How deep types may be written in one another.
const MAX_DEPTH: usize = 64;
/// The longest `fixed`: more does not fit into a record.
const MAX_FIXED: u64 = super::super::MAX_PAYLOAD_BYTES as u64;
/// The most digits after the point: no number of 128 bits has more.
const MAX_SCALE: u32 = 38;
/// The longest name of anything.
const MAX_NAME: usize = 1_000;

/// Why a text is no schema, for people: names what is in the schema, and nothing of what is written with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSchema(pub String);

type Result<T> = std::result::Result<T, BadSchema>;

/// Reads a schema of a registry.
pub fn of(text: &SchemaText) -> Result<Schema> {
    if text.language != Language::Avro {
        return Err(BadSchema("it is not written in Avro".to_owned()));
    }
    parse(text.references.iter().map(String::as_str), &text.schema)
}

/// `references`: the texts of what it refers to, each after those it refers to itself.
fn parse<'a>(references: impl IntoIterator<Item = &'a str>, text: &str) -> Result<Schema> {
    let mut parser = Parser::default();
    for reference in references {
        parser.text(reference)?;
    }
    let root = parser.text(text)?;
    let empty = empty(&parser.types);
    Ok(Schema { types: parser.types, root, empty })
}

#[derive(Default)]
struct Parser {
    types: Vec<Type>,
    names: HashMap<String, TypeId>,
}

/// Where a type is written.
#[derive(Clone, Copy)]
struct Place<'a> {
    namespace: &'a str,
    depth: usize,
}

impl Parser {
    fn text(&mut self, text: &str) -> Result<TypeId> {
        // A type may be given by its bare name, which is no JSON then.
        let value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(_) if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.') => {
                Value::String(text.to_owned())
            }
            Err(e) => return Err(BadSchema(format!("it is not JSON: line {}, column {}", e.line(), e.column()))),
        };
        self.any(&value, Place { namespace: "", depth: 0 })
    }

    fn any(&mut self, value: &Value, place: Place<'_>) -> Result<TypeId> {
        if place.depth > MAX_DEPTH {
            return Err(BadSchema(format!("its types are written more than {MAX_DEPTH} deep in one another")));
        }
        match value {
            Value::String(name) => self.named(name, place),
            Value::Array(branches) => {
                let id = self.add(Kind::Null)?;
                let mut ids = Vec::with_capacity(branches.len());
                for branch in branches {
                    let branch = self.any(branch, place.below())?;
                    if matches!(self.kind(branch), Kind::Union(_)) {
                        return Err(BadSchema("a union holds a union".to_owned()));
                    }
                    ids.push(branch);
                }
                Ok(self.set(id, Kind::Union(ids)))
            }
            Value::Object(object) => self.object(object, place),
            _ => Err(BadSchema("a type is neither a name, nor a list, nor an object".to_owned())),
        }
    }

    fn object(&mut self, object: &Map<String, Value>, place: Place<'_>) -> Result<TypeId> {
        let Some(of) = object.get("type") else { return Err(BadSchema("a type is an object without `type`".to_owned())) };
        let Value::String(of) = of else { return self.any(of, place.below()) };
        let inner = |key: &str| object.get(key).ok_or_else(|| BadSchema(format!("an {of} has no `{key}`")));
        let kind = match of.as_str() {
            "array" => {
                let id = self.add(Kind::Null)?;
                let items = self.any(inner("items")?, place.below())?;
                return Ok(self.set(id, Kind::Array(items)));
            }
            "map" => {
                let id = self.add(Kind::Null)?;
                let values = self.any(inner("values")?, place.below())?;
                return Ok(self.set(id, Kind::Map(values)));
            }
            "record" | "error" => return self.record(object, place),
            "enum" => {
                let (name, _) = name(object, place.namespace)?;
                let symbols = strings(object.get("symbols")).ok_or_else(|| BadSchema(format!("enum {} has no symbols", name.full)))?;
                let default = object.get("default").and_then(Value::as_str).map(str::to_owned);
                return self.define(Kind::Enum { name, symbols, default });
            }
            "fixed" => {
                let (name, _) = name(object, place.namespace)?;
                let size = object.get("size").and_then(Value::as_u64).filter(|size| *size <= MAX_FIXED);
                let size = size.ok_or_else(|| BadSchema(format!("fixed {} has no usable size", name.full)))?;
                let id = self.define(Kind::Fixed { name, size: size as usize })?;
                return Ok(self.annotate(id, object));
            }
            primitive => match self::primitive(primitive) {
                Some(kind) => kind,
                None => return self.named(primitive, place),
            },
        };
        let id = self.add(kind)?;
        Ok(self.annotate(id, object))
    }

    fn record(&mut self, object: &Map<String, Value>, place: Place<'_>) -> Result<TypeId> {
        let (name, namespace) = name(object, place.namespace)?;
        let full = name.full.clone();
        // Known before its fields are read: they may be of this very type.
        let id = self.define(Kind::Record { name: name.clone(), fields: Vec::new() })?;
        let Some(Value::Array(written)) = object.get("fields") else { return Err(BadSchema(format!("record {full} has no fields"))) };
        let mut fields: Vec<Field> = Vec::with_capacity(written.len().min(MAX_TYPES));
        let mut seen = std::collections::HashSet::new();
        for field in written {
            let called = field.get("name").and_then(Value::as_str).filter(|n| !n.is_empty() && n.len() <= MAX_NAME);
            let called = called.ok_or_else(|| BadSchema(format!("a field of record {full} has no usable name")))?;
            if !seen.insert(called.to_owned()) {
                return Err(BadSchema(format!("record {full} has two fields {called}")));
            }
            let of = field.get("type").ok_or_else(|| BadSchema(format!("field {called} of record {full} has no type")))?;
            fields.push(Field {
                name: called.to_owned(),
                aliases: strings(field.get("aliases")).unwrap_or_default(),
                of: self.any(of, Place { namespace: &namespace, depth: place.depth + 1 })?,
                default: field.get("default").cloned(),
            });
        }
        Ok(self.set(id, Kind::Record { name, fields }))
    }

    /// A type that is only named: a primitive one, or one that was defined before.
    fn named(&mut self, name: &str, place: Place<'_>) -> Result<TypeId> {
        if let Some(kind) = primitive(name) {
            return self.add(kind);
        }
        let full = qualified(name, place.namespace);
        self.names.get(&full).copied().ok_or_else(|| BadSchema(format!("it names {full}, which neither it nor its references define")))
    }

    fn define(&mut self, kind: Kind) -> Result<TypeId> {
        let Some(full) = kind.name().map(|n| n.full.clone()) else { return Err(BadSchema("a type has no name".to_owned())) };
        let id = self.add(kind)?;
        if self.names.insert(full.clone(), id).is_some() {
            return Err(BadSchema(format!("{full} is defined twice")));
        }
        Ok(id)
    }

    fn add(&mut self, kind: Kind) -> Result<TypeId> {
        if self.types.len() >= MAX_TYPES {
            return Err(BadSchema(format!("it has more than {MAX_TYPES} types")));
        }
        self.types.push(Type { kind, logical: None });
        Ok(self.types.len() - 1)
    }

    fn set(&mut self, id: TypeId, kind: Kind) -> TypeId {
        if let Some(place) = self.types.get_mut(id) {
            place.kind = kind;
        }
        id
    }

    fn kind(&self, id: TypeId) -> &Kind {
        self.types.get(id).map_or(&Kind::Null, |t| &t.kind)
    }

    fn annotate(&mut self, id: TypeId, object: &Map<String, Value>) -> TypeId {
        let logical = logical(self.kind(id), object);
        if let Some(place) = self.types.get_mut(id) {
            place.logical = logical;
        }
        id
    }
}

impl Place<'_> {
    const fn below(self) -> Self {
        Self { namespace: self.namespace, depth: self.depth + 1 }
    }
}

fn primitive(name: &str) -> Option<Kind> {
    Some(match name {
        "null" => Kind::Null,
        "boolean" => Kind::Boolean,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "bytes" => Kind::Bytes,
        "string" => Kind::String,
        _ => return None,
    })
}

/// What the annotations of a type mean; what they cannot mean on it, or what is not known, is nothing.
fn logical(kind: &Kind, object: &Map<String, Value>) -> Option<Logical> {
    let number = |key: &str| object.get(key).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    Some(match (object.get("logicalType")?.as_str()?, kind) {
        ("date", Kind::Int) => Logical::Date,
        ("timestamp-millis", Kind::Long) => Logical::TimestampMillis,
        ("timestamp-micros", Kind::Long) => Logical::TimestampMicros,
        ("timestamp-nanos", Kind::Long) => Logical::TimestampNanos,
        ("time-millis", Kind::Int) => Logical::Clock("time-millis"),
        ("time-micros", Kind::Long) => Logical::Clock("time-micros"),
        ("local-timestamp-millis", Kind::Long) => Logical::Clock("local-timestamp-millis"),
        ("local-timestamp-micros", Kind::Long) => Logical::Clock("local-timestamp-micros"),
        ("local-timestamp-nanos", Kind::Long) => Logical::Clock("local-timestamp-nanos"),
        ("uuid", Kind::String | Kind::Fixed { size: 16, .. }) => Logical::Uuid,
        ("decimal", Kind::Bytes | Kind::Fixed { .. }) => {
            let (precision, scale) = (number("precision")?, number("scale").unwrap_or(0));
            if precision == 0 || scale > precision || scale > MAX_SCALE {
                return None;
            }
            Logical::Decimal { scale }
        }
        _ => return None,
    })
}

/// The name of a named type, and the namespace of what is written in it.
fn name(object: &Map<String, Value>, enclosing: &str) -> Result<(Name, String)> {
    let given = object.get("name").and_then(Value::as_str).filter(|n| !n.is_empty() && n.len() <= MAX_NAME);
    let given = given.ok_or_else(|| BadSchema("a record, enum or fixed has no usable name".to_owned()))?;
    let namespace = match given.rsplit_once('.') {
        Some((namespace, _)) => namespace,
        None => object.get("namespace").and_then(Value::as_str).unwrap_or(enclosing),
    };
    let aliases = strings(object.get("aliases")).unwrap_or_default().iter().map(|alias| qualified(alias, namespace)).collect();
    Ok((Name { full: qualified(given, namespace), aliases }, namespace.to_owned()))
}

fn qualified(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn strings(value: Option<&Value>) -> Option<Vec<String>> {
    value?.as_array()?.iter().map(|s| s.as_str().map(str::to_owned)).collect()
}

/// Which types' values take no bytes: from what is known of the parts, again until nothing more comes to it.
fn empty(types: &[Type]) -> Vec<bool> {
    let mut empty = vec![false; types.len()];
    for _ in 0..MAX_DEPTH {
        let mut more = false;
        // What is written within a type comes after it.
        for (id, found) in types.iter().enumerate().rev() {
            let is = match &found.kind {
                Kind::Null | Kind::Fixed { size: 0, .. } => true,
                Kind::Record { fields, .. } => fields.iter().all(|f| empty.get(f.of).copied().unwrap_or(false)),
                _ => false,
            };
            if let Some(place) = empty.get_mut(id).filter(|place| is && !**place) {
                *place = true;
                more = true;
            }
        }
        if !more {
            break;
        }
    }
    empty
}
