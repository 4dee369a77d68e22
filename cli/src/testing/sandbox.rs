//! The tables that tests look things up in: those of the folder, or small ones written for tests.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::{Map, Value};
use tress_configs::SignalPlan;
use tress_configs::column::{ColumnType, Scalar};
use tress_configs::plan::EnrichmentPlan;

use crate::definitions::Workspace;
use crate::tables::{self, Column};

/// Where a folder keeps tables for its tests: `test-tables/<table>.jsonl`.
const FOLDER: &str = "test-tables";

/// Puts every table that the definitions name below `root`; tells of those that are nowhere and therefore empty.
///
/// # Errors
/// When a table for tests does not fit its columns.
pub fn tables(dir: &Path, root: &Path, workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let mut notes = Vec::new();
    let signals = workspace.compiled().filter_map(|(_, c)| c.plan.as_signal());
    for (signal, enrichment) in signals.flat_map(|s| s.enrichments.iter().map(move |e| (s, e))) {
        let table = enrichment.lookup.table.trim_matches('/');
        let target = root.join(table);
        if target.exists() {
            continue;
        }
        let small = dir.join(FOLDER).join(format!("{table}.jsonl"));
        let whole = dir.join(table);
        if small.is_file() {
            let text = fs::read_to_string(&small).with_context(|| format!("read {}", small.display()))?;
            let rows: Vec<Map<String, Value>> = text
                .lines()
                .enumerate()
                .filter(|(_, line)| !line.trim().is_empty())
                .map(|(index, line)| serde_json::from_str(line).with_context(|| format!("read {}:{}", small.display(), index + 1)))
                .collect::<anyhow::Result<_>>()?;
            tables::write(&file(&target), &columns(enrichment), &rows)?;
        } else if whole.exists() {
            copy(&whole, &target)?;
        } else {
            notes.push(format!(
                "enrichment {} of {}: there is neither {} nor {}, so nothing is found in these tests",
                enrichment.name,
                name(signal),
                whole.display(),
                small.display()
            ));
            tables::write(&file(&target), &columns(enrichment), &[])?;
        }
    }
    Ok(notes)
}

fn name(signal: &SignalPlan) -> String {
    signal.name.to_string()
}

/// A table is a file, or a folder with one.
fn file(target: &Path) -> std::path::PathBuf {
    if target.extension().is_some() { target.to_owned() } else { target.join("part-0.parquet") }
}

fn columns(enrichment: &EnrichmentPlan) -> Vec<Column> {
    let keys = enrichment.lookup.key.iter().map(|k| Column { name: k.theirs.clone(), column_type: k.column_type.clone() });
    let known =
        enrichment.lookup.valid_from.iter().map(|name| Column { name: name.clone(), column_type: ColumnType::scalar(Scalar::Timestamp) });
    let values = enrichment.columns.iter().map(|c| Column { name: c.name.clone(), column_type: c.column_type.clone() });
    let mut all: Vec<Column> = Vec::new();
    for column in keys.chain(known).chain(values) {
        if !all.iter().any(|c| c.name == column.name) {
            all.push(column);
        }
    }
    all
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copying = || format!("copy {}", from.display());
    if !from.is_dir() {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).with_context(copying)?;
        }
        fs::copy(from, to).with_context(copying)?;
        return Ok(());
    }
    fs::create_dir_all(to).with_context(copying)?;
    for entry in fs::read_dir(from).with_context(copying)? {
        let entry = entry.with_context(copying)?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
