//! `tress dataset`.

use std::path::PathBuf;

use clap::Args;

use crate::exit::Outcome;
use crate::output::{self, Format};
use crate::session::Session;
use crate::session::dataset::{Request, Unit};
use crate::session::operation::Operation;
use crate::{progress, time};

/// Make a training set: per label, the sequence that a reader would have had at its time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress dataset --feature recent-movies --labels labels.parquet --entity-column user_id --time-column ts --out dataset
  tress dataset --feature recent-movies --labels labels.csv --entity-column user_id --time-column ts --time-unit seconds \\
    --out dataset --read-delay 5m --dir sequences

Reads history: run `tress backfill` first. A label's own event is not in its sequence (strictly before its time), unless
--inclusive. Parquet, oldest event first, with a manifest that makes it reproducible; run again, it goes on where it stopped.")]
pub struct Arguments {
    /// The feature: its name, or namespace/name.
    #[arg(long)]
    feature: String,
    /// Labels: Parquet or CSV.
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    /// The column of the labels that holds the entity.
    #[arg(long, value_name = "COLUMN")]
    entity_column: String,
    /// The column of the labels that holds the time.
    #[arg(long, value_name = "COLUMN")]
    time_column: String,
    /// The unit of times that are whole numbers.
    #[arg(long, value_enum)]
    time_unit: Option<Unit>,
    /// A folder for the result.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Let a sequence hold events of the label's own time.
    #[arg(long)]
    inclusive: bool,
    /// How long readers are behind.
    #[arg(long, value_name = "SPAN", default_value = "0s", value_parser = time::span)]
    read_delay: i64,
    /// The folder of definitions.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    let session = Session::open(&arguments.dir)?;
    // Whoever does it may stand in another folder.
    let request = Request {
        feature: arguments.feature,
        labels: std::path::absolute(&arguments.labels)?,
        entity_column: arguments.entity_column,
        time_column: arguments.time_column,
        time_unit: arguments.time_unit,
        out: std::path::absolute(&arguments.out)?,
        inclusive: arguments.inclusive,
        read_delay: arguments.read_delay,
    };
    let bar = progress::bar("dataset");
    let done = session.perform(&Operation::Dataset(request), &|p| progress::show(&bar, p));
    bar.finish_and_clear();
    session.close()?;
    let written = done?;
    output::value(arguments.output, &written, || {
        format!(
            "{} labels with their sequences in {}\n{}",
            crate::render::rows::grouped(written["labels"].as_u64().unwrap_or(0)),
            written["out"].as_str().unwrap_or_default(),
            missing(&written["manifest"])
        )
    })?;
    Ok(Outcome::Done)
}

/// What may be missing from the sequences, and what to do.
fn missing(manifest: &serde_json::Value) -> String {
    let count = |key: &str| manifest[key].as_u64().filter(|n| *n > 0).map(crate::render::rows::grouped);
    let mut text = String::new();
    if let Some(incomplete) = count("incomplete") {
        text.push_str(&format!(
            "{incomplete} of them are later than what history covers: events may be missing. Fold with `tress backfill`, then make the dataset anew\n"
        ));
    }
    if let Some(truncated) = count("truncated") {
        text.push_str(&format!(
            "{truncated} of them reach into what retention has dropped: their sequences may be shorter than what readers had\n"
        ));
    }
    text
}
