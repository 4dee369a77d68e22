//! The default of a reader's field, written as records have their values: what reads records reads defaults, too.

use serde_json::Value;

use super::schema::{Kind, Schema, TypeId};

/// The longest default.
const MAX_BYTES: usize = 1 << 16;
/// The most values of a default, those of records within it included.
const MAX_VALUES: usize = 10_000;

/// `None` when the value is not of the type: then the field has no default.
pub fn encode(schema: &Schema, of: TypeId, value: &Value) -> Option<Vec<u8>> {
    let mut encoder = Encoder { schema, bytes: Vec::new(), left: MAX_VALUES };
    encoder.value(of, value, 0)?;
    Some(encoder.bytes)
}

struct Encoder<'a> {
    schema: &'a Schema,
    bytes: Vec<u8>,
    left: usize,
}

impl Encoder<'_> {
    fn value(&mut self, of: TypeId, value: &Value, depth: usize) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        if depth > super::MAX_DEPTH || self.bytes.len() > MAX_BYTES {
            return None;
        }
        let schema = self.schema;
        match (schema.kind(of), value) {
            (Kind::Null, Value::Null) => {}
            (Kind::Boolean, Value::Bool(value)) => self.bytes.push(u8::from(*value)),
            (Kind::Int, value) => self.long(i64::from(i32::try_from(value.as_i64()?).ok()?)),
            (Kind::Long, value) => self.long(value.as_i64()?),
            (Kind::Float, value) => self.bytes.extend((value.as_f64()? as f32).to_le_bytes()),
            (Kind::Double, value) => self.bytes.extend(value.as_f64()?.to_le_bytes()),
            (Kind::String, Value::String(text)) => self.run(text.as_bytes()),
            (Kind::Bytes, Value::String(text)) => {
                let bytes = latin(text)?;
                self.run(&bytes);
            }
            (Kind::Fixed { size, .. }, Value::String(text)) => {
                let bytes = latin(text)?;
                if bytes.len() != *size {
                    return None;
                }
                self.bytes.extend(bytes);
            }
            (Kind::Enum { symbols, .. }, Value::String(symbol)) => {
                let at = symbols.iter().position(|s| s == symbol)?;
                self.long(i64::try_from(at).ok()?);
            }
            (Kind::Array(items), Value::Array(values)) => {
                self.count(values.len())?;
                for value in values {
                    self.value(*items, value, depth + 1)?;
                }
                self.close();
            }
            (Kind::Map(values), Value::Object(members)) => {
                self.count(members.len())?;
                for (key, value) in members {
                    self.run(key.as_bytes());
                    self.value(*values, value, depth + 1)?;
                }
                self.close();
            }
            (Kind::Record { fields, .. }, Value::Object(members)) => {
                for field in fields {
                    self.value(field.of, members.get(&field.name).or(field.default.as_ref())?, depth + 1)?;
                }
            }
            // The first branch that it is a value of; older specifications know only the first at all.
            (Kind::Union(branches), value) => {
                let before = self.bytes.len();
                for (at, branch) in branches.iter().enumerate() {
                    self.long(i64::try_from(at).ok()?);
                    if self.value(*branch, value, depth + 1).is_some() {
                        return Some(());
                    }
                    self.bytes.truncate(before);
                }
                return None;
            }
            _ => return None,
        }
        Some(())
    }

    fn long(&mut self, value: i64) {
        let mut left = ((value << 1) ^ (value >> 63)) as u64;
        while left >= 0x80 {
            self.bytes.push(left as u8 | 0x80);
            left >>= 7;
        }
        self.bytes.push(left as u8);
    }

    fn run(&mut self, bytes: &[u8]) {
        self.long(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        self.bytes.extend(bytes);
    }

    /// The length of the only block, if there is one.
    fn count(&mut self, of: usize) -> Option<()> {
        if of > 0 {
            self.long(i64::try_from(of).ok()?);
        }
        Some(())
    }

    fn close(&mut self) {
        self.long(0);
    }
}

/// Bytes as JSON has them: a letter each.
fn latin(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}
