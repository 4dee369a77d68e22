//! Times and spans as people write and read them.

use chrono::{DateTime, SecondsFormat};
use tress_configs::duration::Duration;

/// A time as `2024-05-01T12:00:00Z`, or whole microseconds since 1970; in microseconds.
///
/// # Errors
/// A sentence that says how to write it.
pub fn parse(text: &str) -> Result<i64, String> {
    if let Ok(micros) = text.parse() {
        return Ok(micros);
    }
    DateTime::parse_from_rfc3339(text).map(|t| t.timestamp_micros()).map_err(|_| "write it as 2024-05-01T12:00:00Z".to_owned())
}

/// A span such as `90s`, in microseconds.
///
/// # Errors
/// A sentence that says how to write it.
pub fn span(text: &str) -> Result<i64, String> {
    Duration::parse(text).map(Duration::micros)
}

/// Microseconds as RFC 3339 in UTC.
pub fn shown(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros).map_or_else(|| micros.to_string(), |t| t.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// A span of microseconds, roughly: `3 ms`, `12 s`, `4 h`, `27 d`.
pub fn roughly(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    match seconds {
        i64::MIN..0 => "0 s".into(),
        0 => format!("{} ms", (micros / 1000).max(0)),
        1..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}
