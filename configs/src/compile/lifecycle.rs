//! How long a definition lives.

use super::report::Report;
use crate::definition::Lifecycle;
use crate::issue::IssueCode;

/// The day a deprecated definition goes; `None` = it is not deprecated.
pub(super) fn sunset(lifecycle: Option<Lifecycle>, sunset: Option<&str>, report: &mut Report) -> Option<String> {
    let at = "definition.sunset";
    if let Some(day) = sunset
        && (day.len() != 10 || chrono::NaiveDate::parse_from_str(day, "%Y-%m-%d").is_err())
    {
        report.error(at, IssueCode::InvalidDate, format!("\"{day}\" is not a day"), "write it as 2026-12-31");
    }
    match (lifecycle.unwrap_or(Lifecycle::Production), sunset) {
        (Lifecycle::Deprecated, None) => {
            report.error(
                at,
                IssueCode::MissingField,
                "it is deprecated, and has no sunset",
                "add the day it goes, such as sunset: \"2026-12-31\"",
            );
            None
        }
        (Lifecycle::Deprecated, Some(day)) => Some(day.to_owned()),
        (_, Some(_)) => {
            report.error(at, IssueCode::Conflict, "it has a sunset, and is not deprecated", "add lifecycle: Deprecated, or remove sunset");
            None
        }
        (_, None) => None,
    }
}
