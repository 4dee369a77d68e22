//! `tress status`.

use std::io::{IsTerminal, stdout};
use std::path::Path;

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use tress_engine::clock::{Clock, SystemClock};

use crate::called::Called;
use crate::cluster::Cluster;
use crate::cluster::follow::Followed;
use crate::cluster::said::Said;
use crate::cluster::seen::{Scope, Seen};
use crate::cluster::target::Target;
use crate::cluster::tree::{self, Detail, Item, State, View};
use crate::exit::{Outcome, usage};
use crate::output::{self, Format};
use crate::place::{At, Place};
use crate::render::Style;
use crate::render::rows::grouped;
use crate::session::Session;
use crate::session::operation::Operation;
use crate::time;

/// Show what runs: definition, revision, rollout, workloads; rows, freshness, history, base.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress status --dir sequences
  tress status --dir sequences -o json | jq '.signals[].deadLetters'
  tress status -n movies                            every feature and signal of a namespace of a cluster
  tress status feature/recent-movies -n movies      one of them, with its pods and jobs; also signal/, rollout/, backfill/
  kubectl tress status recent-movies --watch        again whenever something changes

On a cluster, what is not ready says why, and what may help stands behind an arrow. Exit code 0: all that is shown is ready; 1: not yet.
Freshness and lag are asked of pods, through the API server: that needs `get` and `create` on pods/portforward, and is left out without it.")]
pub struct Arguments {
    /// On a cluster, only this: feature/NAME, signal/NAME, rollout/NAME, backfill/NAME, or the name of a definition.
    #[arg(num_args = 0..=2, value_name = "KIND/NAME")]
    what: Vec<String>,
    /// On a cluster: show it again whenever something changes, until Ctrl-C.
    #[arg(short, long)]
    watch: bool,
    /// On a cluster: of all namespaces.
    #[arg(short = 'A', long, conflicts_with_all = ["namespace", "dir"])]
    all_namespaces: bool,
    #[command(flatten)]
    place: Place,
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

pub fn run(arguments: &Arguments, called: Called) -> anyhow::Result<Outcome> {
    let choice = match arguments.place.at(called) {
        At::Cluster(choice) => choice,
        At::Folder(_) if arguments.all_namespaces => crate::place::Choice::default(),
        At::Folder(dir) => return of_folder(arguments, &dir),
    };
    let target = if arguments.what.is_empty() { None } else { Some(Target::parse(&arguments.what)?) };
    Cluster::run(&choice, called, |cluster| async move { of_cluster(arguments, &cluster, target.as_ref()).await })
}

/// What is printed of a cluster.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    ready: bool,
    items: Vec<Item>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

async fn of_cluster(arguments: &Arguments, cluster: &Cluster, target: Option<&Target>) -> anyhow::Result<Outcome> {
    let scope = if arguments.all_namespaces { Scope::Everywhere } else { Scope::Namespace(cluster.namespace.clone()) };
    let mut seen = Seen::look(cluster, &scope).await?;
    let mut shown = String::new();
    let mut followed = arguments.watch.then(|| Followed::start(cluster, &scope, &seen));
    loop {
        seen.said = Said::of(cluster, &seen).await;
        let report = report(cluster, &seen, target)?;
        let style = Style::stdout();
        let table = || match (report.items.is_empty(), target) {
            (true, None) => format!("no definitions {}\n", scope.shown()),
            _ => crate::render::tree::render(&report.items, &report.notes, style),
        };
        let text = output::text(arguments.output, &report, table)?;
        if text != shown {
            let clear =
                if followed.is_some() && arguments.output == Format::Table && stdout().is_terminal() { "\x1b[H\x1b[2J\x1b[3J" } else { "" };
            output::print(&format!("{clear}{text}"))?;
            shown = text;
        }
        match &mut followed {
            Some(followed) => seen = followed.next().await?,
            None => return Ok(if report.ready { Outcome::Done } else { Outcome::Failed }),
        }
    }
}

fn report(cluster: &Cluster, seen: &Seen, target: Option<&Target>) -> anyhow::Result<Report> {
    let detail = if target.is_some() { Detail::Whole } else { Detail::Brief };
    let view = View { seen, now: SystemClock.now_micros(), commands: &cluster.commands, detail };
    let items = match target {
        Some(target) => tree::one(&view, target)?,
        None => tree::all(&view),
    };
    let notes = seen.notes.iter().chain(&seen.said.notes).cloned().collect();
    Ok(Report { ready: items.iter().all(|item| item.state == State::Ready), items, notes })
}

fn of_folder(Arguments { what, watch, output, .. }: &Arguments, dir: &Path) -> anyhow::Result<Outcome> {
    if *watch || !what.is_empty() {
        return Err(usage("names and --watch are for a cluster: choose one with --cluster, --context or -n"));
    }
    let session = Session::open(dir)?;
    let done = session.perform(&Operation::Status, &|_| {});
    session.close()?;
    let status = done?;
    output::value(*output, &status, || tree(&status, Style::stdout()))?;
    Ok(Outcome::Done)
}

fn tree(status: &Value, style: Style) -> String {
    let list = |key: &str| status[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let now = status["now"].as_i64().unwrap_or(0);
    let mut text = String::new();
    let mut read: Vec<&str> = Vec::new();
    for feature in list("features") {
        let digest: String = feature["digest"].as_str().unwrap_or_default().chars().take(12).collect();
        text.push_str(&format!("{} {}\n", style.bold(feature["feature"].as_str().unwrap_or_default()), style.dim(&digest)));
        let uids: Vec<&str> = feature["signals"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (index, uid) in uids.iter().enumerate() {
            let branch = if index + 1 == uids.len() { "└─" } else { "├─" };
            text.push_str(&format!("{branch} {uid}\n"));
        }
        read.extend(uids);
    }
    text.push('\n');
    for signal in list("signals") {
        let unread = if read.contains(&signal["uid"].as_str().unwrap_or_default()) { "" } else { "  read by no feature" };
        text.push_str(&format!("{}{}\n", style.bold(signal["uid"].as_str().unwrap_or_default()), style.dim(unread)));
        for line in signal_lines(signal, now, style) {
            text.push_str(&format!("   {line}\n"));
        }
    }
    if list("features").is_empty() && list("signals").is_empty() {
        return "nothing is live\n".into();
    }
    text
}

fn signal_lines(signal: &Value, now: i64, style: Style) -> Vec<String> {
    let number = |value: &Value| grouped(value.as_u64().unwrap_or(0));
    let mut lines = vec![format!("topic    {}: {} records", signal["topic"].as_str().unwrap_or_default(), number(&signal["records"]))];
    if let Some(reason) = signal["failure"].as_str() {
        lines.push(format!("{}   {reason}", style.red("failed")));
    }
    if let Some(reason) = signal["waiting"].as_str() {
        lines.push(format!("{}  {reason}", style.yellow("waiting")));
    }
    for trouble in signal["troubles"].as_array().into_iter().flatten().filter(|t| t["now"] != "failed") {
        let (task, reason) = (trouble["task"].as_str().unwrap_or_default(), trouble["reason"].as_str().unwrap_or_default());
        lines.push(format!("{} {task} ended early, {} times so far: {reason}", style.yellow("troubles"), number(&trouble["times"])));
    }
    lines.push(match signal["appliedThrough"].as_i64() {
        Some(applied) => format!("fresh    to {} ago", time::roughly(now.saturating_sub(applied))),
        None => "fresh    nothing applied yet".into(),
    });
    lines.push(format!(
        "tail     {} rows, {} KiB",
        number(&signal["tail"]["rows"]),
        number(&(signal["tail"]["bytes"].as_u64().unwrap_or(0).div_ceil(1024)).into())
    ));
    lines.push(match &signal["history"] {
        Value::Null => "history  none yet: run `tress backfill`".into(),
        history => {
            let through = signal["historyThrough"].as_i64().map_or_else(String::new, |t| format!(", through {}", time::shown(t)));
            let (rows, files, buckets) = (number(&history["rows"]), number(&history["files"]), number(&history["buckets"]));
            format!("history  {rows} rows in {files} files of {buckets} buckets{through}")
        }
    });
    if let Some(manifest) = signal["base"]["manifest"].as_u64() {
        lines.push(format!("base     manifest {manifest}"));
    }
    if signal["deadLetters"] != 0 {
        let word = style.yellow("dead");
        lines.push(format!("{word}     {} letters: see `tress deadletters list`", number(&signal["deadLetters"])));
    }
    lines
}
