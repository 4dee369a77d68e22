//! `tress dataset`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::{ArgGroup, Args};
use serde_json::Value;
use tress_configs::name::QualifiedName;
use tress_engine::clock::{Clock, SystemClock};

use crate::definitions::{Workspace, choose};
use crate::exit::{Outcome, usage};
use crate::output::{self, Format};
use crate::render::rows::grouped;
use crate::session::dataset::{Request, Unit};
use crate::session::operation::Operation;
use crate::session::{Session, everyone, runtime};
use crate::{progress, time};

/// Make a training set: per label, the sequence that a reader would have had at its time. Or the sequence of every entity.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("whose").required(true).args(["labels", "all_entities"])))]
#[command(after_help = "\
Examples:
  tress dataset --feature recent-movies --labels labels.parquet --entity-column user_id --time-column ts --out dataset
  tress dataset --feature recent-movies --labels labels.csv --entity-column user_id --time-column ts --time-unit seconds \\
    --out dataset --read-delay 5m --dir sequences
  tress dataset --feature recent-movies --all-entities --as-of 2024-05-01T00:00:00Z --out everyone --dir sequences
  tress dataset --feature recent-movies --all-entities --raw rating=ratings/ --out everyone --dir sequences

With labels it reads history: run `tress backfill` first. A label's own event is not in its sequence (strictly before its time),
unless --inclusive. Parquet, oldest event first, with a manifest that makes it reproducible; run again, it goes on where it stopped.

With --all-entities it reads the raw events themselves, in one pass, through the same definitions: the Parquet files of each signal's
batch source, or what --raw names, or what `tress dev` archived of its topic. One row an entity, as a reader would be told as of
--as-of; entities without events by then have none. The folder appears when all of it is written.")]
pub struct Arguments {
    /// The feature: its name, or namespace/name.
    #[arg(long)]
    feature: String,
    /// Labels: Parquet or CSV.
    #[arg(long, value_name = "FILE", requires_all = ["entity_column", "time_column"])]
    labels: Option<PathBuf>,
    /// The column of the labels that holds the entity.
    #[arg(long, value_name = "COLUMN", requires = "labels")]
    entity_column: Option<String>,
    /// The column of the labels that holds the time.
    #[arg(long, value_name = "COLUMN", requires = "labels")]
    time_column: Option<String>,
    /// The unit of times that are whole numbers.
    #[arg(long, value_enum, requires = "labels")]
    time_unit: Option<Unit>,
    /// A folder for the result.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Let a sequence hold events of the label's own time.
    #[arg(long, requires = "labels")]
    inclusive: bool,
    /// How long readers are behind.
    #[arg(long, value_name = "SPAN", default_value = "0s", conflicts_with = "all_entities", value_parser = time::span)]
    read_delay: i64,
    /// Every entity's sequence, from raw events.
    #[arg(long)]
    all_entities: bool,
    /// The moment of all sequences: what happened later is not in them. Omitted = now.
    #[arg(long, value_name = "TIME", requires = "all_entities", value_parser = time::parse)]
    as_of: Option<i64>,
    /// Raw events of a signal: a Parquet file or a folder of them, instead of what its definition names.
    #[arg(long, value_name = "SIGNAL=PATH", requires = "all_entities", value_parser = raw)]
    raw: Vec<(String, PathBuf)>,
    /// Megabytes of rows that are held; what is more goes to scratch files beside the result.
    #[arg(long, value_name = "MB", requires = "all_entities", default_value_t = 1024)]
    memory: usize,
    /// The folder of definitions.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    match (arguments.labels.clone(), arguments.entity_column.clone(), arguments.time_column.clone()) {
        (Some(labels), Some(entity_column), Some(time_column)) => of_labels(arguments, &labels, (entity_column, time_column)),
        _ => of_everyone(&arguments),
    }
}

fn of_labels(arguments: Arguments, labels: &Path, (entity_column, time_column): (String, String)) -> anyhow::Result<Outcome> {
    // Whoever does it may stand in another folder.
    let request = Request {
        feature: arguments.feature,
        labels: std::path::absolute(labels)?,
        entity_column,
        time_column,
        time_unit: arguments.time_unit,
        out: std::path::absolute(&arguments.out)?,
        inclusive: arguments.inclusive,
        read_delay: arguments.read_delay,
    };
    let written = through_session(&arguments.dir, Operation::Dataset(request))?;
    output::value(arguments.output, &written, || {
        let (labels, out) = (number(&written, "labels"), written["out"].as_str().unwrap_or_default());
        format!("{labels} labels with their sequences in {out}\n{}", missing(&written["manifest"]))
    })?;
    Ok(Outcome::Done)
}

/// What may be missing from the sequences, and what to do.
fn missing(manifest: &Value) -> String {
    let count = |key: &str| manifest[key].as_u64().filter(|n| *n > 0).map(grouped);
    let mut text = String::new();
    if let Some(incomplete) = count("incomplete") {
        text.push_str(&format!(
            "{incomplete} of them are later than what history covers: events may be missing. Fold with `tress backfill`, then make the dataset anew\n"
        ));
    }
    if let Some(truncated) = count("truncated") {
        text.push_str(&format!(
            "{truncated} of them reach into what retention has dropped: their sequences may be shorter than what readers had\n"
        ));
    }
    text
}

fn of_everyone(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let mut given = BTreeMap::new();
    for (signal, path) in &arguments.raw {
        if given.insert(signal.clone(), std::path::absolute(path)?).is_some() {
            return Err(usage(format!("--raw {signal}: give one path a signal; a folder may hold many files")));
        }
    }
    let request = everyone::Request {
        feature: arguments.feature.clone(),
        as_of: arguments.as_of.unwrap_or_else(|| SystemClock.now_micros()),
        out: std::path::absolute(&arguments.out)?,
        raw: given,
        memory: arguments.memory.saturating_mul(1 << 20),
    };
    let workspace = Workspace::load(std::slice::from_ref(&arguments.dir))?;
    if !workspace.must_be_sound()? {
        return Ok(Outcome::Invalid);
    }
    let features = workspace.desired().features;
    let names: Vec<QualifiedName> = features.iter().map(|f| f.plan.name.clone()).collect();
    let name = choose("feature", &arguments.feature, &names)?;
    let feature = features.iter().find(|f| f.plan.name == name).map(|f| Arc::clone(&f.plan)).context("the feature that was chosen")?;
    let written = if everyone::needs_no_node(&workspace, &feature, &request) {
        let bar = progress::bar("dataset");
        let show = |p| progress::show(&bar, p);
        let done = runtime()?.block_on(everyone::of_files(&workspace, &feature, (&arguments.dir, &request), &show));
        bar.finish_and_clear();
        done?
    } else {
        through_session(&arguments.dir, Operation::Everyone(request))?
    };
    output::value(arguments.output, &written, || {
        let (entities, events) = (number(&written, "entities"), number(&written, "events"));
        format!("{entities} entities with {events} events in {}\n", written["out"].as_str().unwrap_or_default())
    })?;
    Ok(Outcome::Done)
}

fn through_session(dir: &Path, operation: Operation) -> anyhow::Result<Value> {
    let session = Session::open(dir)?;
    let bar = progress::bar("dataset");
    let done = session.perform(&operation, &|p| progress::show(&bar, p));
    bar.finish_and_clear();
    session.close()?;
    done
}

fn number(written: &Value, key: &str) -> String {
    grouped(written[key].as_u64().unwrap_or(0))
}

fn raw(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((signal, path)) if !signal.is_empty() && !path.is_empty() => Ok((signal.to_owned(), path.into())),
        _ => Err("write it as SIGNAL=PATH, for example rating=ratings/".to_owned()),
    }
}
