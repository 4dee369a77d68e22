//! Gauges of a signal that runs whole in this process, set now and then.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::signal::RunningSignal;
use crate::clock::Clock;
use crate::metrics::SignalMetrics;

/// How often gauges are set.
const LOOK: Duration = Duration::from_secs(1);

/// Sets the gauges of a signal until `shutdown`.
pub async fn watch(signal: Arc<RunningSignal>, (clock, metrics): (Arc<dyn Clock>, SignalMetrics), shutdown: CancellationToken) {
    metrics.digest(&signal.revision.digest);
    while shutdown.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        signal.streamed.columns.tell(clock.now_micros());
        let (rows, bytes) = signal.store.tail_size();
        metrics.tail_rows.set(i64::try_from(rows).unwrap_or(i64::MAX));
        metrics.tail_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        if let Ok(ends) = signal.ends().await {
            for (partition, end) in ends {
                metrics.lag(partition, end.saturating_sub(signal.store.progress().applied_offset(partition)).max(0));
            }
        }
        if let Some(made) = signal.store.base().and_then(|base| base.made_at) {
            let age = clock.now_micros().saturating_sub(made).max(0);
            metrics.generation_age(Duration::from_micros(age.unsigned_abs()));
        }
    }
    metrics.forget_digest(&signal.revision.digest);
}
