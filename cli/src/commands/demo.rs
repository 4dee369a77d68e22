//! `tress demo`.

use std::path::PathBuf;

use clap::Args;

use crate::demo::{self, End, Settings};
use crate::exit::{Outcome, usage};

/// Show the main job on real input: MovieLens 100k, each claim computed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  make demo                     fetches the data, builds, and runs this
  KEEP=1 make demo              leaves the server running
  tress demo --data \"$(scripts/movielens)\" --python \"$(scripts/python --where)\"

Exit code 1 if a claim does not hold.")]
pub struct Arguments {
    /// The folder of MovieLens 100k [default: where scripts/movielens puts it].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A Python that has Polars: it reads the training set.
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
    /// Leave the server running.
    #[arg(long)]
    keep: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    let data = match arguments.data {
        Some(data) => data,
        None => cache()?.join("ml-100k"),
    };
    let end = if arguments.keep { End::KeepRunning } else { End::CleanUp };
    demo::run(&Settings { data, python: arguments.python, end })
}

/// Where things are kept that can be fetched again.
fn cache() -> anyhow::Result<PathBuf> {
    if let Some(cache) = std::env::var_os("XDG_CACHE_HOME").filter(|v| !v.is_empty()) {
        return Ok(PathBuf::from(cache).join("tress"));
    }
    let home = std::env::var_os("HOME").ok_or_else(|| usage("HOME is not set: give the data with --data"))?;
    Ok(PathBuf::from(home).join(".cache").join("tress"))
}
