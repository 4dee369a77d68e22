//! When a cutover may start: `spec.rollout.windows`.

use jiff::Timestamp;
use jiff::civil::{Time, Weekday as Civil};
use jiff::tz::TimeZone;
use tress_configs::definition::{Weekday, Window};

/// Whether one of the windows is open. None at all = always. One that cannot be read is never open: compile refuses it.
#[must_use]
pub fn is_open(windows: Option<&[Window]>, now: Timestamp) -> bool {
    windows.is_none_or(|windows| windows.iter().any(|window| one(window, now).unwrap_or(false)))
}

/// A window that ends before it begins ends on the next day; its days are those on which it begins.
fn one(window: &Window, now: Timestamp) -> Option<bool> {
    let Window { days, from, to, time_zone } = window;
    let zone = TimeZone::get(time_zone.as_deref().unwrap_or("UTC")).ok()?;
    let (from, to) = (time_of_day(from)?, time_of_day(to)?);
    let now = now.to_zoned(zone);
    let begins_on = |day: Civil| days.iter().any(|d| civil(*d) == day);
    let (today, yesterday) = (now.weekday(), now.weekday().previous());
    let time = now.time();
    Some(if from < to {
        begins_on(today) && from <= time && time < to
    } else {
        (begins_on(today) && from <= time) || (begins_on(yesterday) && time < to)
    })
}

fn time_of_day(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

const fn civil(day: Weekday) -> Civil {
    match day {
        Weekday::Mon => Civil::Monday,
        Weekday::Tue => Civil::Tuesday,
        Weekday::Wed => Civil::Wednesday,
        Weekday::Thu => Civil::Thursday,
        Weekday::Fri => Civil::Friday,
        Weekday::Sat => Civil::Saturday,
        Weekday::Sun => Civil::Sunday,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(from: &str, to: &str, now: &str) -> bool {
        let window =
            Window { days: vec![Weekday::Mon], from: from.to_owned(), to: to.to_owned(), time_zone: Some("Europe/Berlin".to_owned()) };
        is_open(Some(&[window]), now.parse().unwrap())
    }

    #[test]
    fn a_window_is_open_on_its_days_between_its_times_in_its_zone() {
        // 2026-03-09 is a Monday; Berlin is an hour ahead.
        for (now, wanted) in [
            ("2026-03-09T07:59:59Z", false),
            ("2026-03-09T08:00:00Z", true),
            ("2026-03-09T15:00:00Z", false),
            ("2026-03-10T09:00:00Z", false),
        ] {
            assert_eq!(open("09:00", "16:00", now), wanted, "{now}");
        }
    }

    #[test]
    fn a_window_may_reach_into_the_next_day() {
        for (now, wanted) in [
            ("2026-03-09T01:00:00Z", false),
            ("2026-03-09T22:00:00Z", true),
            ("2026-03-10T02:59:00Z", true),
            ("2026-03-10T22:00:00Z", false),
        ] {
            assert_eq!(open("22:00", "04:00", now), wanted, "{now}");
        }
    }

    #[test]
    fn without_windows_it_is_always_open_and_an_empty_list_never() {
        let now = Timestamp::UNIX_EPOCH;
        assert!(is_open(None, now) && !is_open(Some(&[]), now));
        assert!(!open("9", "16:00", "2026-03-09T09:00:00Z"));
    }
}
