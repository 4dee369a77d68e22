//! One value on its way from a source to a declared type. Whatever the source is, these are the rules of conversion, so that
//! equal values of a topic and of a table become equal fields.
//!
//! - *int32, int64*: whole numbers in range; a number with a fraction part or an exponent counts when it is whole and at most 2^53.
//! - *float16, float32, float64*: any number, rounded to the nearest through float64 and float32; a finite number that the type
//!   cannot hold does not fit. Every NaN is the same NaN, and −0 is 0.
//! - *string*: text. *bool*: true or false. Nothing else: no numbers in strings, no strings of numbers.
//! - *binary*: bytes, or text that is canonical base64.
//! - *timestamp*: a time, floored to microseconds, or RFC 3339 text with its offset. A bare number does not fit: it does not say
//!   its unit; declare the field int64 and name the unit where it is used.
//! - *lists*: elements may be null and otherwise follow the same rules. *Vectors*: exactly as many elements as declared, none null.

use half::f16;
use tress_configs::column::Scalar;

use super::{base64, time};

/// A value as its source has it. Lists are given to the builders element by element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Microseconds, UTC.
    Micros(i64),
    /// Something that fits no type: an object, a list where none belongs, a number out of every range.
    Other,
}

/// The one NaN of each width: hashes and stored bytes must not depend on which one a source has.
pub(crate) const NAN16: f16 = f16::from_bits(0x7e00);
pub(crate) const NAN32: f32 = f32::from_bits(0x7fc0_0000);
pub(crate) const NAN64: f64 = f64::from_bits(0x7ff8_0000_0000_0000);

/// Whole numbers up to here are exact in a float64.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Cell<'_> {
    pub(super) const fn bool(self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn int64(self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(value),
            Self::Float(value) if value.fract() == 0.0 && value.abs() <= EXACT => Some(value as i64),
            _ => None,
        }
    }

    pub(super) fn int32(self) -> Option<i32> {
        self.int64().and_then(|value| i32::try_from(value).ok())
    }

    pub(super) fn int8(self) -> Option<i8> {
        self.int64().and_then(|value| i8::try_from(value).ok())
    }

    pub(super) fn float64(self) -> Option<f64> {
        let value = match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
            _ => return None,
        };
        Some(if value.is_nan() { NAN64 } else { value + 0.0 })
    }

    pub(super) fn float32(self) -> Option<f32> {
        let wide = self.float64()?;
        if wide.is_nan() {
            return Some(NAN32);
        }
        let value = wide as f32;
        (value.is_finite() || !wide.is_finite()).then_some(value + 0.0)
    }

    pub(super) fn float16(self) -> Option<f16> {
        let wide = self.float32()?;
        if wide.is_nan() {
            return Some(NAN16);
        }
        let value = f16::from_f32(wide);
        (value.is_finite() || !wide.is_finite()).then_some(if value == f16::ZERO { f16::ZERO } else { value })
    }

    pub(super) fn micros(self) -> Option<i64> {
        match self {
            Self::Micros(value) => Some(value),
            Self::Text(text) => time::rfc3339(text),
            _ => None,
        }
    }

    /// Whether it is of the type, as an element of a list. Null is.
    pub(super) fn is_a(self, scalar: Scalar) -> bool {
        if self == Self::Null {
            return true;
        }
        match scalar {
            Scalar::Bool => self.bool().is_some(),
            Scalar::Int8 => self.int8().is_some(),
            Scalar::Int32 => self.int32().is_some(),
            Scalar::Int64 => self.int64().is_some(),
            Scalar::Float16 => self.float16().is_some(),
            Scalar::Float32 => self.float32().is_some(),
            Scalar::Float64 => self.float64().is_some(),
            Scalar::String => matches!(self, Self::Text(_)),
            Scalar::Binary => match self {
                Self::Bytes(_) => true,
                Self::Text(text) => base64::decode(text).is_some(),
                _ => false,
            },
            Scalar::Timestamp => self.micros().is_some(),
        }
    }
}
