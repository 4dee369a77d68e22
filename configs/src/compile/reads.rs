//! What a feature reads of one signal.

use std::collections::BTreeSet;

use super::report::Report;
use crate::column::Scalar;
use crate::definition::{OnMissing, SignalUse};
use crate::expression::{Column, Wanted};
use crate::issue::IssueCode;
use crate::nearest::suggest;
use crate::path;
use crate::plan::{ColumnPlan, ColumnRead, Origin, Plan, SignalPlan, SignalRead, field_id};

/// One signal of a feature, with what the feature's own columns are made of.
pub(super) struct Read {
    pub plan: SignalRead,
    pub entity: Scalar,
    /// Under the feature's names, in the order of `plan.columns`.
    pub columns: Vec<ColumnPlan>,
    /// `definition.signals[i]`
    pub at: String,
    chosen: bool,
}

impl Read {
    /// Where column `index` is named in the definition.
    pub fn place(&self, index: usize) -> String {
        if self.chosen { path::item(&path::member(&self.at, "columns"), index) } else { path::member(&self.at, "name") }
    }
}

pub(super) fn read(used: &SignalUse, signal: &SignalPlan, at: &str, report: &mut Report) -> Option<Read> {
    let before = report.issues.len();
    let SignalUse { name: _, namespace: _, schema_version: _, update: _, columns, rename, filter, length } = used;
    let sources = chosen(columns.as_deref(), signal, &path::member(at, "columns"), report);
    let rename_at = path::member(at, "rename");
    for (ours, here) in rename.iter().flatten() {
        let at = path::member(&rename_at, ours);
        if !sources.iter().any(|c| c.name == *ours) {
            let help = suggest(ours, "columns", sources.iter().map(|c| c.name.as_str()));
            report.error(&at, IssueCode::UnknownReference, format!("the column \"{ours}\" is not read from this signal"), help);
        }
        report.column_name(&at, here);
        report.output_name(&at, here, "give it another name");
    }
    let mut outputs = BTreeSet::new();
    let mut output = Vec::new();
    let mut reads = Vec::new();
    for column in sources {
        let name = rename.iter().flatten().find(|(ours, _)| **ours == column.name).map_or(&column.name, |(_, here)| here);
        if !outputs.insert(name) {
            let message = format!("two columns of this signal are called \"{name}\"");
            let renamed = rename.iter().flatten().find(|(_, here)| *here == name).map_or(&column.name, |(ours, _)| ours);
            report.error(path::member(&rename_at, renamed), IssueCode::Duplicate, message, "rename one of them");
        }
        reads.push(ColumnRead { source: column.name.clone(), output: name.clone() });
        output.push(ColumnPlan {
            name: name.clone(),
            column_type: column.column_type.clone(),
            nullable: column.nullable,
            field_id: field_id(name),
            origin: Origin::Signals,
        });
    }
    // In storage every column may be null; the condition means the same over stored rows as over declared ones.
    let sight: Vec<Column> =
        signal.columns.iter().map(|c| Column { name: c.name.clone(), column_type: c.column_type.clone(), nullable: true }).collect();
    let filter = filter.as_ref().map(|sql| report.expression(&path::member(at, "where"), sql, &sight, Wanted::Condition));
    if report.issues.len() > before {
        return None;
    }
    let filter = filter.flatten();
    let filter_columns = filter.as_ref().map(|f| f.columns.iter().cloned().collect()).unwrap_or_default();
    let drops = signal.enrichments.iter().enumerate().filter(|(_, e)| e.on_missing == OnMissing::Drop);
    let plan = SignalRead {
        name: signal.name.clone(),
        schema_version: signal.schema_version,
        digest: Plan::Signal(signal.clone()).digest(),
        retention_ms: signal.retention_ms,
        columns: reads,
        filter: filter.map(|f| f.expression),
        filter_columns,
        required_found: drops.fold(0, |bits, (index, _)| bits | 1 << index),
        length: length.and_then(|l| u32::try_from(l).ok()),
    };
    Some(Read { plan, entity: signal.entity.scalar, columns: output, at: at.to_owned(), chosen: columns.is_some() })
}

/// The signal's columns that are read; omitted = all.
fn chosen<'a>(names: Option<&[String]>, signal: &'a SignalPlan, at: &str, report: &mut Report) -> Vec<&'a ColumnPlan> {
    let Some(names) = names else { return signal.columns.iter().collect() };
    let mut chosen: Vec<&ColumnPlan> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let at = path::item(at, index);
        match signal.columns.iter().find(|c| c.name == *name) {
            None => {
                let help = suggest(name, "columns", signal.columns.iter().map(|c| c.name.as_str()));
                report.error(at, IssueCode::UnknownReference, format!("the signal {} has no column \"{name}\"", signal.name), help);
            }
            Some(_) if chosen.iter().any(|c| c.name == *name) => {
                report.error(at, IssueCode::Duplicate, format!("\"{name}\" is given twice"), "remove one");
            }
            Some(column) => chosen.push(column),
        }
    }
    chosen
}
