//! `tress backfill`.

use clap::Args;
use kube::ResourceExt;
use tress_crds::Backfill;
use tress_crds::backfill::BackfillStatus;

use crate::called::Called;
use crate::cluster::Cluster;
use crate::cluster::folding::{self, Ended, Wanted};
use crate::cluster::target::{Kind, Target};
use crate::exit::{Outcome, usage};
use crate::output::{self, Format};
use crate::place::{At, Place};
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
  tress backfill rating -n movies --wait                             on a cluster: makes a Backfill, and waits for its end
  kubectl tress backfill rating --restate --parallelism 16

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
    /// On a cluster: how many pods work at a time [default: 4]
    #[arg(long, value_name = "PODS", value_parser = clap::value_parser!(i32).range(1..=1000))]
    parallelism: Option<i32>,
    /// On a cluster: wait until it has ended, and show how far it is.
    #[arg(long, visible_alias = "watch")]
    wait: bool,
    #[command(flatten)]
    place: Place,
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

pub fn run(arguments: Arguments, called: Called) -> anyhow::Result<Outcome> {
    let Arguments { signal, restate, abandon, parallelism, wait, place, output } = arguments;
    let dir = match place.at(called) {
        At::Folder(dir) if parallelism.is_none() && !wait => dir,
        At::Folder(_) => return Err(usage("--parallelism and --wait are for a cluster: choose one with --cluster, --context or -n")),
        At::Cluster(_) if abandon => {
            return Err(usage("--abandon is for a folder; on a cluster, delete the Backfill: the next one finishes what was planned"));
        }
        At::Cluster(choice) => {
            let (target, wanted) = (Target::definition(Kind::Signal, &signal)?, Wanted { restate, parallelism });
            return Cluster::run(&choice, called, |cluster| async move { on_cluster(&cluster, &target, &wanted, (wait, output)).await });
        }
    };
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

async fn on_cluster(cluster: &Cluster, target: &Target, wanted: &Wanted, (wait, output): (bool, Format)) -> anyhow::Result<Outcome> {
    let made = folding::start(cluster, target, wanted).await?;
    let (namespace, name) = (made.namespace().unwrap_or_default(), made.name_any());
    let status = |more: &str| cluster.commands.tress(&format!("status backfill/{name}{more}"), &namespace);
    if !wait {
        output::value(output, &folding::summary(&made), || format!("backfill/{name} is made; follow it: {}\n", status(" --watch")))?;
        return Ok(Outcome::Done);
    }
    crate::say!("backfill/{name} is made; if this ends, it goes on");
    let bar = progress::bar(&format!("backfill {name}"));
    let ended = folding::finish(cluster, &made, |status| advance(&bar, status)).await;
    bar.finish_and_clear();
    let (outcome, ended) = match ended? {
        Ended::Succeeded(ended) => (Outcome::Done, ended),
        Ended::Failed(ended) => (Outcome::Failed, ended),
    };
    output::value(output, &folding::summary(&ended), || match outcome {
        Outcome::Done => succeeded(&ended),
        Outcome::Failed | Outcome::Invalid => format!("backfill/{name} failed; why: {}\n", status("")),
    })?;
    Ok(outcome)
}

fn advance(bar: &indicatif::ProgressBar, status: &BackfillStatus) {
    let whole = |n: Option<i64>| u64::try_from(n.unwrap_or(0)).unwrap_or(0);
    bar.set_length(whole(status.workers.map(i64::from)));
    bar.set_position(whole(status.done));
    if let Some(phase) = status.phase {
        bar.set_message(format!("{phase:?}"));
    }
}

fn succeeded(backfill: &Backfill) -> String {
    let none = BackfillStatus::default();
    let status = backfill.status.as_ref().unwrap_or(&none);
    let number = |n: Option<i64>| grouped(u64::try_from(n.unwrap_or(0)).unwrap_or(0));
    match status.number {
        // Nothing was planned: there was nothing new.
        None => format!("backfill/{}: history was up to date\n", backfill.name_any()),
        Some(_) => format!(
            "backfill {} of {}: {} raw events, {} rows, {} dead letters\n",
            number(status.number),
            backfill.spec.revision,
            number(status.raw_events),
            number(status.rows),
            number(status.dead),
        ),
    }
}
