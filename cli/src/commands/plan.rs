//! `tress plan`: what a change of definitions would do, before it does it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use tress_configs::{Compiled, Plan};

use crate::definitions::Workspace;
use crate::exit::Outcome;
use crate::output::{self, Format};
use crate::planning::{self, Planned, live};
use crate::render::Style;

/// Show what a change of definitions does: its class, the change of schema, what is built anew, what it costs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress plan sequences                         against what `tress dev sequences` runs
  tress plan sequences --against ../main/sequences
  tress plan sequences --show -o json          the plans themselves
  tress plan sequences --write plans           a file for each, to be prepared by tress-engine
  tress plan sequences --show > before.json; tress plan sequences --against before.json

Compatible: rolls out as it is. Behavioural: the data changes under the same schema, so a cluster compares it first.
Breaking: readers would break; raise schemaVersion, or give the feature a new name. Needs no server.")]
pub struct Arguments {
    /// The folder of definitions.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// What to compare with: a folder of definitions, or a file of `tress plan --show` [default: what runs in DIR].
    #[arg(long, value_name = "DIR|FILE")]
    against: Option<PathBuf>,
    /// Print the compiled plans.
    #[arg(long)]
    show: bool,
    /// Write each compiled plan into this folder, as `tress-engine prepare --plan` takes it: `signal.NAMESPACE.NAME.json`.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["show", "against"])]
    write: Option<PathBuf>,
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    against: String,
    definitions: Vec<Planned>,
}

/// A plan that was written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    file: PathBuf,
    digest: String,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let workspace = Workspace::load(std::slice::from_ref(&arguments.dir))?;
    if !workspace.must_be_sound()? {
        return Ok(Outcome::Invalid);
    }
    if let Some(folder) = &arguments.write {
        let written = write(&workspace, folder)?;
        output::value(arguments.output, &written, || written.iter().map(|w| format!("{}  {}\n", w.digest, w.file.display())).collect())?;
        return Ok(Outcome::Done);
    }
    if arguments.show {
        let plans = live::Plans::of(&workspace);
        let json = || serde_json::to_value(&plans).map_or(String::new(), |v: Value| format!("{v:#}\n"));
        output::value(arguments.output, &plans, json)?;
        return Ok(Outcome::Done);
    }
    let before = match &arguments.against {
        Some(path) => live::Plans::read(path)?,
        None => live::Plans::live(&arguments.dir)?,
    };
    let report = Report { against: before.from.clone(), definitions: planning::plan(&workspace, &before) };
    output::value(arguments.output, &report, || planning::text::render(&report.against, &report.definitions, Style::stdout()))?;
    Ok(Outcome::Done)
}

fn write(workspace: &Workspace, folder: &Path) -> anyhow::Result<Vec<Written>> {
    fs::create_dir_all(folder).with_context(|| format!("make folder {}", folder.display()))?;
    let mut written = Vec::new();
    for (_, Compiled { plan, .. }) in workspace.compiled() {
        let (kind, name) = match plan {
            Plan::Signal(plan) => ("signal", &plan.name),
            Plan::Feature(plan) => ("feature", &plan.name),
        };
        let file = folder.join(format!("{kind}.{}.{}.json", name.namespace, name.name));
        fs::write(&file, plan.canonical_json()).with_context(|| format!("write {}", file.display()))?;
        written.push(Written { file, digest: plan.digest() });
    }
    Ok(written)
}
