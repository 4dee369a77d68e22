//! The digest of a schema: what a record carries instead of the schema itself.

use std::fmt::Write;

use arrow::datatypes::{DataType, Field, Schema};
use xxhash_rust::xxh3::xxh3_128;

/// 32 hexadecimal digits over names, types, nullability and metadata of all fields, in order.
#[must_use]
pub fn schema_digest(schema: &Schema) -> String {
    let mut text = String::new();
    for field in schema.fields() {
        describe(field, &mut text);
    }
    format!("{:032x}", xxh3_128(text.as_bytes()))
}

/// Lengths before names keep two schemas from reading alike.
fn describe(field: &Field, text: &mut String) {
    let mut put = |part: &str| write!(text, "{}:{part};", part.len()).expect("writing to a string");
    put(field.name());
    put(if field.is_nullable() { "null" } else { "value" });
    let mut metadata: Vec<_> = field.metadata().iter().collect();
    metadata.sort_unstable();
    for (key, value) in metadata {
        put(key);
        put(value);
    }
    match field.data_type() {
        DataType::List(item) => {
            put("list");
            describe(item, text);
        }
        DataType::FixedSizeList(item, length) => {
            put("fixed");
            put(&length.to_string());
            describe(item, text);
        }
        DataType::Struct(fields) => {
            put("struct");
            put(&fields.len().to_string());
            fields.iter().for_each(|f| describe(f, text));
        }
        scalar => put(&format!("{scalar:?}")),
    }
}
