//! `tress pause` and `tress resume`.

use clap::Args;
use tress_crds::rollout::Action;

use super::attempt::{Patience, said};
use crate::called::Called;
use crate::cluster::Cluster;
use crate::cluster::target::{Kind, Target};
use crate::cluster::wish::{self, Pause, Wish};
use crate::exit::Outcome;
use crate::place::Choice;

/// Hold what the operator does with an object on a cluster.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress pause rollout/recent-movies         the attempt of a feature that goes on: no new phase is entered
  tress pause recent-movies                 the definition: nothing is started, changed or removed for it
  tress pause stream/rating                 the signal of that name: its stream goes on as it runs, and is neither changed nor rolled
  tress pause backfill/rating-x7k2p         no pod works on it
  tress resume rollout/recent-movies

What runs goes on, and readers notice nothing. A definition is paused by spec.paused: where Git applies it, pause it there, too.")]
pub struct PauseArguments {
    #[command(flatten)]
    rest: Rest,
}

/// Let the operator go on with what was paused.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress resume rollout/recent-movies
  tress resume recent-movies")]
pub struct ResumeArguments {
    #[command(flatten)]
    rest: Rest,
}

#[derive(Debug, Args)]
struct Rest {
    /// feature/NAME, signal/NAME, backfill/NAME, rollout/NAME (its own, or its feature's); or the name of a definition.
    #[arg(required = true, num_args = 1..=2, value_name = "KIND/NAME")]
    what: Vec<String>,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    choice: Choice,
}

pub fn pause(arguments: &PauseArguments, called: Called) -> anyhow::Result<Outcome> {
    run(&arguments.rest, Pause::Paused, called)
}

pub fn resume(arguments: &ResumeArguments, called: Called) -> anyhow::Result<Outcome> {
    run(&arguments.rest, Pause::Resumed, called)
}

fn run(Rest { what, patience, choice }: &Rest, pause: Pause, called: Called) -> anyhow::Result<Outcome> {
    let target = Target::parse(what)?;
    let action = if pause == Pause::Paused { Action::Pause } else { Action::Resume };
    let wish: Wish = patience.wish(action);
    Cluster::run(choice, called, |cluster| async move {
        if target.kind == Some(Kind::Rollout) {
            return said(&cluster, wish::intend(&cluster, &target, &wish).await?, &wish);
        }
        let came = wish::pause(&cluster, &target, pause).await?;
        if let wish::Came::Written { object } = came {
            crate::output::print(&format!("{object} is {}\n", if pause == Pause::Paused { "paused" } else { "resumed" }))?;
        }
        Ok(Outcome::Done)
    })
}
