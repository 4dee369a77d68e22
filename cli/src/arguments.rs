//! What may stand on the command line.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::called::Called;
use crate::commands;

/// Sequences of what users did: check, run, read and try their definitions.
#[derive(Debug, Parser)]
#[command(name = "tress", version, max_term_width = 110, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

impl Arguments {
    /// Reads the command line; what is wrong with it ends the program with code 2, help with 0.
    pub fn read(called: Called, words: impl IntoIterator<Item = OsString>) -> Self {
        let command = Self::command().bin_name(called.program());
        Self::from_arg_matches(&command.get_matches_from(words)).unwrap_or_else(|e| e.exit())
    }
}

const EXAMPLES: &str = "\
From a file of events to sequences:
  tress init signal --from events.jsonl --dir sequences
  tress lint sequences
  tress test sequences
  tress dev sequences --input events=events.jsonl
  tress get recent-events u1 --dir sequences

On a cluster, for `get`, `status`, `backfill` and `deadletters`: name one of --cluster, --context, --kubeconfig or -n/--namespace; or
call this program as `kubectl tress` (an executable kubectl-tress on PATH), which means the cluster of the present context. Without
any of them the folder is asked that --dir names. `pause`, `resume`, `abort` and `retry` are for clusters alone.
  kubectl tress status -n movies
  kubectl tress get recent-movies 196 -n movies

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
    Pause(commands::pause::PauseArguments),
    Resume(commands::pause::ResumeArguments),
    Abort(commands::attempt::AbortArguments),
    Retry(commands::attempt::RetryArguments),
    Dataset(commands::dataset::Arguments),
    Deadletters(commands::deadletters::Arguments),
    Demo(commands::demo::Arguments),
    Completion(commands::completion::Arguments),
}
