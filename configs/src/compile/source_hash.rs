//! What a revision *is*: the fields that decide the data, as written. Equal source hashes never start a rollout.

use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_128;

use crate::definition::{FeatureDefinition, SignalDefinition, SignalUse};
use crate::duration::Duration;
use crate::plan::canonical;

/// The way of hashing; a hash is compared with another only under the same one.
pub const SCHEME: &str = "h1";

/// The source hash of a signal.
#[must_use]
pub fn signal_source_hash(definition: &SignalDefinition) -> String {
    // Destructured in full: who adds a field decides here whether it decides the data.
    let SignalDefinition {
        description: _,
        owners: _,
        lifecycle: _,
        sunset: _,
        schema_version,
        shared_with: _,
        entity,
        event,
        source,
        on_invalid,
        max_future_skew,
        bucket,
        lateness,
        retention,
        executor,
        enrichments,
        columns,
    } = definition;
    let mut map = Map::new();
    put(&mut map, "schemaVersion", schema_version.as_ref());
    put(&mut map, "entity", Some(entity));
    put(&mut map, "event", Some(event));
    put(&mut map, "source", Some(source));
    put(&mut map, "onInvalid", on_invalid.as_ref());
    put(&mut map, "bucket", bucket.as_ref());
    put(&mut map, "executor", executor.as_ref());
    put(&mut map, "enrichments", enrichments.as_ref());
    put(&mut map, "columns", columns.as_ref());
    put_duration(&mut map, "maxFutureSkew", *max_future_skew);
    put_duration(&mut map, "lateness", *lateness);
    put_duration(&mut map, "retention", *retention);
    let mut value = Value::Object(map);
    set_duration(&mut value, "/event/availableAt/eventTime/delay", event.available_at.event_time.map(|e| e.delay));
    set_duration(&mut value, "/source/batch/completeAfter", source.batch.as_ref().map(|b| b.complete_after));
    hash(&value)
}

/// The source hash of a feature. `signals`: of the signal revisions that it reads, in the order written.
#[must_use]
pub fn feature_source_hash(definition: &FeatureDefinition, signals: &[String]) -> String {
    let FeatureDefinition {
        description: _,
        owners: _,
        lifecycle: _,
        sunset: _,
        signals: uses,
        length,
        window,
        deduplicate,
        view,
        contract: _,
    } = definition;
    let mut map = Map::new();
    let uses: Vec<SignalUse> = uses.iter().map(|used| SignalUse { update: None, ..used.clone() }).collect();
    put(&mut map, "signals", Some(&uses));
    put(&mut map, "length", Some(length));
    put(&mut map, "deduplicate", deduplicate.as_ref());
    put(&mut map, "view", view.as_ref());
    put_duration(&mut map, "window", *window);
    put(&mut map, "signalSourceHashes", Some(&signals));
    let mut value = Value::Object(map);
    set_duration(&mut value, "/view/sessions/gap", view.as_ref().and_then(|v| v.sessions).map(|s| s.gap));
    hash(&value)
}

fn hash(value: &Value) -> String {
    format!("{SCHEME}:{:032x}", xxh3_128(canonical(value).as_bytes()))
}

/// What is absent stays absent.
fn put(map: &mut Map<String, Value>, key: &str, field: Option<&impl serde::Serialize>) {
    if let Some(value) = field.and_then(|f| serde_json::to_value(f).ok()) {
        map.insert(key.to_owned(), value);
    }
}

fn put_duration(map: &mut Map<String, Value>, key: &str, duration: Option<Duration>) {
    if let Some(duration) = duration {
        map.insert(key.to_owned(), json!(duration.millis()));
    }
}

/// Durations in milliseconds: 72h is 3d.
fn set_duration(value: &mut Value, pointer: &str, duration: Option<Duration>) {
    if let (Some(place), Some(duration)) = (value.pointer_mut(pointer), duration) {
        *place = json!(duration.millis());
    }
}
