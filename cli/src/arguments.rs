//! What may stand on the command line.

use clap::{Parser, Subcommand};

use crate::commands;

/// Sequences of what users did: check, run, read and try their definitions.
#[derive(Debug, Parser)]
#[command(name = "tress", version, max_term_width = 110, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
From a file of events to sequences:
  tress init signal --from events.jsonl --dir sequences
  tress lint sequences
  tress test sequences
  tress dev sequences --input events=events.jsonl
  tress get recent-events u1 --dir sequences

Exit codes: 0 done, 1 failed, 2 the definitions or the arguments are wrong.";

/// One command each.
#[derive(Debug, Subcommand)]
pub enum Command {
    Init(commands::init::Arguments),
    Lint(commands::lint::Arguments),
    Plan(commands::plan::Arguments),
    Test(commands::test::Arguments),
    Dev(commands::dev::Arguments),
    Get(commands::get::Arguments),
    Status(commands::status::Arguments),
    Backfill(commands::backfill::Arguments),
    Dataset(commands::dataset::Arguments),
    Deadletters(commands::deadletters::Arguments),
    Demo(commands::demo::Arguments),
    Completion(commands::completion::Arguments),
}
