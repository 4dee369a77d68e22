//! How a definition runs: settings that decide nothing about the data, checked for their form.

use super::report::Report;
use crate::definition::{BackfillRuntime, Canary, ColumnTolerance, FeatureRuntime, Rollout, Serving, SignalRuntime, Window};
use crate::issue::IssueCode;
use crate::nearest::suggest;
use crate::path;
use crate::plan::ColumnPlan;
use crate::schedule::Schedule;

pub(super) fn signal(runtime: Option<&SignalRuntime>, report: &mut Report) {
    let Some(SignalRuntime { stream: _, backfill: Some(backfill) }) = runtime else { return };
    let BackfillRuntime { schedule, time_zone, parallelism: _, resources: _ } = backfill;
    let at = "runtime.backfill";
    if let Some(text) = schedule
        && let Err(message) = Schedule::parse(text)
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

#[cfg(test)]
mod tests {
    use super::time_of_day;

    #[test]
    fn a_time_of_day_has_two_digits_each() {
        assert!(time_of_day("09:00") && time_of_day("23:59"));
        assert!(!time_of_day("9:00") && !time_of_day("24:00") && !time_of_day("0900"));
    }
}
