//! `tress lint`: everything that is wrong, with its place and its remedy.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tress_configs::Issue;

use crate::definitions::Workspace;
use crate::exit::Outcome;
use crate::output::{self, Format};
use crate::render::Style;

/// Check definitions and tests: every mistake at once, with line, column and remedy.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress lint sequences
  tress lint rating.yaml recent-movies.yaml
  tress lint sequences -o json | jq '.issues[].code'

Folders are searched for *.yaml and *.yml; objects of other systems in them are passed over. Needs no server.
Exit code 2 if there is an error; warnings alone are no error.")]
pub struct Arguments {
    /// Folders and files.
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    definitions: usize,
    tests: usize,
    errors: usize,
    warnings: usize,
    issues: &'a [Issue],
}

pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let workspace = Workspace::load(&arguments.paths)?;
    let issues = workspace.issues();
    let errors = issues.iter().filter(|i| i.is_error()).count();
    let report = Report {
        definitions: workspace.objects().len(),
        tests: workspace.tests().iter().map(|file| file.item.tests.len()).sum(),
        errors,
        warnings: issues.len() - errors,
        issues,
    };
    output::value(arguments.output, &report, || {
        let style = Style::stdout();
        format!("{}{}\n", workspace.render_issues(style), summary(&report, style))
    })?;
    Ok(if errors > 0 { Outcome::Invalid } else { Outcome::Done })
}

fn summary(report: &Report<'_>, style: Style) -> String {
    let looked_at = format!("{}, {}", count(report.definitions, "definition"), count(report.tests, "test"));
    let files: BTreeSet<_> = report.issues.iter().filter_map(|i| i.file.as_ref()).collect();
    match (report.errors, report.warnings) {
        (0, 0) if report.definitions == 0 => format!("{looked_at}: nothing to check; write a first one with `tress init signal`"),
        (0, 0) => format!("{looked_at}: {}", style.green("no issues")),
        (errors, warnings) => {
            format!("{looked_at}: {}, {} in {}", count(errors, "error"), count(warnings, "warning"), count(files.len(), "file"))
        }
    }
}

/// `1 error`, `2 errors`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
