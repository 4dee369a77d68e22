//! Buckets: what a history is partitioned by. `2024-01-01` is a day, `2024-01-01-05` an hour of event_time, in UTC.

use std::ops::Range;

use tress_configs::definition::Bucket;

use crate::error::{Error, Result};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// Microseconds of one bucket.
#[must_use]
pub const fn width(bucket: Bucket) -> i64 {
    match bucket {
        Bucket::Hour => HOUR,
        Bucket::Day => DAY,
    }
}

/// The first microsecond of the bucket that holds `micros`; times before 1970 are floored, too.
#[must_use]
pub const fn start_of(micros: i64, bucket: Bucket) -> i64 {
    micros.saturating_sub(micros.rem_euclid(width(bucket)))
}

/// The name of the bucket that holds `micros`.
#[must_use]
pub fn name_of(micros: i64, bucket: Bucket) -> String {
    let days = micros.div_euclid(DAY);
    let (year, month, day) = civil(days);
    match bucket {
        Bucket::Day => format!("{year:04}-{month:02}-{day:02}"),
        Bucket::Hour => format!("{year:04}-{month:02}-{day:02}-{:02}", micros.rem_euclid(DAY) / HOUR),
    }
}

/// The event times of the bucket with this name: from the first microsecond up to, but not, the first of the next.
///
/// # Errors
/// `Corrupt` when `name` is none that [`name_of`] gives.
pub fn range_of(name: &str, bucket: Bucket) -> Result<Range<i64>> {
    let wrong = || Error::corrupt(format!("read bucket `{name}`: not a bucket of this signal; days read 2024-01-01, hours 2024-01-01-05"));
    let (date, hour) = match bucket {
        Bucket::Day => (name, 0),
        Bucket::Hour => {
            let (date, hour) = name.rsplit_once('-').ok_or_else(wrong)?;
            (date, hour.parse::<i64>().map_err(|_| wrong())?)
        }
    };
    let (rest, day) = date.rsplit_once('-').ok_or_else(wrong)?;
    let (year, month) = rest.rsplit_once('-').ok_or_else(wrong)?;
    let (year, month, day) =
        (year.parse::<i64>().map_err(|_| wrong())?, month.parse::<i64>().map_err(|_| wrong())?, day.parse::<i64>().map_err(|_| wrong())?);
    // Far beyond what 64 bits of microseconds reach, so that nothing below overflows.
    if !(-300_000..=300_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(0..24).contains(&hour) {
        return Err(wrong());
    }
    let start = days_of(year, month, day).saturating_mul(DAY).saturating_add(hour * HOUR);
    if name_of(start, bucket) != name {
        return Err(wrong());
    }
    Ok(start..start.saturating_add(width(bucket)))
}

/// Days since 1970-01-01 → (year, month, day) of the proleptic Gregorian calendar.
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
const fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + (month <= 2) as i64, month, day)
}

/// The inverse of [`civil`]; `days_from_civil` of the same source.
const fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let yoe = year.rem_euclid(400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_before_1970_belong_to_the_day_and_hour_that_holds_them() {
        assert_eq!(name_of(0, Bucket::Day), "1970-01-01");
        assert_eq!(name_of(-1, Bucket::Day), "1969-12-31");
        assert_eq!(name_of(-1, Bucket::Hour), "1969-12-31-23");
        assert_eq!(name_of(1_704_086_399_999_999, Bucket::Hour), "2024-01-01-05");
        assert_eq!(name_of(1_709_164_800_000_000, Bucket::Day), "2024-02-29");
    }

    #[test]
    fn names_that_are_no_buckets_are_refused() {
        for name in ["", "2024", "2024-02-30", "2024-13-01", "2024-1-1", "2024-01-01-05", "__HIVE_DEFAULT_PARTITION__"] {
            assert!(range_of(name, Bucket::Day).is_err(), "{name}");
        }
        assert!(range_of("2024-01-01-24", Bucket::Hour).is_err());
    }

    proptest! {
        #[test]
        fn every_time_lies_in_the_range_of_its_bucket(micros in any::<i64>(), day in any::<bool>()) {
            let bucket = if day { Bucket::Day } else { Bucket::Hour };
            // The first bucket of all begins before the first microsecond that 64 bits hold.
            prop_assume!(micros > i64::MIN + 2 * DAY && micros < i64::MAX - 2 * DAY);
            let range = range_of(&name_of(micros, bucket), bucket).unwrap();
            prop_assert!(range.contains(&micros));
            prop_assert_eq!(range.start, start_of(micros, bucket));
        }
    }
}
