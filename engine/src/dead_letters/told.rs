//! Letters for people, the same from a folder and from a cluster.

use serde_json::{Value, json};
use tress_configs::SignalPlan;

use super::Kept;

/// Whether a letter's payload is told: it holds users' values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    Hidden,
    Shown,
}

/// Reason and place of a letter of this signal.
#[must_use]
pub fn told(plan: &SignalPlan, kept: Kept, payload: Payload) -> Value {
    let letter = kept.letter;
    let mut shown = json!({
        "signal": plan.name.to_string(),
        "offset": kept.position.offset,
        "since": kept.since,
        "reason": letter.invalid.reason,
        "field": letter.invalid.field,
        "topic": plan.source.stream.topic,
        "rawPartition": letter.partition,
        "rawOffset": letter.offset,
    });
    if payload == Payload::Shown {
        shown["payload"] = Value::from(String::from_utf8_lossy(&letter.payload).into_owned());
    }
    shown
}
