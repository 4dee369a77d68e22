//! Durations as users write them: `[0-9]+(ms|s|m|h|d)`.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A span of time in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(i64);

/// The longest duration that may be written: a thousand years.
const MAX_MILLIS: i64 = 1000 * 365 * 24 * 3600 * 1000;

/// The pattern that a duration must match, for schemas and messages.
pub const PATTERN: &str = "^[0-9]+(ms|s|m|h|d)$";

impl Duration {
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0 * 1000
    }

    /// Parses `90s`.
    ///
    /// # Errors
    /// A sentence that says what a duration looks like, when `text` is not one or is longer than a thousand years.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => {
                return Err(format!("\"{text}\" is not a duration: write a whole number and one of ms, s, m, h, d, such as 30m"));
            }
        };
        let number: i64 =
            number.parse().map_err(|_| format!("\"{text}\" is not a duration: it needs a whole number before the unit, such as 30m"))?;
        number
            .checked_mul(factor)
            .filter(|millis| *millis <= MAX_MILLIS)
            .map(Self)
            .ok_or_else(|| format!("\"{text}\" is longer than a thousand years"))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match self.0 {
            n if n % 86_400_000 == 0 && n > 0 => (n / 86_400_000, "d"),
            n if n % 3_600_000 == 0 && n > 0 => (n / 3_600_000, "h"),
            n if n % 60_000 == 0 && n > 0 => (n / 60_000, "m"),
            n if n % 1000 == 0 => (n / 1000, "s"),
            n => (n, "ms"),
        };
        write!(f, "{number}{unit}")
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN, "maxLength": 20 })
    }
}

#[cfg(test)]
mod tests {
    use super::Duration;

    #[test]
    fn a_duration_prints_as_the_largest_whole_unit() {
        for (text, printed) in [("3d", "3d"), ("72h", "3d"), ("90s", "90s"), ("120s", "2m"), ("0s", "0s"), ("1500ms", "1500ms")] {
            assert_eq!(Duration::parse(text).map(|d| d.to_string()), Ok(printed.to_owned()));
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in ["", "s", "3", "-1s", "1.5h", "3 d", "3D", "999999999999999999999d", "400000d"] {
            assert!(Duration::parse(text).is_err(), "{text}");
        }
    }
}
