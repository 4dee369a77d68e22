//! `tress backfill`.

use std::path::PathBuf;

use clap::Args;

use crate::exit::Outcome;
use crate::output::{self, Format};
use crate::progress;
use crate::render::rows::grouped;
use crate::session::Session;
use crate::session::operation::Operation;

/// Fold raw events into history, and make base from it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress backfill rating --dir sequences                              what is new since the last one
  tress backfill rating --restate --dir sequences                    all buckets, from the raw events
  tress backfill rating --restate 1998-01-01,1998-01-02 --dir sequences

Readers see the same sequences before, while and after: rows leave the tail only when base covers them.")]
pub struct Arguments {
    /// The signal: its name, or namespace/name.
    signal: String,
    /// Make these buckets anew; without a bucket, all.
    #[arg(long, value_name = "BUCKET", num_args = 0.., value_delimiter = ',')]
    restate: Option<Vec<String>>,
    /// The folder of definitions.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    let Arguments { signal, restate, dir, output } = arguments;
    let session = Session::open(&dir)?;
    let bar = progress::bar(&format!("backfill {signal}"));
    let done = session.perform(&Operation::Backfill { signal, restate }, &|p| progress::show(&bar, p));
    bar.finish_and_clear();
    session.close()?;
    let folded = done?;
    let number = |key: &str| grouped(folded[key].as_u64().unwrap_or(0));
    output::value(output, &folded, || {
        format!(
            "backfill {} of {}: {} raw events, {} rows, {} dead letters, {} files; history is at version {}\n",
            number("number"),
            folded["signal"].as_str().unwrap_or_default(),
            number("rawEvents"),
            number("rows"),
            number("dead"),
            number("files"),
            number("historyVersion"),
        )
    })?;
    Ok(Outcome::Done)
}
