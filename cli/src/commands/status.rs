//! `tress status`.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::exit::Outcome;
use crate::output::{self, Format};
use crate::render::Style;
use crate::render::rows::grouped;
use crate::session::Session;
use crate::session::operation::Operation;
use crate::time;

/// Show what runs: definition, revision, rows, freshness, history, base.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress status --dir sequences
  tress status --dir sequences -o json | jq '.signals[].deadLetters'")]
pub struct Arguments {
    /// The folder of definitions.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let session = Session::open(&arguments.dir)?;
    let done = session.perform(&Operation::Status, &|_| {});
    session.close()?;
    let status = done?;
    output::value(arguments.output, &status, || tree(&status, Style::stdout()))?;
    Ok(Outcome::Done)
}

fn tree(status: &Value, style: Style) -> String {
    let list = |key: &str| status[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let now = status["now"].as_i64().unwrap_or(0);
    let mut text = String::new();
    let mut read: Vec<&str> = Vec::new();
    for feature in list("features") {
        let digest: String = feature["digest"].as_str().unwrap_or_default().chars().take(12).collect();
        text.push_str(&format!("{} {}\n", style.bold(feature["feature"].as_str().unwrap_or_default()), style.dim(&digest)));
        let uids: Vec<&str> = feature["signals"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (index, uid) in uids.iter().enumerate() {
            let branch = if index + 1 == uids.len() { "└─" } else { "├─" };
            text.push_str(&format!("{branch} {uid}\n"));
        }
        read.extend(uids);
    }
    text.push('\n');
    for signal in list("signals") {
        let unread = if read.contains(&signal["uid"].as_str().unwrap_or_default()) { "" } else { "  read by no feature" };
        text.push_str(&format!("{}{}\n", style.bold(signal["uid"].as_str().unwrap_or_default()), style.dim(unread)));
        for line in signal_lines(signal, now, style) {
            text.push_str(&format!("   {line}\n"));
        }
    }
    if list("features").is_empty() && list("signals").is_empty() {
        return "nothing is live\n".into();
    }
    text
}

fn signal_lines(signal: &Value, now: i64, style: Style) -> Vec<String> {
    let number = |value: &Value| grouped(value.as_u64().unwrap_or(0));
    let mut lines = vec![format!("topic    {}: {} records", signal["topic"].as_str().unwrap_or_default(), number(&signal["records"]))];
    if let Some(reason) = signal["failure"].as_str() {
        lines.push(format!("{}   {reason}", style.red("failed")));
    }
    if let Some(reason) = signal["waiting"].as_str() {
        lines.push(format!("{}  {reason}", style.yellow("waiting")));
    }
    for trouble in signal["troubles"].as_array().into_iter().flatten().filter(|t| t["now"] != "failed") {
        let (task, reason) = (trouble["task"].as_str().unwrap_or_default(), trouble["reason"].as_str().unwrap_or_default());
        lines.push(format!("{} {task} ended early, {} times so far: {reason}", style.yellow("troubles"), number(&trouble["times"])));
    }
    lines.push(match signal["appliedThrough"].as_i64() {
        Some(applied) => format!("fresh    to {} ago", time::roughly(now.saturating_sub(applied))),
        None => "fresh    nothing applied yet".into(),
    });
    lines.push(format!(
        "tail     {} rows, {} KiB",
        number(&signal["tail"]["rows"]),
        number(&(signal["tail"]["bytes"].as_u64().unwrap_or(0).div_ceil(1024)).into())
    ));
    lines.push(match &signal["history"] {
        Value::Null => "history  none yet: run `tress backfill`".into(),
        history => {
            let through = signal["historyThrough"].as_i64().map_or_else(String::new, |t| format!(", through {}", time::shown(t)));
            let (rows, files, buckets) = (number(&history["rows"]), number(&history["files"]), number(&history["buckets"]));
            format!("history  {rows} rows in {files} files of {buckets} buckets{through}")
        }
    });
    if let Some(manifest) = signal["base"]["manifest"].as_u64() {
        lines.push(format!("base     manifest {manifest}"));
    }
    if signal["deadLetters"] != 0 {
        let word = style.yellow("dead");
        lines.push(format!("{word}     {} letters: see `tress deadletters list`", number(&signal["deadLetters"])));
    }
    lines
}
