//! A sequence for people: its rows, and a line about how fresh and complete it is.

use serde_json::Value;

use super::{Style, rows};
use crate::time;

/// `reply`: what the HTTP server answers.
pub fn render(reply: &Value, style: Style) -> String {
    let events = reply["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut text = rows::table(events, style);
    if events.is_empty() {
        text.push_str("no events\n");
    }
    text.push_str(&style.dim(&profile(&reply["profile"], events.len())));
    text.push('\n');
    text
}

fn profile(profile: &Value, rows: usize) -> String {
    let mut parts = vec![match profile["available"].as_u64() {
        Some(events) if events != rows as u64 => format!("{rows} rows of {events} events"),
        _ => format!("{rows} events"),
    }];
    let micros = |key: &str| profile[key].as_str().and_then(|t| time::parse(t).ok());
    let as_of = profile["asOf"]["eventTime"].as_str().and_then(|t| time::parse(t).ok());
    parts.push(match (micros("appliedThrough"), as_of) {
        (Some(applied), Some(as_of)) => format!("fresh to {} before the read", time::roughly(as_of.saturating_sub(applied))),
        _ => "nothing applied yet".into(),
    });
    parts.push(match profile["completeness"].as_str() {
        Some("COMPLETE") => "complete".into(),
        Some("OPEN") => "late events still expected".into(),
        _ => "completeness unknown: no history yet".into(),
    });
    for coverage in profile["coverage"].as_array().into_iter().flatten() {
        let (found, events) = (coverage["found"].as_u64().unwrap_or(0), coverage["events"].as_u64().unwrap_or(0));
        if events > 0 {
            parts.push(format!("{} found for {found}/{events}", coverage["enrichment"].as_str().unwrap_or("enrichment")));
        }
    }
    if profile["truncated"] == true {
        parts.push("cut short by retention".into());
    }
    for degraded in profile["degraded"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        parts.push(degraded.to_owned());
    }
    if let Some(sunset) = profile["deprecated"]["sunset"].as_str() {
        parts.push(format!("deprecated {sunset}").trim_end().to_owned());
    }
    if let Some(revision) = profile["revision"].as_str() {
        parts.push(format!("revision {}", revision.chars().take(12).collect::<String>()));
    }
    parts.join(" · ")
}
