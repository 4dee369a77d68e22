//! Times as sources write them, in microseconds since 1970, UTC, floored.

use chrono::{DateTime, Timelike};
use tress_configs::definition::TimeUnit;

/// The first microsecond of the year 1: times are shown, and buckets named, with four digits for the year.
pub const MIN_MICROS: i64 = -62_135_596_800_000_000;
/// The last microsecond of the year 9999.
pub const MAX_MICROS: i64 = 253_402_300_799_999_999;

/// RFC 3339 with its offset, `2024-05-01T12:00:00.5+02:00`; `None` for anything else. A leap second counts as the next second.
#[must_use]
pub fn rfc3339(text: &str) -> Option<i64> {
    // chrono also takes a blank for the T, and lower-case letters; the standard's grammar needs the letter.
    if text.as_bytes().get(10).is_none_or(|t| *t != b'T' && *t != b't') {
        return None;
    }
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    time.timestamp().checked_mul(1_000_000)?.checked_add(i64::from(time.nanosecond() / 1000))
}

/// A whole number of `unit`s; `None` when it is outside the years 1 to 9999, or when the unit is none of numbers.
#[must_use]
pub fn from_number(value: i64, unit: TimeUnit) -> Option<i64> {
    let micros = match unit {
        TimeUnit::Seconds => value.checked_mul(1_000_000)?,
        TimeUnit::Millis => value.checked_mul(1000)?,
        TimeUnit::Micros | TimeUnit::Timestamp => value,
        TimeUnit::Nanos => value.div_euclid(1000),
        TimeUnit::Rfc3339 => return None,
    };
    in_range(micros)
}

/// The time itself, if it is within the years 1 to 9999.
#[must_use]
pub fn in_range(micros: i64) -> Option<i64> {
    (MIN_MICROS..=MAX_MICROS).contains(&micros).then_some(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_floored_to_microseconds() {
        assert_eq!(rfc3339("1970-01-01T00:00:01.0000019Z"), Some(1_000_001));
        assert_eq!(rfc3339("1969-12-31T23:59:59.9999999Z"), Some(-1));
        assert_eq!(rfc3339("1970-01-01T02:00:00+02:00"), Some(0));
        assert_eq!(from_number(-1, TimeUnit::Nanos), Some(-1));
        assert_eq!(from_number(1_999, TimeUnit::Nanos), Some(1));
    }

    #[test]
    fn the_bounds_are_the_years_1_to_9999() {
        assert_eq!(rfc3339("0001-01-01T00:00:00Z"), Some(MIN_MICROS));
        assert_eq!(rfc3339("9999-12-31T23:59:59.999999Z"), Some(MAX_MICROS));
        assert_eq!(from_number(i64::MAX, TimeUnit::Seconds), None);
        assert_eq!(from_number(i64::MAX, TimeUnit::Micros), None);
        assert_eq!(in_range(MAX_MICROS + 1), None);
    }

    #[test]
    fn what_has_no_offset_or_no_t_is_no_time() {
        for text in ["2024-05-01T12:00:00", "2024-05-01 12:00:00Z", "2024-05-01", "", "1714564800", "2024-13-01T00:00:00Z"] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
    }
}
