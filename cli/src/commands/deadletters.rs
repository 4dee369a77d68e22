//! `tress deadletters`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::exit::Outcome;
use crate::output::{self, Format};
use crate::render::{Style, rows};
use crate::session::Session;
use crate::session::letters::Which;
use crate::session::operation::Operation;

/// List or replay the raw events that could not be used.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress deadletters list --dir sequences
  tress deadletters list --signal rating --payload -o json
  tress deadletters replay --signal rating --from 3 --to 7

A dead letter tells why an event could not be used and where it stands in its topic. A replay appends it to the topic again, as it
was: after the cause is gone it is read like any other, and one that was replayed twice counts once.")]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Reason and position of each.
    List {
        #[command(flatten)]
        chosen: Chosen,
        /// Show the payloads too: they hold users' values.
        #[arg(long)]
        payload: bool,
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Append them to their topics again.
    Replay {
        #[command(flatten)]
        chosen: Chosen,
    },
}

#[derive(Debug, Args)]
struct Chosen {
    /// Only of this signal.
    #[arg(long)]
    signal: Option<String>,
    /// From this offset on.
    #[arg(long)]
    from: Option<i64>,
    /// Up to this offset, itself included.
    #[arg(long)]
    to: Option<i64>,
    /// At most this many of a signal.
    #[arg(long)]
    limit: Option<usize>,
    /// The folder of definitions.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

impl Chosen {
    fn which(&self, payload: bool) -> Which {
        Which { signal: self.signal.clone(), from: self.from, to: self.to, limit: self.limit, payload }
    }
}

pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    match &arguments.what {
        What::List { chosen, payload, output } => {
            let letters = perform(chosen, &Operation::DeadLetters(chosen.which(*payload)))?;
            output::value(*output, &letters, || table(&letters))?;
        }
        What::Replay { chosen } => {
            let replayed = perform(chosen, &Operation::Replay(chosen.which(false)))?;
            let mut said = format!("{} appended to their topics again\n", replayed["appended"]);
            if replayed["notOfATopic"] != 0 {
                said.push_str(&format!(
                    "{} came from an external log: repair it, and restate its buckets with `tress backfill --restate`\n",
                    replayed["notOfATopic"]
                ));
            }
            output::print(&said)?;
        }
    }
    Ok(Outcome::Done)
}

fn perform(chosen: &Chosen, operation: &Operation) -> anyhow::Result<Value> {
    let session = Session::open(&chosen.dir)?;
    let done = session.perform(operation, &|_| {});
    session.close()?;
    done
}

fn table(letters: &Value) -> String {
    let letters = letters.as_array().map(Vec::as_slice).unwrap_or_default();
    if letters.is_empty() {
        return "no dead letters\n".into();
    }
    rows::table(letters, Style::stdout())
}
