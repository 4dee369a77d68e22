//! `tress test`.

use std::path::PathBuf;

use clap::Args;
use futures::StreamExt;
use tress_engine::clock::Stopwatch;

use crate::definitions::Workspace;
use crate::exit::Outcome;
use crate::output;
use crate::render::{Style, rows};
use crate::session::runtime;
use crate::testing::{self, Verdict};

/// Run the tests beside definitions: raw events in, rows of a sequence out, through the real engine.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress test sequences
  tress test sequences --only 'low ratings vanish'

A file with `tests:` beside the definitions:
  tests:
    - name: low ratings vanish
      given: {rating: [{kind: rating, user_id: u1, item_id: 7, rating: 0.3, ts: 100}]}
      read: {feature: recent-movies, entity: u1, asOf: \"1970-01-01T00:03:20Z\"}
      expect: []

Each test runs on its own, by stream and again after a backfill: both must give the same rows. Tables of enrichments are those of
the folder, or small ones from DIR/test-tables/TABLE.jsonl. Exit code 1 if a test fails.")]
pub struct Arguments {
    /// The folder of definitions.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Only tests with this in their name.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// Tests that run at once: they mostly wait.
const AT_ONCE: usize = 8;

pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let began = Stopwatch::start();
    let workspace = Workspace::load(std::slice::from_ref(&arguments.dir))?;
    if !workspace.must_be_sound()? {
        return Ok(Outcome::Invalid);
    }
    let style = Style::stdout();
    let folder = Scratch::new()?;
    let tables = folder.path.join("tables");
    std::fs::create_dir_all(&tables)?;
    for note in testing::tables(&arguments.dir, &tables, &workspace)? {
        output::print(&format!("{} {note}\n", style.yellow("note:")))?;
    }
    let chosen = |name: &str| arguments.only.as_ref().is_none_or(|text| name.contains(text.as_str()));
    let tests: Vec<_> = workspace
        .tests()
        .iter()
        .flat_map(|file| file.item.tests.iter().enumerate().map(move |(index, test)| (file, index, test)))
        .filter(|(_, _, test)| chosen(&test.name))
        .collect();
    let (workspace, folder, tables) = (&workspace, &folder, &tables);
    let running = tests
        .iter()
        .enumerate()
        .map(|(number, (_, _, test))| async move { testing::run(workspace, test, &folder.path.join(number.to_string()), tables).await });
    let verdicts: Vec<_> = runtime()?.block_on(futures::stream::iter(running).buffered(AT_ONCE).collect());
    let (mut passed, mut failed) = (0, 0);
    for ((file, index, test), verdict) in tests.iter().zip(&verdicts) {
        if matches!(verdict, Ok(Verdict::Passed)) {
            passed += 1;
            output::print(&format!("{} {}\n", style.green("ok"), test.name))?;
            continue;
        }
        failed += 1;
        let line = file.positions.of(&format!("tests[{index}].name")).map_or_else(String::new, |at| format!(":{}", at.line));
        output::print(&format!("{} {}{line}: {}\n{}", style.red("FAILED"), file.file, test.name, why(verdict, style)))?;
    }
    let seconds = began.elapsed().as_secs_f64();
    output::print(&match (passed, failed) {
        (0, 0) => format!("no tests in {}: write one, see `tress test --help`\n", arguments.dir.display()),
        _ => format!("{passed} passed, {failed} failed in {seconds:.1} s\n"),
    })?;
    Ok(if failed > 0 { Outcome::Failed } else { Outcome::Done })
}

fn why(verdict: &anyhow::Result<Verdict>, style: Style) -> String {
    match verdict {
        Ok(Verdict::Passed) => String::new(),
        Ok(Verdict::Failed { differences, found }) => {
            let lines: String = differences.iter().map(|d| format!("  {d}\n")).collect();
            let table: String = rows::table(found, style).lines().map(|line| format!("    {line}\n")).collect();
            if found.is_empty() { lines } else { format!("{lines}  found:\n{table}") }
        }
        Err(e) => format!("  {e:#}\n"),
    }
}

/// A folder that goes when it is no longer needed.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("tress-test-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), error = %e, "could not be removed");
        }
    }
}
