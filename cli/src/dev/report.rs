//! What `tress dev` says while it runs: how fast records come in, and how a watched entity's sequences change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use tokio_util::sync::CancellationToken;
use tress_engine::entity::Entity;
use tress_engine::node::Node;
use tress_engine::read::Query;
use tress_engine::serve::rows_to_json;

use crate::render::{Style, rows};
use crate::say;

/// Between two lines of throughput.
const EVERY: Duration = Duration::from_secs(3);
/// Between two looks at a watched entity.
const LOOK: Duration = Duration::from_millis(250);
/// Rows of a watched sequence that are shown.
const SHOWN: usize = 10;

/// Appended records by what their input is called.
pub type Counters = Vec<(String, Arc<AtomicU64>)>;

/// Says every few seconds how many records came, if any did.
pub async fn throughput(node: Arc<Node>, counters: Counters, stop: CancellationToken) {
    let mut before: Vec<u64> = vec![0; counters.len()];
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        for ((name, counter), before) in counters.iter().zip(&mut before) {
            let now = counter.load(Ordering::Relaxed);
            if now > *before {
                say!("{name}: {} records in, {} a second", rows::grouped(now), rows::grouped((now - *before) / EVERY.as_secs()));
                *before = now;
            }
        }
        for signal in node.signals().await {
            if let Some(reason) = signal.failure() {
                say!("{} does not go on: {reason}", signal.plan.name);
            } else if let Some(reason) = signal.waiting() {
                say!("{} waits: {reason}", signal.plan.name);
            }
        }
    }
}

/// Prints the newest rows of an entity's sequences whenever they change.
pub async fn watch_entity(node: Arc<Node>, entity: String, stop: CancellationToken) {
    let mut seen: BTreeMap<String, RecordBatch> = BTreeMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        for (served, _) in node.features().await {
            let plan = served.feature.plan();
            let Ok(parsed) = Entity::parse(&entity, plan.entity) else { continue };
            let answer = match served.read(&Query::new(parsed, node.platform().clock().now_micros())).await {
                Ok(answer) => answer,
                Err(e) => {
                    tracing::debug!(error = %e, "a watched sequence could not be read");
                    continue;
                }
            };
            let name = plan.name.to_string();
            let sequence = answer.sequence.rows;
            if seen.get(&name).is_some_and(|before| *before == sequence) || (sequence.num_rows() == 0 && !seen.contains_key(&name)) {
                continue;
            }
            match rows_to_json(&sequence.slice(0, sequence.num_rows().min(SHOWN))) {
                Ok(json) => say!("{name} of {entity}: {} rows\n{}", sequence.num_rows(), rows::table(&json, Style::stderr())),
                Err(e) => say!("{name} of {entity}: {e}"),
            }
            seen.insert(name, sequence);
        }
    }
}
