//! `tress deadletters`.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::called::Called;
use crate::cluster::Cluster;
use crate::cluster::letters::{self, Asked};
use crate::cluster::target::{Kind, Target};
use crate::exit::{Outcome, usage};
use crate::output::{self, Format};
use crate::place::{At, Place};
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
  tress deadletters list --signal rating -n movies          on a cluster

A dead letter tells why an event could not be used and where it stands in its topic. A replay appends it to the topic again, as it
was: after the cause is gone it is read like any other, and one that was replayed twice counts once.

On a cluster, a job with the engine's image reads them in the signal's namespace and tells them through the API server; nothing of them
gets into a log, and the job is deleted afterwards. That needs `create` and `delete` on jobs, `list` on deployments, `list` and `watch`
on pods, and `get` and `create` on pods/portforward.")]
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
    /// Only of this signal; on a cluster it has to be named.
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
    #[command(flatten)]
    place: Place,
}

impl Chosen {
    fn which(&self, payload: bool) -> Which {
        Which { signal: self.signal.clone(), from: self.from, to: self.to, limit: self.limit, payload }
    }
}

pub fn run(arguments: &Arguments, called: Called) -> anyhow::Result<Outcome> {
    match &arguments.what {
        What::List { chosen, payload, output } => {
            let letters = perform(chosen, called, (Asked::List, chosen.which(*payload)))?;
            output::value(*output, &letters, || table(&letters))?;
        }
        What::Replay { chosen } => {
            let replayed = perform(chosen, called, (Asked::Replay, chosen.which(false)))?;
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

fn perform(chosen: &Chosen, called: Called, (asked, which): (Asked, Which)) -> anyhow::Result<Value> {
    match chosen.place.at(called) {
        At::Folder(dir) => {
            let operation = match asked {
                Asked::List => Operation::DeadLetters(which),
                Asked::Replay => Operation::Replay(which),
            };
            let session = Session::open(&dir)?;
            let done = session.perform(&operation, &|_| {});
            session.close()?;
            done
        }
        At::Cluster(choice) => {
            let signal = which.signal.as_ref().ok_or_else(|| usage("on a cluster, name the signal: --signal NAME"))?;
            let target = Target::definition(Kind::Signal, signal)?;
            Cluster::run(&choice, called, |cluster| async move { letters::ask(&cluster, &target, &which, asked).await })
        }
    }
}

fn table(letters: &Value) -> String {
    let letters = letters.as_array().map(Vec::as_slice).unwrap_or_default();
    if letters.is_empty() {
        return "no dead letters\n".into();
    }
    rows::table(letters, Style::stdout())
}
