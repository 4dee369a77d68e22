//! How a definition runs: settings that decide nothing about the data, checked for their form.

use super::report::Report;
use crate::definition::{BackfillRuntime, Canary, ColumnTolerance, FeatureRuntime, Rollout, Serving, SignalRuntime, Window};
use crate::issue::IssueCode;
use crate::nearest::suggest;
use crate::path;
use crate::plan::ColumnPlan;

pub(super) fn signal(runtime: Option<&SignalRuntime>, report: &mut Report) {
    let Some(SignalRuntime { stream: _, backfill: Some(backfill) }) = runtime else { return };
    let BackfillRuntime { schedule, time_zone, parallelism: _, resources: _ } = backfill;
    let at = "runtime.backfill";
    if let Some(text) = schedule
        && let Err(message) = cron(text)
    {
        let help = "write five fields: minute hour day month weekday, such as \"15 3 * * *\"";
        report.error(path::member(at, "schedule"), IssueCode::InvalidSchedule, message, help);
    }
    zone(time_zone.as_deref(), &path::member(at, "timeZone"), report);
}

pub(super) fn feature(runtime: Option<&FeatureRuntime>, rollout: Option<&Rollout>, columns: &[ColumnPlan], report: &mut Report) {
    if let Some(FeatureRuntime { serving: Some(Serving { pool: Some(pool) }) }) = runtime {
        report.object_name("runtime.serving.pool", pool, 40);
    }
    let Some(rollout) = rollout else { return };
    for (index, window) in rollout.windows.iter().flatten().enumerate() {
        let at = path::item("rollout.windows", index);
        let Window { days: _, from, to, time_zone } = window;
        for (key, text) in [("from", from), ("to", to)] {
            if !time_of_day(text) {
                let message = format!("\"{text}\" is not a time of day");
                report.error(path::member(&at, key), IssueCode::InvalidSchedule, message, "write it as \"09:00\"");
            }
        }
        if from == to {
            report.error(path::member(&at, "to"), IssueCode::Conflict, "the window ends when it begins", "write two times");
        }
        zone(time_zone.as_deref(), &path::member(&at, "timeZone"), report);
    }
    if let Some(Canary { weight_bp, hold, steps: Some(steps), .. }) = &rollout.canary {
        let at = "rollout.canary.steps";
        if weight_bp.is_some() || hold.is_some() {
            report.error(at, IssueCode::Conflict, "both steps and a single weight or hold are given", "keep one of the two");
        }
        for (index, pair) in steps.windows(2).enumerate() {
            if pair[1].weight_bp <= pair[0].weight_bp {
                let at = path::member(&path::item(at, index + 1), "weightBp");
                report.error(at, IssueCode::OutOfRange, "the weight is not above the step before", "raise the weight from step to step");
            }
        }
    }
    let tolerances = rollout.compare.as_ref().and_then(|c| c.event.as_ref()).and_then(|e| e.columns.as_ref());
    for (name, ColumnTolerance { cosine_min_bp: _, absolute, relative_bp: _ }) in tolerances.into_iter().flatten() {
        let at = path::member("rollout.compare.event.columns", name);
        if !columns.is_empty() && !columns.iter().any(|c| c.name == *name) {
            let help = suggest(name, "columns", columns.iter().map(|c| c.name.as_str()));
            report.error(&at, IssueCode::UnknownReference, format!("the feature has no column \"{name}\""), help);
        }
        if absolute.as_ref().is_some_and(|text| !text.parse::<f64>().is_ok_and(|n| n.is_finite() && n >= 0.0)) {
            report.error(
                path::member(&at, "absolute"),
                IssueCode::OutOfRange,
                "this is no tolerance",
                "write a decimal number, such as \"0.001\"",
            );
        }
    }
}

fn zone(name: Option<&str>, at: &str, report: &mut Report) {
    let legal = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+'))
    };
    if let Some(name) = name.filter(|name| !legal(name)) {
        report.error(at, IssueCode::InvalidSchedule, format!("\"{name}\" is not a time zone"), "write a name such as UTC or Europe/Berlin");
    }
}

fn time_of_day(text: &str) -> bool {
    text.len() == 5 && chrono::NaiveTime::parse_from_str(text, "%H:%M").is_ok()
}

/// Five fields of numbers, names, ranges, steps and lists.
fn cron(text: &str) -> Result<(), String> {
    const FIELDS: [(&str, u32, u32, &[&str]); 5] = [
        ("minute", 0, 59, &[]),
        ("hour", 0, 23, &[]),
        ("day", 1, 31, &[]),
        ("month", 1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
        ("weekday", 0, 7, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
    ];
    let parts: Vec<&str> = text.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        return Err(format!("a schedule has 5 fields, and this has {}", parts.len()));
    }
    for (part, (name, least, most, names)) in parts.into_iter().zip(FIELDS) {
        let number = |text: &str| -> Option<u32> {
            let named = || names.iter().position(|n| n.eq_ignore_ascii_case(text)).and_then(|i| u32::try_from(i).ok()).map(|i| i + least);
            text.bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| text.parse().ok())
                .flatten()
                .or_else(named)
                .filter(|n| (least..=most).contains(n))
        };
        let one = |item: &str| -> bool {
            let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
            let step_fits = step.is_none_or(|s| s.parse::<u32>().is_ok_and(|s| s > 0 && s <= most));
            let range_fits = range == "*"
                || match range.split_once('-') {
                    Some((from, to)) => number(from).zip(number(to)).is_some_and(|(from, to)| from <= to),
                    None => number(range).is_some(),
                };
            step_fits && range_fits
        };
        if !part.split(',').all(one) {
            return Err(format!("\"{part}\" is not allowed for the {name}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{cron, time_of_day};

    #[test]
    fn schedules_have_five_sound_fields() {
        for text in ["15 3 * * *", "*/5 0-6 1,15 jan-mar Mon", "0 0 31 12 7", "0 */2 * * 1-5"] {
            assert_eq!(cron(text), Ok(()), "{text}");
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
            assert!(cron(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_of_day_has_two_digits_each() {
        assert!(time_of_day("09:00") && time_of_day("23:59"));
        assert!(!time_of_day("9:00") && !time_of_day("24:00") && !time_of_day("0900"));
    }
}
