//! What every log accepts: names that are also file names, and records of a bounded size.

use super::{NewRecord, Position};
use crate::error::{Error, Result};

/// The most bytes of one record: key, headers and payload.
pub const MAX_RECORD_BYTES: usize = 64 << 20;
/// The most partitions of a topic.
pub const MAX_PARTITIONS: i32 = 4096;
const MAX_NAME: usize = 200;

/// Checks the name of a topic or group: letters, digits, `.`, `_`, `-`; not starting with a dot.
///
/// # Errors
/// `Invalid` when it is no such name.
pub fn check_name(what: &str, name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > MAX_NAME || name.starts_with('.') || !name.chars().all(allowed) {
        return Err(Error::invalid(format!(
            "{what}: a name has 1 to {MAX_NAME} letters, digits, dots, underscores and dashes, and does not start with a dot"
        )));
    }
    Ok(())
}

/// Checks the number of partitions of a topic.
///
/// # Errors
/// `Invalid` when there are none or too many.
pub fn check_partitions(topic: &str, partitions: i32) -> Result<()> {
    if !(1..=MAX_PARTITIONS).contains(&partitions) {
        return Err(Error::invalid(format!("create topic {topic}: it needs 1 to {MAX_PARTITIONS} partitions, not {partitions}")));
    }
    Ok(())
}

/// Checks that every record can be stored.
///
/// # Errors
/// `Invalid` when one is too large.
pub fn check_records(topic: &str, records: &[NewRecord]) -> Result<()> {
    for record in records {
        let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let size = record.payload.len() + record.key.as_ref().map_or(0, bytes::Bytes::len) + headers;
        let names_fit =
            record.headers.len() <= usize::from(u16::MAX) && record.headers.iter().all(|(n, _)| n.len() <= usize::from(u16::MAX));
        if size > MAX_RECORD_BYTES || !names_fit {
            return Err(Error::invalid(format!(
                "append to {topic}: a record has {size} bytes; at most {MAX_RECORD_BYTES} bytes and 65535 headers are allowed"
            )));
        }
    }
    Ok(())
}

/// There is no such topic.
#[must_use]
pub fn no_topic(topic: &str) -> Error {
    Error::not_found(format!("topic {topic}: there is none; create it first"))
}

/// There is no such partition.
#[must_use]
pub fn no_partition(topic: &str, partition: i32) -> Error {
    Error::not_found(format!("topic {topic}: it has no partition {partition}"))
}

/// A position outside what the partition holds.
#[must_use]
pub fn out_of_range(topic: &str, from: Position, ends: super::Ends) -> Error {
    let Position { partition, offset } = from;
    let super::Ends { start, end } = ends;
    if offset < start {
        Error::invalid(format!(
            "read topic {topic} partition {partition}: offset {offset} is below its start {start}; the records between were dropped by retention"
        ))
    } else {
        Error::invalid(format!(
            "read topic {topic} partition {partition}: offset {offset} is beyond its end {end}; the position is not of this topic"
        ))
    }
}
