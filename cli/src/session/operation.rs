//! What can be asked of a node beside reading: the same here and through `tress dev`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tress_configs::name::QualifiedName;
use tress_engine::backfill::Mode;
use tress_engine::log::NewRecord;
use tress_engine::node::{Fold, Node, Progress};
use tress_engine::{Error, ErrorKind, Result};

use super::{dataset, everyone, letters, status};

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "camelCase", deny_unknown_fields)]
pub enum Operation {
    Status,
    /// Archives what is in the topic and folds it into history.
    Backfill {
        /// `name` or `namespace/name`
        signal: String,
        /// `None` = what is new; empty = all buckets; else these.
        restate: Option<Vec<String>>,
    },
    /// Gives up the backfill that was planned and is not sealed.
    Abandon {
        /// `name` or `namespace/name`
        signal: String,
    },
    Dataset(dataset::Request),
    Everyone(everyone::Request),
    DeadLetters(letters::Which),
    Replay(letters::Which),
    /// Appends records, each a JSON text, and waits until they can be read.
    Append {
        topic: String,
        records: Vec<String>,
    },
}

/// Does it; `progress` is told how far it is.
///
/// # Errors
/// Why it could not be done.
pub async fn perform(node: &Node, operation: &Operation, progress: &(dyn Fn(Progress) + Sync)) -> Result<Value> {
    match operation {
        Operation::Status => status::status(node).await,
        Operation::Backfill { signal, restate } => {
            let signal = signal_named(node, signal).await?;
            let fold = restate.clone().map_or(Fold::New, Fold::Restate);
            let folded = match node.backfill(&signal, fold, progress).await {
                Ok(folded) => folded,
                Err(e) => return Err(told_of_unfinished(node, &signal, e).await),
            };
            Ok(json!({
                "signal": folded.signal.to_string(),
                "number": folded.number,
                "rawEvents": folded.raw_events,
                "rows": folded.rows,
                "dead": folded.dead,
                "files": folded.files,
                "historyVersion": folded.history_version,
            }))
        }
        Operation::Abandon { signal } => {
            let signal = signal_named(node, signal).await?;
            let abandoned = node.abandon(&signal).await?;
            Ok(json!({
                "signal": abandoned.signal.to_string(),
                "number": abandoned.number,
                "plannedAt": abandoned.planned_at,
                "restate": matches!(abandoned.mode, Mode::Restate(_)),
                "tasks": abandoned.tasks,
                "tasksDone": abandoned.tasks_done,
            }))
        }
        Operation::Dataset(request) => dataset::write(node, request, progress).await,
        Operation::Everyone(request) => everyone::of_node(node, request, progress).await,
        Operation::DeadLetters(which) => letters::list(node, which).await,
        Operation::Replay(which) => letters::replay(node, which).await,
        Operation::Append { topic, records } => {
            let appended = records.len();
            let records = records.iter().map(|text| NewRecord { payload: text.clone().into(), ..NewRecord::default() });
            node.append(topic, records.collect()).await?;
            node.settle().await?;
            Ok(json!({ "appended": appended }))
        }
    }
}

/// What will not work later leaves a backfill that every later one tries first: the error says how to get past it.
async fn told_of_unfinished(node: &Node, signal: &QualifiedName, error: Error) -> Error {
    if !matches!(error.kind(), ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Corrupt) {
        return error;
    }
    match node.unfinished_backfill(signal).await {
        Ok(Some(number)) => Error::new(
            error.kind(),
            format!(
                "{error}\nbackfill {number} is unfinished, and the next backfill tries it again; if what stops it cannot be mended, \
                 give it up: tress backfill {signal} --abandon"
            ),
        ),
        // The first error is the one that matters.
        Ok(None) | Err(_) => error,
    }
}

/// The signal that a person means by `name` or `namespace/name`.
pub(super) async fn signal_named(node: &Node, text: &str) -> Result<QualifiedName> {
    let mut names: Vec<QualifiedName> = node.signals().await.iter().map(|s| s.plan.name.clone()).collect();
    names.sort();
    names.dedup();
    named("signal", text, names)
}

/// The feature that a person means by `name` or `namespace/name`.
pub(super) async fn feature_named(node: &Node, text: &str) -> Result<QualifiedName> {
    let names = node.features().await.iter().map(|(f, _)| f.feature.plan().name.clone()).collect();
    named("feature", text, names)
}

fn named(what: &str, text: &str, mut names: Vec<QualifiedName>) -> Result<QualifiedName> {
    let all = names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    names.retain(|n| text.split_once('/').map_or(n.name == text, |(ns, name)| n.namespace == ns && n.name == name));
    match names.len() {
        1 => Ok(names.remove(0)),
        0 => Err(Error::new(ErrorKind::NotFound, format!("{what} \"{text}\" does not run here; these do: {all}"))),
        _ => Err(Error::invalid(format!("{what} \"{text}\" stands in more than one namespace: write namespace/name, of {all}"))),
    }
}
