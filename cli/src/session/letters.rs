//! Dead letters of the signals of a node.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tress_engine::Result;
use tress_engine::dead_letters::{self, PARTITION, Payload, Selection};
use tress_engine::node::{Node, RunningSignal};

use super::operation::signal_named;

/// Which letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Which {
    /// `None` = of all signals.
    pub signal: Option<String>,
    /// From this offset on, in the topic of dead letters.
    pub from: Option<i64>,
    /// Up to this offset, itself included.
    pub to: Option<i64>,
    pub limit: Option<usize>,
    /// Whether payloads are told: they hold users' values.
    #[serde(default)]
    pub payload: bool,
}

impl Which {
    fn selection(&self) -> Selection {
        let end = self.to.map_or(i64::MAX, |to| to.saturating_add(1));
        Selection { partition: PARTITION, offsets: self.from.unwrap_or(0)..end, limit: self.limit.unwrap_or(usize::MAX) }
    }
}

/// Letters with reason and position, oldest first by signal.
pub async fn list(node: &Node, which: &Which) -> Result<Value> {
    let mut letters = Vec::new();
    let payload = if which.payload { Payload::Shown } else { Payload::Hidden };
    for signal in signals(node, which).await? {
        let log = node.platform().own_log();
        for kept in dead_letters::list(log.as_ref(), &signal.revision.topics().dead_letters, &which.selection()).await? {
            letters.push(dead_letters::told(&signal.plan, kept, payload));
        }
    }
    Ok(Value::Array(letters))
}

/// Appends the letters to their topics again, and waits until they were looked at.
pub async fn replay(node: &Node, which: &Which) -> Result<Value> {
    let (mut appended, mut elsewhere) = (0, 0);
    for signal in signals(node, which).await? {
        let log = node.platform().own_log();
        let (topics, stream) = (signal.revision.topics(), &signal.plan.source.stream);
        let raw = node.platform().log(&stream.connection)?;
        let letters = (log.as_ref(), topics.dead_letters.as_str());
        let replayed = dead_letters::replay(letters, &which.selection(), (raw.as_ref(), &stream.topic)).await?;
        appended += replayed.appended;
        elsewhere += replayed.not_of_a_topic;
    }
    node.settle().await?;
    Ok(json!({ "appended": appended, "notOfATopic": elsewhere }))
}

async fn signals(node: &Node, which: &Which) -> Result<Vec<Arc<RunningSignal>>> {
    let mut signals = node.signals().await;
    if let Some(name) = &which.signal {
        let name = signal_named(node, name).await?;
        signals.retain(|s| s.plan.name == name);
    }
    signals.sort_by(|a, b| (&a.plan.name, &a.uid).cmp(&(&b.plan.name, &b.uid)));
    Ok(signals)
}
