//! What runs, and how far it is: definition → revision → rows, freshness, history, base.

use serde_json::{Value, json};
use tress_engine::Result;
use tress_engine::dead_letters::{self, Selection};
use tress_engine::node::{Node, Now, RunningSignal, Trouble};

/// One object a feature, one a signal revision.
pub async fn status(node: &Node) -> Result<Value> {
    let mut signals = Vec::new();
    for signal in node.signals().await {
        signals.push(of_signal(node, &signal).await?);
    }
    let mut features: Vec<Value> = Vec::new();
    for (served, uids) in node.features().await {
        features.push(json!({
            "feature": served.feature.plan().name.to_string(),
            "digest": served.digest,
            "signals": uids,
        }));
    }
    Ok(json!({ "now": node.platform().clock().now_micros(), "features": features, "signals": signals }))
}

async fn of_signal(node: &Node, signal: &RunningSignal) -> Result<Value> {
    let counts = signal.counts();
    let state = signal.store.least_state();
    let (tail_rows, tail_bytes) = signal.store.tail_size();
    let history = signal.store.history().snapshot().await?;
    let letters = dead_letters::list(node.platform().own_log().as_ref(), &signal.revision.topics().dead_letters, &Selection::first(10_000))
        .await?
        .len();
    Ok(json!({
        "signal": signal.plan.name.to_string(),
        "uid": signal.uid,
        "schemaVersion": signal.plan.schema_version,
        "topic": signal.plan.source.stream.topic,
        "failure": signal.failure(),
        "waiting": signal.waiting(),
        "troubles": signal.troubles().iter().map(trouble).collect::<Vec<_>>(),
        "sinceStart": { "raw": counts.raw, "rows": counts.rows, "dead": counts.dead, "notOurs": counts.not_ours, "yieldedNothing": counts.yielded_nothing },
        "records": signal.ends().await?.iter().map(|(_, end)| end).sum::<i64>(),
        "deadLetters": letters,
        "appliedThrough": state.applied_through,
        "historyThrough": state.history_through,
        "completeThrough": state.complete_through,
        "tail": { "rows": tail_rows, "bytes": tail_bytes },
        "history": history.map(|h| json!({
            "version": h.version,
            "backfill": h.backfill,
            "rows": h.rows(),
            "files": h.files.len(),
            "buckets": h.buckets().len(),
        })),
        "base": signal.store.base().map(|base| json!({ "manifest": base.manifest })),
    }))
}

fn trouble(Trouble { role, times, reason, now }: &Trouble) -> Value {
    let now = match now {
        Now::Runs => "runs",
        Now::Pauses => "pauses",
        Now::Failed => "failed",
    };
    json!({ "task": role.to_string(), "times": times, "reason": reason, "now": now })
}
