//! The identity of an event and the hash of its fields, written from the design once more: a type tag and the bytes of each value.

use xxhash_rust::xxh3::xxh3_64;

/// A value with its declared type.
#[derive(Debug, Clone, PartialEq)]
pub enum Typed {
    Null,
    Int64(i64),
    Float32(f32),
    Text(String),
    Timestamp(i64),
    Texts(Vec<Option<String>>),
}

impl Typed {
    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Null => bytes.push(0),
            Self::Int64(v) => bytes.extend([&[3u8][..], &v.to_le_bytes()].concat()),
            Self::Float32(v) => bytes.extend([&[4u8][..], &v.to_le_bytes()].concat()),
            Self::Text(v) => bytes.extend([&[6u8][..], &(v.len() as u32).to_le_bytes(), v.as_bytes()].concat()),
            Self::Timestamp(v) => bytes.extend([&[8u8][..], &v.to_le_bytes()].concat()),
            Self::Texts(items) => {
                bytes.extend([&[9u8][..], &(items.len() as u32).to_le_bytes()].concat());
                items.iter().for_each(|item| item.clone().map_or(Self::Null, Self::Text).write(bytes));
            }
        }
    }
}

fn hash(values: &[Typed]) -> u64 {
    let mut bytes = Vec::new();
    values.iter().for_each(|value| value.write(&mut bytes));
    xxh3_64(&bytes)
}

/// Entity, event_time, then the fields of the identity; the top bit flipped.
pub fn event_id(values: &[Typed]) -> i64 {
    (hash(values) ^ (1 << 63)) as i64
}

/// All declared fields; the low 32 bits, the top one of them flipped.
pub fn raw_hash(values: &[Typed]) -> i32 {
    (hash(values) as u32 ^ (1 << 31)) as i32
}

/// Frozen: stored data has these numbers in it.
#[test]
fn identities_never_change() {
    let text = |t: &str| Typed::Text(t.to_owned());
    let vectors = [
        (vec![text("u1"), Typed::Timestamp(1_704_067_200_000_000), Typed::Int64(7)], VECTORS[0]),
        (vec![Typed::Int64(-1), Typed::Timestamp(0), text("")], VECTORS[1]),
        (vec![text("ü"), Typed::Timestamp(-1), text("a"), Typed::Int64(i64::MAX)], VECTORS[2]),
    ];
    for (values, expected) in vectors {
        assert_eq!((event_id(&values), raw_hash(&values)), expected, "{values:?}");
        let arrays: Vec<arrow::array::ArrayRef> = values.iter().map(array).collect();
        assert_eq!(tress_engine::identity::event_ids(&arrays).expect("ids"), [expected.0], "{values:?}");
        assert_eq!(tress_engine::identity::raw_hashes(&arrays).expect("hashes"), [expected.1], "{values:?}");
    }
}

/// (event_id, raw_hash) of each, computed with another implementation of xxh3 (Python's xxhash).
const VECTORS: [(i64, i32); 3] =
    [(1_574_355_741_359_375_191, 433_226_583), (-6_654_362_883_301_097_368, 1_179_336_808), (-4_576_307_746_755_520_656, 1_136_973_680)];

fn array(value: &Typed) -> arrow::array::ArrayRef {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray, TimestampMicrosecondArray};
    match value {
        Typed::Int64(v) => Arc::new(Int64Array::from(vec![*v])),
        Typed::Text(v) => Arc::new(StringArray::from(vec![v.as_str()])),
        Typed::Timestamp(v) => Arc::new(TimestampMicrosecondArray::from(vec![*v]).with_timezone("UTC")),
        other => panic!("no vector has {other:?}"),
    }
}
