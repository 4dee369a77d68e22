//! `tress init`: definitions inferred from a sample of events.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::definitions::Workspace;
use crate::exit::{Outcome, usage};
use crate::init::guess::{Wishes, roles};
use crate::init::infer::infer;
use crate::init::name;
use crate::init::sample::{self, Kind, Sample};
use crate::init::text::{self, Draft};
use crate::output;
use crate::render::Style;

/// Write a first signal or feature, from a sample of events if there is one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress init signal --from events.jsonl --dir sequences
  tress init signal --from plays.csv --entity listener --time played_at --id track --dir sequences
  tress init signal --dir sequences             an example with its own sample
  tress init feature --name last-week --dir sequences

What is written lints clean and runs at once: a signal, a feature that reads it, and a test. Nothing that is there is
overwritten without --force.")]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// An event type: a signal, a feature that reads it, a test.
    Signal(SignalArguments),
    /// A read over the signals that are there.
    Feature(FeatureArguments),
}

#[derive(Debug, Args)]
struct SignalArguments {
    /// Events to learn from: JSON lines, CSV or Parquet.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// The signal's name [default: the file's].
    #[arg(long)]
    name: Option<String>,
    /// The field that says whose event it is.
    #[arg(long, value_name = "FIELD")]
    entity: Option<String>,
    /// The field that says when it happened.
    #[arg(long, value_name = "FIELD")]
    time: Option<String>,
    /// The fields that, with entity and time, make an event one event.
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    id: Vec<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct FeatureArguments {
    /// The feature's name [default: recent-SIGNAL].
    #[arg(long)]
    name: Option<String>,
    /// The signals it reads [default: all that are there].
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    signal: Vec<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Place {
    /// Where the files go.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Overwrite what is there.
    #[arg(long)]
    force: bool,
}

/// The events of the example that is written without `--from`.
const EXAMPLE: &str = r#"{"user_id": "u1", "item_id": 7, "action": "view", "seconds": 12.5, "ts": 1717225200, "context": {"surface": "home"}}
{"user_id": "u1", "item_id": 9, "action": "buy", "seconds": 40.0, "ts": 1717225260, "context": {"surface": "search"}}
{"user_id": "u2", "item_id": 7, "action": "view", "seconds": 3.0, "ts": 1717225290, "context": {}}
"#;

pub fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    match arguments.what {
        What::Signal(arguments) => signal(arguments),
        What::Feature(arguments) => feature(&arguments),
    }
}

fn signal(arguments: SignalArguments) -> anyhow::Result<Outcome> {
    let place = &arguments.place;
    let mut files = Vec::new();
    let (path, sample) = match arguments.from {
        Some(path) => {
            let sample = sample::read(&path)?;
            (path, sample)
        }
        None => {
            let path = place.dir.join("events.jsonl");
            files.push((path.clone(), EXAMPLE.to_owned()));
            let records = EXAMPLE.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
            (path, Sample { kind: Kind::JsonLines, records })
        }
    };
    let found = infer(&sample);
    let wishes = Wishes { entity: arguments.entity, time: arguments.time, id: arguments.id };
    let roles = roles(&found.fields, &sample.records, &wishes)?;
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or("events");
    let name = name::definition(arguments.name.as_deref().unwrap_or(stem));
    let draft = Draft {
        topic: name.clone(),
        name,
        origin: path.file_name().and_then(|s| s.to_str()).unwrap_or("a sample").to_owned(),
        fields: &found.fields,
        roles: &roles,
    };
    let feature = text::feature_name(&draft.name);
    files.push((place.dir.join(format!("{}.yaml", draft.name)), draft.signal()));
    files.push((place.dir.join(format!("{feature}.yaml")), text::feature(&feature, std::slice::from_ref(&draft.name))));
    if let Some(test) = draft.test(&feature, &sample.records) {
        files.push((place.dir.join(format!("{}.tests.yaml", draft.name)), test));
    }
    let written = write(place, &files)?;

    let style = Style::stdout();
    let mut said = String::new();
    for note in &roles.notes {
        said.push_str(&format!("I guessed that {note}\n"));
    }
    for reason in &found.left_out {
        said.push_str(&format!("I left out {reason}\n"));
    }
    if roles.repeated > 0 {
        said.push_str(&format!(
            "{} {} of {} records of the sample have the identity of another one and count as states of one event; add a field with --id if that is wrong\n",
            style.yellow("note:"),
            roles.repeated,
            sample.records.len()
        ));
    }
    said.push_str(&written);
    let dir = place.dir.display();
    let entity = found.fields.iter().find(|f| f.name == roles.entity).and_then(|f| sample.records.first().map(|r| f.of(r)));
    let entity =
        entity.and_then(|v| v.as_str().map(str::to_owned).or_else(|| v.as_i64().map(|n| n.to_string()))).unwrap_or_else(|| "ENTITY".into());
    said.push_str(&format!("\nNext:\n  tress lint {dir}\n  tress test {dir}\n"));
    if sample.kind == Kind::Parquet {
        said.push_str(&format!("  tress dev {dir} --input {}=FILE      FILE: JSON lines or CSV\n", draft.topic));
    } else {
        said.push_str(&format!("  tress dev {dir} --input {}={}\n", draft.topic, path.display()));
    }
    said.push_str(&format!("  tress get {feature} {entity} --dir {dir}\n"));
    output::print(&said)?;
    Ok(Outcome::Done)
}

fn feature(arguments: &FeatureArguments) -> anyhow::Result<Outcome> {
    let place = &arguments.place;
    let workspace = Workspace::load(std::slice::from_ref(&place.dir))?;
    let there = workspace.signal_names();
    let signals = if arguments.signal.is_empty() { there.clone() } else { arguments.signal.clone() };
    if there.is_empty() {
        return Err(usage(format!(
            "{} holds no signal to read: write one with `tress init signal --from FILE --dir {0}`",
            place.dir.display()
        )));
    }
    if let Some(unknown) = signals.iter().find(|s| !there.contains(s)) {
        return Err(usage(format!(
            "--signal: there is no signal \"{unknown}\" in {}; there are {}",
            place.dir.display(),
            there.join(", ")
        )));
    }
    let name = arguments.name.as_deref().map_or_else(|| text::feature_name(&signals[0]), name::definition);
    let written = write(place, &[(place.dir.join(format!("{name}.yaml")), text::feature(&name, &signals))])?;
    output::print(&format!("{written}\nNext:\n  tress lint {}\n", place.dir.display()))?;
    Ok(Outcome::Done)
}

/// Writes all files or, if one of them is there, none.
fn write(place: &Place, files: &[(PathBuf, String)]) -> anyhow::Result<String> {
    let there: Vec<String> = files.iter().filter(|(path, _)| path.exists()).map(|(path, _)| path.display().to_string()).collect();
    if !there.is_empty() && !place.force {
        return Err(usage(format!("{} is there already: give another --name, another --dir, or --force", there.join(", "))));
    }
    fs::create_dir_all(&place.dir).with_context(|| format!("make folder {}", place.dir.display()))?;
    let mut said = String::new();
    for (path, text) in files {
        put(path, text, place.force).with_context(|| format!("write {}", path.display()))?;
        said.push_str(&format!("wrote {}\n", path.display()));
    }
    Ok(said)
}

fn put(path: &Path, text: &str, force: bool) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    match options.open(path).and_then(|mut file| file.write_all(text.as_bytes())) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            Err(std::io::Error::new(e.kind(), "it is there already; give --force to overwrite it"))
        }
        done => done,
    }
}
