//! Where raw events come from.

use std::collections::BTreeMap;

use super::event::field;
use super::report::{OneOf, Report};
use crate::definition::{AvailableAt, BatchSource, Format, Source, StreamSource};
use crate::issue::IssueCode;
use crate::path;
use crate::plan::{BatchPlan, ExternalLog, FieldPlan, FormatPlan, StreamPlan};

pub(super) fn stream(stream: &StreamSource, report: &mut Report) -> Option<StreamPlan> {
    let at = "definition.source.stream";
    let StreamSource { connection, topic, format } = stream;
    report.object_name(&path::member(at, "connection"), connection, 63);
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if !topic.bytes().all(legal) || matches!(topic.as_str(), "" | "." | "..") {
        let help = "use letters, digits, . _ and -";
        report.error(path::member(at, "topic"), IssueCode::InvalidName, format!("\"{topic}\" is not a name of a topic"), help);
    }
    let at = path::member(at, "format");
    let Format { json, avro } = format;
    let OneOf::One = report.one_of(&at, &[("json", json.is_some()), ("avro", avro.is_some())], "write json: {} or avro: {subject}") else {
        return None;
    };
    let format = match avro {
        Some(avro) => FormatPlan::Avro { subject: avro.subject.clone(), version: avro.version },
        None => FormatPlan::Json,
    };
    Some(StreamPlan { connection: connection.clone(), topic: topic.clone(), format })
}

pub(super) fn batch(source: &Source, available_at: &AvailableAt, fields: &[FieldPlan], report: &mut Report) -> Option<BatchPlan> {
    let archive = source.archive == Some(true);
    let keys = [("batch", source.batch.is_some()), ("archive", archive)];
    let help = "write archive: true, or batch: with the log that somebody else writes";
    let OneOf::One = report.one_of("definition.source", &keys, help) else { return None };
    match &source.batch {
        Some(batch) => Some(BatchPlan::External(external(batch, available_at, fields, report))),
        None => Some(BatchPlan::Archive),
    }
}

fn external(batch: &BatchSource, available_at: &AvailableAt, fields: &[FieldPlan], report: &mut Report) -> ExternalLog {
    let at = "definition.source.batch";
    let BatchSource { connection, path: location, partitioned_by, rename, record_timestamp, complete_after } = batch;
    report.object_name(&path::member(at, "connection"), connection, 63);
    placeholders(location, &path::member(at, "path"), report);
    let renames = path::member(at, "rename");
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (ours, theirs) in rename.iter().flatten() {
        let at = path::member(&renames, ours);
        field(ours, fields, &at, report);
        if theirs.is_empty() {
            report.error(&at, IssueCode::InvalidName, "the column's name is empty", "write {field: column of the files}");
        }
        if let Some(other) = taken.insert(theirs, ours) {
            report.error(&at, IssueCode::Duplicate, format!("\"{other}\" is read from \"{theirs}\" already"), "read each column once");
        }
    }
    if available_at.record_timestamp.is_some() && record_timestamp.is_none() {
        let help = "name the column of the files that holds the record's timestamp";
        report.error(
            path::member(at, "recordTimestamp"),
            IssueCode::MissingField,
            "availableAt is the record's timestamp, and the log does not say where it is",
            help,
        );
    }
    ExternalLog {
        connection: connection.clone(),
        path: location.clone(),
        partitioned_by: *partitioned_by,
        rename: rename.iter().flatten().filter(|(ours, theirs)| ours != theirs).map(|(a, b)| (a.clone(), b.clone())).collect(),
        record_timestamp: record_timestamp.clone(),
        complete_after_ms: complete_after.millis(),
    }
}

/// `{date}` once, `{hour}` at most once and after it, nothing else in braces, and a plain relative path around them.
fn placeholders(location: &str, at: &str, report: &mut Report) {
    let mut rest = location;
    let mut found = Vec::new();
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}') else {
            report.error(at, IssueCode::UnknownReference, "a { is not closed", "write {date} or {hour}");
            return;
        };
        found.push(&rest[open + 1..open + close]);
        rest = &rest[open + close + 1..];
    }
    match found.as_slice() {
        ["date"] | ["date", "hour"] => {}
        ["hour", "date"] => report.error(at, IssueCode::Conflict, "{hour} stands before {date}", "put {date} first"),
        other => match other.iter().find(|name| !matches!(**name, "date" | "hour")) {
            Some(name) => report.error(at, IssueCode::UnknownReference, format!("{{{name}}} is not known"), "use {date} and {hour}"),
            None if !other.contains(&"date") => {
                report.error(
                    at,
                    IssueCode::MissingField,
                    "the path has no {date}",
                    "a log is read by days: dt={date}, or dt={date}/h={hour}",
                );
            }
            None => report.error(at, IssueCode::Duplicate, "a placeholder stands twice", "use {date} and {hour} once"),
        },
    }
    if location.starts_with('/') || location.contains("://") || location.split('/').any(|part| part == "..") {
        let help = "the connection says where it is: write a path below it";
        report.error(at, IssueCode::InvalidName, "the path is not relative to its connection", help);
    }
}
