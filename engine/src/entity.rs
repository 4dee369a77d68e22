//! Whose sequence it is, and where its rows are kept.

use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use tress_configs::column::Scalar;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};

/// One entity: a user, a device, an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    String(String),
    Int64(i64),
}

/// xxh3-64 with seed 0, its top bit flipped so that signed order is the hash's own order.
#[must_use]
pub fn hash_bytes(bytes: &[u8]) -> i64 {
    flip(xxh3_64(bytes))
}

/// Keeps the order of unsigned hashes in a signed integer.
#[must_use]
pub const fn flip(hash: u64) -> i64 {
    (hash ^ (1 << 63)) as i64
}

/// The shard of a hash: its top bits.
///
/// # Panics
/// When `shards` is no power of two; a plan's always is.
#[must_use]
pub fn shard_of(hash: i64, shards: u32) -> u32 {
    assert!(shards.is_power_of_two(), "shards must be a power of two");
    if shards == 1 {
        return 0;
    }
    let unsigned = (hash as u64) ^ (1 << 63);
    (unsigned >> (64 - shards.trailing_zeros())) as u32
}

/// The hashes of a shard: both ends belong to it.
#[must_use]
pub fn shard_range(shard: u32, shards: u32) -> (i64, i64) {
    let width = (1u128 << 64) / u128::from(shards);
    let first = u128::from(shard) * width;
    (flip(first as u64), flip((first + width - 1) as u64))
}

impl Entity {
    /// UTF-8, or the integer little-endian, hashed.
    #[must_use]
    pub fn hash(&self) -> i64 {
        match self {
            Self::String(text) => hash_bytes(text.as_bytes()),
            Self::Int64(number) => hash_bytes(&number.to_le_bytes()),
        }
    }

    /// Reads an entity that came as text, from a path or a command line.
    ///
    /// # Errors
    /// When entities are integers and this is none.
    pub fn parse(text: &str, scalar: Scalar) -> Result<Self> {
        match scalar {
            Scalar::Int64 => {
                text.parse().map(Self::Int64).map_err(|_| Error::invalid("entity: this feature's entities are int64; give a whole number"))
            }
            _ => Ok(Self::String(text.to_owned())),
        }
    }

    /// Whether row `row` of an entity column holds this entity.
    #[must_use]
    pub fn is_at(&self, column: &ArrayRef, row: usize) -> bool {
        match (self, column.data_type()) {
            (Self::String(text), DataType::Utf8) => column.as_string::<i32>().value(row) == text,
            (Self::Int64(number), DataType::Int64) => column.as_primitive::<Int64Type>().value(row) == *number,
            _ => false,
        }
    }

    /// The entity at row `row` of an entity column.
    #[must_use]
    pub fn at(column: &ArrayRef, row: usize) -> Self {
        match column.data_type() {
            DataType::Int64 => Self::Int64(column.as_primitive::<Int64Type>().value(row)),
            _ => Self::String(column.as_string::<i32>().value(row).to_owned()),
        }
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => f.write_str(text),
            Self::Int64(number) => write!(f, "{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hash_is_in_the_range_of_its_shard() {
        for shards in [1, 2, 16, 256] {
            for text in ["", "a", "u1", "u2", "a longer name of an entity"] {
                let hash = hash_bytes(text.as_bytes());
                let (first, last) = shard_range(shard_of(hash, shards), shards);
                assert!((first..=last).contains(&hash));
            }
            assert_eq!(shard_of(i64::MIN, shards), 0);
            assert_eq!(shard_of(i64::MAX, shards), shards - 1);
        }
    }
}
