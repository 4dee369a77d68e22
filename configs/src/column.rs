//! Column types: what users write, what it is in Arrow.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// The type of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scalar {
    Bool,
    /// Elements of a vector only; needs `scale`.
    Int8,
    Int32,
    Int64,
    Float16,
    Float32,
    Float64,
    String,
    Binary,
    /// Microseconds since 1970, UTC.
    Timestamp,
}

/// The type of a column: a scalar, a variable list of one, or a vector of fixed length.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ColumnType {
    pub scalar: Scalar,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub list: bool,
    /// Length of a vector; vectors are packed little-endian into fixed-size binary.
    #[serde(default, deserialize_with = "dim", skip_serializing_if = "Option::is_none")]
    pub dim: Option<u32>,
    /// What one unit of an int8 vector stands for, as a decimal string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<String>,
}

/// The longest vector.
pub const MAX_DIM: u32 = 65_536;

/// Field metadata: the type as users wrote it, `float16`, `list<string>`, `vector<float16, 64>`.
pub const TYPE_KEY: &str = "tress.type";
/// Field metadata: the field id.
pub const ID_KEY: &str = "PARQUET:field_id";

impl Scalar {
    /// Bytes of one element in a packed vector; `None` for what cannot be an element of one.
    #[must_use]
    pub const fn packed_width(self) -> Option<u32> {
        match self {
            Self::Int8 => Some(1),
            Self::Float16 => Some(2),
            Self::Float32 => Some(4),
            _ => None,
        }
    }

    /// The Arrow type of a value. A float16 is kept as a float32 that has been rounded to 16 bits,
    /// because table formats have no half floats; an int8 exists only in vectors.
    #[must_use]
    pub fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int8 => DataType::Int8,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float16 | Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::String => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }

    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::Float16 | Self::Float32 | Self::Float64)
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::Int8 => "int8",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float16 => "float16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::String => "string",
            Self::Binary => "binary",
            Self::Timestamp => "timestamp",
        })
    }
}

impl ColumnType {
    #[must_use]
    pub const fn scalar(scalar: Scalar) -> Self {
        Self { scalar, list: false, dim: None, scale: None }
    }

    #[must_use]
    pub const fn list(scalar: Scalar) -> Self {
        Self { scalar, list: true, dim: None, scale: None }
    }

    #[must_use]
    pub const fn vector(scalar: Scalar, dim: u32) -> Self {
        Self { scalar, list: false, dim: Some(dim), scale: None }
    }

    #[must_use]
    pub const fn is_scalar(&self) -> bool {
        !self.list && self.dim.is_none()
    }

    /// Bytes of one packed vector.
    #[must_use]
    pub fn packed_bytes(&self) -> Option<u32> {
        Some(self.dim? * self.scalar.packed_width()?)
    }

    /// The Arrow type that every batch of the engine uses for such a column.
    #[must_use]
    pub fn arrow(&self) -> DataType {
        if let Some(bytes) = self.packed_bytes() {
            DataType::FixedSizeBinary(i32::try_from(bytes).unwrap_or(i32::MAX))
        } else if self.list {
            DataType::List(Arc::new(Field::new("item", self.scalar.arrow(), true)))
        } else {
            self.scalar.arrow()
        }
    }

    /// The Arrow field of a column of this type, with the written type in its metadata.
    #[must_use]
    pub fn field(&self, name: &str, nullable: bool) -> Field {
        Field::new(name, self.arrow(), nullable).with_metadata([(TYPE_KEY.to_owned(), self.to_string())].into())
    }
}

/// A plan may come from a file that somebody wrote: lengths that no definition can have are refused where they are read.
fn dim<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    let dim = Option::<u32>::deserialize(from)?;
    match dim {
        Some(length) if !(1..=MAX_DIM).contains(&length) => {
            Err(D::Error::custom(format!("dim: a vector has 1 to {MAX_DIM} elements, not {length}")))
        }
        dim => Ok(dim),
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.dim, self.list) {
            (Some(dim), _) => write!(f, "vector<{}, {dim}>", self.scalar),
            (None, true) => write!(f, "list<{}>", self.scalar),
            (None, false) => write!(f, "{}", self.scalar),
        }
    }
}
