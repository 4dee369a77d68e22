//! When something is due: the five fields of cron.

pub mod due;

/// Minutes, hours, days, months and weekdays, each as the set of its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// Sunday is 0.
    weekdays: u64,
    /// Day and weekday are both restricted: then either will do, as cron has always had it.
    either: bool,
}

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// 1 to 31.
    pub day: u8,
    /// 1 to 12.
    pub month: u8,
    /// Sunday is 0.
    pub weekday: u8,
}

/// Name, least and greatest number, names of numbers.
type Field = (&'static str, u32, u32, &'static [&'static str]);

const FIELDS: [Field; 5] = [
    ("minute", 0, 59, &[]),
    ("hour", 0, 23, &[]),
    ("day", 1, 31, &[]),
    ("month", 1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    ("weekday", 0, 7, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

impl Schedule {
    /// Parses five fields of numbers, names, ranges, steps and lists: `15 3 * * *`.
    ///
    /// # Errors
    /// A sentence that says which field is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let &[minutes, hours, days, months, weekdays] = parts.as_slice() else {
            return Err(format!("a schedule has 5 fields, and this has {}", parts.len()));
        };
        let [minute, hour, day, month, weekday] = FIELDS;
        let sundays = set(weekdays, weekday)?;
        Ok(Self {
            minutes: set(minutes, minute)?,
            hours: set(hours, hour)?,
            days: set(days, day)?,
            months: set(months, month)?,
            // 7 is Sunday too.
            weekdays: (sundays | (sundays >> 7)) & 0x7f,
            either: !days.starts_with('*') && !weekdays.starts_with('*'),
        })
    }

    /// Whether it is due at some time of that day.
    #[must_use]
    pub const fn is_due_on(&self, Day { day, month, weekday }: Day) -> bool {
        let (day, weekday) = (has(self.days, day), has(self.weekdays, weekday));
        has(self.months, month) && if self.either { day || weekday } else { day && weekday }
    }

    /// The times of a day when it is due, as (hour, minute), from the first on.
    pub fn times(&self) -> impl Iterator<Item = (u8, u8)> + use<> {
        let (hours, minutes) = (self.hours, self.minutes);
        (0..24)
            .filter(move |hour| has(hours, *hour))
            .flat_map(move |hour| (0..60).filter(move |m| has(minutes, *m)).map(move |m| (hour, m)))
    }
}

const fn has(set: u64, number: u8) -> bool {
    set >> number & 1 == 1
}

fn set(text: &str, field: Field) -> Result<u64, String> {
    text.split(',')
        .map(|item| item_of(item, field))
        .try_fold(0, |all, item| Some(all | item?))
        .ok_or_else(|| format!("\"{text}\" is not allowed for the {}", field.0))
}

/// `*`, `3`, `mon`, `1-5`, each with or without `/2`.
fn item_of(item: &str, (_, least, most, names): Field) -> Option<u64> {
    let number = |text: &str| -> Option<u32> {
        let named = || names.iter().position(|n| n.eq_ignore_ascii_case(text)).and_then(|i| u32::try_from(i).ok()).map(|i| i + least);
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten().or_else(named).filter(|n| (least..=most).contains(n))
    };
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, step.parse::<u32>().ok().filter(|s| *s > 0 && *s <= most)?),
        None => (item, 1),
    };
    let (from, to) = match (range, range.split_once('-')) {
        ("*", _) => (least, most),
        (_, Some((from, to))) => (number(from)?, number(to)?),
        // `5/10` is from 5 on.
        (one, None) => (number(one)?, if item.contains('/') { most } else { number(one)? }),
    };
    let step = usize::try_from(step).ok()?;
    (from <= to).then(|| (from..=to).step_by(step).fold(0, |set, n| set | 1 << n))
}

#[cfg(test)]
mod tests {
    use super::{Day, Schedule};

    #[test]
    fn schedules_have_five_sound_fields() {
        for text in ["15 3 * * *", "*/5 0-6 1,15 jan-mar Mon", "0 0 31 12 7", "0 */2 * * 1-5", "5/10 * * * *"] {
            assert!(Schedule::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "a * * * *",
            "5-1 * * * *",
            "*/0 * * * *",
            "1, * * * *",
        ] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_schedule_knows_its_days_and_times() {
        let monday = Day { day: 2, month: 3, weekday: 1 };
        let due = |text: &str, day: Day| Schedule::parse(text).unwrap().is_due_on(day);
        assert!(due("0 0 * * mon", monday) && !due("0 0 * * tue", monday));
        assert!(due("0 0 * * 7", Day { weekday: 0, ..monday }) && due("0 0 * * sun", Day { weekday: 0, ..monday }));
        // Both are restricted: either will do.
        assert!(due("0 0 15 * mon", monday) && due("0 0 2 * tue", monday) && !due("0 0 15 * tue", monday));
        assert!(!due("0 0 * apr *", monday));
        let times: Vec<_> = Schedule::parse("*/30 3,4 * * *").unwrap().times().collect();
        assert_eq!(times, [(3, 0), (3, 30), (4, 0), (4, 30)]);
        assert_eq!(Schedule::parse("45/10 1 * * *").unwrap().times().collect::<Vec<_>>(), [(1, 45), (1, 55)]);
    }
}
