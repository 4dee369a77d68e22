//! `tress abort` and `tress retry`: what a person wants of an attempt to bring a feature to its target.

use std::time::Duration;

use clap::Args;
use tress_crds::rollout::{Action, RolloutStatus};

use crate::called::Called;
use crate::cluster::Cluster;
use crate::cluster::target::Target;
use crate::cluster::wish::{self, Came, Wish};
use crate::exit::Outcome;
use crate::output;
use crate::place::Choice;

/// End a rollout on a cluster: its trial is dropped, what is live stays.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress abort recent-movies -n movies --reason 'wrong filter'
  tress abort rollout/recent-movies-3

Works also while it is paused, until readers were sent to the target: then it goes forward. The same target waits for `tress retry`.")]
pub struct AbortArguments {
    #[command(flatten)]
    rest: Rest,
}

/// Let the target of a rollout that did not succeed be attempted again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress retry recent-movies -n movies")]
pub struct RetryArguments {
    #[command(flatten)]
    rest: Rest,
}

#[derive(Debug, Args)]
struct Rest {
    /// The feature, whose newest rollout is meant; or rollout/NAME.
    #[arg(required = true, num_args = 1..=2, value_name = "NAME")]
    what: Vec<String>,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    choice: Choice,
}

/// How the operator is asked.
#[derive(Debug, Args)]
pub struct Patience {
    /// Why, for those who read it later.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// How many seconds the operator may take to heed it; 0 = it is not waited for.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    timeout: u64,
}

impl Patience {
    pub fn wish(&self, action: Action) -> Wish {
        Wish { action, reason: self.reason.clone(), patience: Duration::from_secs(self.timeout) }
    }
}

pub fn abort(arguments: &AbortArguments, called: Called) -> anyhow::Result<Outcome> {
    run(&arguments.rest, Action::Abort, called)
}

pub fn retry(arguments: &RetryArguments, called: Called) -> anyhow::Result<Outcome> {
    run(&arguments.rest, Action::Retry, called)
}

fn run(Rest { what, patience, choice }: &Rest, action: Action, called: Called) -> anyhow::Result<Outcome> {
    let target = Target::parse(what)?;
    let wish = patience.wish(action);
    Cluster::run(choice, called, |cluster| async move { said(&cluster, wish::intend(&cluster, &target, &wish).await?, &wish) })
}

/// Tells what came of a wish. One that nobody has heeded in time is not done.
pub fn said(cluster: &Cluster, came: Came, wish: &Wish) -> anyhow::Result<Outcome> {
    let action = wish.action;
    match came {
        Came::Heeded { rollout, status } => {
            let RolloutStatus { phase, message, paused, .. } = *status;
            let phase = phase.map(|phase| format!("{phase:?}")).unwrap_or_default();
            let paused = if paused == Some(true) { ", paused" } else { "" };
            let message = message.map(|message| format!(": {message}")).unwrap_or_default();
            output::print(&format!("{action:?} is heeded: rollout/{rollout} is in {phase}{paused}{message}\n"))?;
            Ok(Outcome::Done)
        }
        Came::Written { object } if wish.patience.is_zero() => {
            output::print(&format!("{action:?} is asked of {object}\n"))?;
            Ok(Outcome::Done)
        }
        Came::Written { object } => {
            let look = cluster.commands.tress(&format!("status {object} --watch"), &cluster.namespace);
            let seconds = wish.patience.as_secs();
            output::print(&format!(
                "{action:?} is asked of {object}; the operator has not heeded it in {seconds} s, and may do so yet: {look}\n"
            ))?;
            Ok(Outcome::Failed)
        }
    }
}
