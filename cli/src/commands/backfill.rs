//! `tress backfill`.

use std::path::PathBuf;

use clap::Args;

use crate::exit::Outcome;
use crate::output::{self, Format};
use crate::render::rows::grouped;
use crate::session::Session;
use crate::session::operation::Operation;
use crate::{progress, time};

/// Fold raw events into history, and make base from it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress backfill rating --dir sequences                              what is new since the last one
  tress backfill rating --restate --dir sequences                    all buckets, from the raw events
  tress backfill rating --restate 1998-01-01,1998-01-02 --dir sequences
  tress backfill rating --abandon --dir sequences                    give up one that cannot be finished

Readers see the same sequences before, while and after: rows leave the tail only when base covers them.

A backfill that was stopped is finished by the next one, from the inputs that it was planned with. Where that cannot be (its files
were rewritten meanwhile, or a raw event cannot be used and the definition says onInvalid: Fail), --abandon gives it up: nothing of
it is in history, no event is lost, and the next backfill is planned anew from where history ends.")]
pub struct Arguments {
    /// The signal: its name, or namespace/name.
    signal: String,
    /// Make these buckets anew; without a bucket, all.
    #[arg(long, value_name = "BUCKET", num_args = 0.., value_delimiter = ',')]
    restate: Option<Vec<String>>,
    /// Give up the backfill that was planned and is not finished.
    #[arg(long, conflicts_with = "restate")]
    abandon: bool,
    /// The folder of definitions.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    let Arguments { signal, restate, abandon, dir, output } = arguments;
    let session = Session::open(&dir)?;
    if abandon {
        return give_up(session, signal, output);
    }
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

fn give_up(session: Session, signal: String, output: Format) -> anyhow::Result<Outcome> {
    let done = session.perform(&Operation::Abandon { signal }, &|_| {});
    session.close()?;
    let abandoned = done?;
    output::value(output, &abandoned, || {
        let name = abandoned["signal"].as_str().unwrap_or_default();
        let number = |key: &str| grouped(abandoned[key].as_u64().unwrap_or(0));
        let next = if abandoned["restate"] == true {
            "the buckets that it was to make anew stay as they are; ask for them again with --restate"
        } else {
            "what it was to fold is folded by the next one"
        };
        format!(
            "backfill {} of {name} is given up: planned at {}, {} of {} tasks done, nothing of it in history\n\
             {next}: tress backfill {name}\n",
            number("number"),
            time::shown(abandoned["plannedAt"].as_i64().unwrap_or(0)),
            number("tasksDone"),
            number("tasks"),
        )
    })?;
    Ok(Outcome::Done)
}
