//! Writing to standard output: a reader that goes away is no error.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use tress_configs::yaml;

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    Yaml,
}

/// Prints text as it is.
///
/// # Errors
/// When standard output cannot be written, but not when its reader has gone.
pub fn print(text: &str) -> anyhow::Result<()> {
    bytes(text.as_bytes())
}

/// Writes bytes as they are.
///
/// # Errors
/// As [`print`].
pub fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

/// Prints a value as JSON or YAML; as a table, what `table` makes of it.
///
/// # Errors
/// As [`print`].
pub fn value(format: Format, value: &impl Serialize, table: impl FnOnce() -> String) -> anyhow::Result<()> {
    print(&text(format, value, table)?)
}

/// What [`value`] prints.
///
/// # Errors
/// When the value cannot be written as JSON.
pub fn text(format: Format, value: &impl Serialize, table: impl FnOnce() -> String) -> anyhow::Result<String> {
    Ok(match format {
        Format::Table => table(),
        Format::Json => format!("{}\n", serde_json::to_string_pretty(value)?),
        Format::Yaml => yaml::document(&serde_json::to_value(value)?),
    })
}
