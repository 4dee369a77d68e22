//! When a schedule is due in its time zone. After a downtime it is caught up once, however often it was missed.

use super::{Day, Schedule};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A schedule in its zone, by microseconds since 1970, UTC.
#[derive(Debug, Clone)]
pub struct Calendar {
    schedule: Schedule,
    zone: TimeZone,
}

impl Calendar {
    /// `zone`: a name such as `Europe/Berlin`.
    ///
    /// # Errors
    /// A sentence that says what is wrong with which.
    pub fn parse(schedule: &str, zone: &str) -> Result<Self, String> {
        let named = TimeZone::get(zone).map_err(|_| format!("\"{zone}\" is no time zone; write a name such as UTC or Europe/Berlin"))?;
        Ok(Self { schedule: Schedule::parse(schedule)?, zone: named })
    }

    /// As [`due`]: the newest time after `last` that is not later than `now`, and the first after `now`.
    #[must_use]
    pub fn due(&self, last: i64, now: i64) -> (Option<i64>, Option<i64>) {
        let at = |micros: i64| Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 { Timestamp::MIN } else { Timestamp::MAX });
        let Due { missed, next } = due(&self.schedule, &self.zone, at(last), at(now));
        (missed.map(Timestamp::as_microsecond), next.map(Timestamp::as_microsecond))
    }
}

/// What is due, and what will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The newest time that came after `last` and is not later than now.
    pub missed: Option<Timestamp>,
    /// The first time after now; `None` = it never comes (February 30th).
    pub next: Option<Timestamp>,
}

/// The 29th of February may be eight years away.
const MAX_DAYS: usize = 8 * 366 + 1;

/// `last`: the time that was acted upon last, or when the revision was made.
#[must_use]
pub fn due(schedule: &Schedule, zone: &TimeZone, last: Timestamp, now: Timestamp) -> Due {
    let today = now.to_zoned(zone.clone()).date();
    let backwards = std::iter::successors(Some(today), |day| day.checked_sub(1.day()).ok()).take(MAX_DAYS);
    let first_day = last.to_zoned(zone.clone()).date();
    let missed = backwards
        .take_while(|day| *day >= first_day)
        .find_map(|day| times(schedule, zone, day).into_iter().rev().find(|at| *at <= now).filter(|at| *at > last));
    let forwards = std::iter::successors(Some(today), |day| day.checked_add(1.day()).ok()).take(MAX_DAYS);
    let next = forwards.into_iter().find_map(|day| times(schedule, zone, day).into_iter().find(|at| *at > now));
    Due { missed, next }
}

/// The times of a day, in order. One that the clock skips comes as much later; of one that it repeats, the first counts.
fn times(schedule: &Schedule, zone: &TimeZone, date: Date) -> Vec<Timestamp> {
    let unsigned = |n: i8| u8::try_from(n).unwrap_or_default();
    let day = Day { day: unsigned(date.day()), month: unsigned(date.month()), weekday: unsigned(date.weekday().to_sunday_zero_offset()) };
    if !schedule.is_due_on(day) {
        return Vec::new();
    }
    let at = |(hour, minute): (u8, u8)| {
        let (hour, minute) = (i8::try_from(hour).ok()?, i8::try_from(minute).ok()?);
        Some(zone.to_ambiguous_zoned(date.at(hour, minute, 0, 0)).compatible().ok()?.timestamp())
    };
    let mut times: Vec<Timestamp> = schedule.times().filter_map(at).collect();
    times.sort();
    times.dedup();
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn in_zone(schedule: &str, zone: &str, last: &str, now: &str) -> (Option<String>, Option<String>) {
        let due = due(&Schedule::parse(schedule).unwrap(), &TimeZone::get(zone).unwrap(), at(last), at(now));
        (due.missed.map(|t| t.to_string()), due.next.map(|t| t.to_string()))
    }

    fn some(missed: &str, next: &str) -> (Option<String>, Option<String>) {
        let told = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        (told(missed), told(next))
    }

    #[test]
    fn what_was_missed_for_a_week_is_caught_up_once() {
        let wanted = some("2026-03-10T03:15:00Z", "2026-03-11T03:15:00Z");
        assert_eq!(in_zone("15 3 * * *", "UTC", "2026-03-03T03:15:00Z", "2026-03-10T12:00:00Z"), wanted);
        // Acted upon, nothing is left to do.
        assert_eq!(in_zone("15 3 * * *", "UTC", "2026-03-10T03:15:00Z", "2026-03-10T12:00:00Z"), some("", "2026-03-11T03:15:00Z"));
    }

    #[test]
    fn a_revision_made_after_the_time_of_the_day_waits_for_the_next() {
        assert_eq!(in_zone("15 3 * * *", "UTC", "2026-03-10T04:00:00Z", "2026-03-10T12:00:00Z"), some("", "2026-03-11T03:15:00Z"));
    }

    #[test]
    fn times_are_those_of_the_zone() {
        let wanted = some("2026-07-01T01:15:00Z", "2026-07-02T01:15:00Z");
        assert_eq!(in_zone("15 3 * * *", "Europe/Berlin", "2026-06-30T12:00:00Z", "2026-07-01T12:00:00Z"), wanted);
    }

    #[test]
    fn a_time_that_the_clock_skips_comes_later_and_one_that_it_repeats_comes_once() {
        // 2026-03-29: 02:00 becomes 03:00. 2026-10-25: 03:00 becomes 02:00.
        let skipped = some("2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z");
        assert_eq!(in_zone("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"), skipped);
        let repeated = some("2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z");
        assert_eq!(in_zone("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z"), repeated);
    }

    #[test]
    fn leap_days_come_and_what_never_comes_is_told() {
        assert_eq!(in_zone("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"), some("", "2028-02-29T00:00:00Z"));
        assert_eq!(in_zone("0 0 30 2 *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"), (None, None));
    }

    #[test]
    fn a_calendar_counts_in_microseconds_and_says_what_is_wrong() {
        let calendar = Calendar::parse("15 3 * * *", "Europe/Berlin").unwrap();
        let micros = |text: &str| at(text).as_microsecond();
        let due = calendar.due(micros("2026-06-30T12:00:00Z"), micros("2026-07-01T12:00:00Z"));
        assert_eq!(due, (Some(micros("2026-07-01T01:15:00Z")), Some(micros("2026-07-02T01:15:00Z"))));
        assert!(Calendar::parse("15 3 * * *", "Berlin").unwrap_err().contains("Berlin"));
        assert!(Calendar::parse("15 3 * *", "UTC").is_err());
    }
}
