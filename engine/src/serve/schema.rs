//! The schema of replies: plain (no dictionaries) and named by a digest that every language and version computes alike.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use tress_configs::column::TYPE_KEY;
use xxhash_rust::xxh3::xxh3_128;

/// The schema as replies have it: dictionaries decoded.
#[must_use]
pub fn plain(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(|f| plain_field(f)).collect::<Vec<_>>()))
}

fn plain_field(field: &Field) -> Field {
    Field::new(field.name(), plain_type(field.data_type()), field.is_nullable()).with_metadata(field.metadata().clone())
}

pub(super) fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::List(item) => DataType::List(Arc::new(plain_field(item))),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|f| plain_field(f)).collect()),
        other => other.clone(),
    }
}

/// Names a schema: 32 hexadecimal digits, of one line per column: name, type, nullability, type as written.
#[must_use]
pub fn digest(schema: &Schema) -> String {
    let mut text = String::new();
    for field in schema.fields() {
        write_field(&mut text, field);
    }
    format!("{:032x}", xxh3_128(text.as_bytes()))
}

fn write_field(text: &mut String, field: &Field) {
    let nullable = if field.is_nullable() { "null" } else { "" };
    let written = field.metadata().get(TYPE_KEY).map_or("", String::as_str);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}\t{}\t{nullable}\t{written}", field.name(), type_name(field.data_type()));
}

/// Own names: the library's change with its versions.
pub(super) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "bool".into(),
        DataType::Int8 => "int8".into(),
        DataType::Int16 => "int16".into(),
        DataType::Int32 => "int32".into(),
        DataType::Int64 => "int64".into(),
        DataType::UInt8 => "uint8".into(),
        DataType::UInt16 => "uint16".into(),
        DataType::UInt32 => "uint32".into(),
        DataType::UInt64 => "uint64".into(),
        DataType::Float16 => "float16".into(),
        DataType::Float32 => "float32".into(),
        DataType::Float64 => "float64".into(),
        DataType::Utf8 => "string".into(),
        DataType::Binary => "binary".into(),
        DataType::FixedSizeBinary(width) => format!("binary{width}"),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => format!("timestamp[us,{zone}]"),
        DataType::Dictionary(_, values) => type_name(values),
        DataType::List(item) => format!("list<{}>", type_name(item.data_type())),
        DataType::Struct(fields) => {
            let inner: Vec<String> = fields.iter().map(|f| format!("{}:{}", f.name(), type_name(f.data_type()))).collect();
            format!("struct<{}>", inner.join(","))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_frozen_and_looks_at_names_types_nullability_and_order() {
        let a = Field::new("a", DataType::Int64, false);
        let b = Field::new("b", DataType::Utf8, true);
        let of = |fields: Vec<Field>| digest(&Schema::new(fields));
        let frozen = of(vec![a.clone(), b.clone()]);
        assert_eq!(frozen, "3f8cd4b474c612eea573bf88f0820d7c");
        assert_ne!(frozen, of(vec![b.clone(), a.clone()]));
        assert_ne!(frozen, of(vec![a.clone(), b.clone().with_nullable(false)]));
        assert_ne!(frozen, of(vec![a.clone(), b.clone().with_name("c")]));
        assert_ne!(frozen, of(vec![a, b.with_data_type(DataType::Binary)]));
    }

    #[test]
    fn a_dictionary_has_the_schema_of_its_values() {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let schema = Schema::new(vec![Field::new("signal", dictionary, false)]);
        assert_eq!(plain(&schema).field(0).data_type(), &DataType::Utf8);
        assert_eq!(digest(&plain(&schema)), digest(&schema));
    }
}
