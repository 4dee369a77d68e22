//! Gauges of the signals that are followed, set now and then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tress_configs::name::QualifiedName;

use super::signals::Signals;
use crate::platform::Platform;

/// How often gauges are set.
const LOOK: Duration = Duration::from_secs(1);

/// What revisions of one signal have together.
#[derive(Debug, Default)]
struct Tail {
    rows: usize,
    bytes: usize,
    /// When the oldest of their bases was made, µs.
    made_at: Option<i64>,
}

/// Sets gauges until `shutdown`.
pub async fn watch(platform: Platform, signals: Arc<Signals>, shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        let mut tails: BTreeMap<QualifiedName, Tail> = BTreeMap::new();
        for (signal, _) in signals.all() {
            let (rows, bytes) = signal.followed.store.tail_size();
            let made_at = signal.followed.store.base().and_then(|base| base.made_at);
            let tail = tails.entry(signal.plan.name.clone()).or_default();
            tail.rows += rows;
            tail.bytes += bytes;
            tail.made_at = [tail.made_at, made_at].into_iter().flatten().min();
        }
        for (name, tail) in tails {
            let metrics = platform.metrics().signal(&name);
            metrics.tail_rows.set(i64::try_from(tail.rows).unwrap_or(i64::MAX));
            metrics.tail_bytes.set(i64::try_from(tail.bytes).unwrap_or(i64::MAX));
            if let Some(made_at) = tail.made_at {
                let age = platform.clock().now_micros().saturating_sub(made_at).max(0);
                metrics.generation_age(Duration::from_micros(age.unsigned_abs()));
            }
        }
    }
}
