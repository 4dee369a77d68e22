//! What a signal does, counted: a wrapper around its transform, and gauges that are read now and then.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::signal::RunningSignal;
use crate::clock::Clock;
use crate::error::Result;
use crate::log::Record;
use crate::metrics::{ColumnMetrics, SignalMetrics};
use crate::pipeline::Processed;
use crate::rows::Rows;
use crate::stream::{DecodeAndRun, Transform};

/// How often gauges are set.
const LOOK: Duration = Duration::from_secs(1);

/// Counts what goes through.
#[derive(Debug)]
pub struct Metered {
    pub inner: DecodeAndRun,
    pub metrics: SignalMetrics,
    pub columns: ColumnMetrics,
    /// Of the signal's enrichments, in the plan's order.
    pub enrichments: Vec<String>,
}

#[async_trait]
impl Transform for Metered {
    async fn transform(&self, partition: i32, records: &[Record]) -> Result<Processed> {
        let processed = self.inner.transform(partition, records).await?;
        let metrics = &self.metrics;
        metrics.rows_in.inc_by(records.len() as u64);
        metrics.rows_not_ours.inc_by(processed.not_ours as u64);
        metrics.rows_filtered.inc_by(processed.yielded_nothing as u64);
        for dead in &processed.dead {
            metrics.dead_letter(dead.invalid.reason);
        }
        let rows = Rows::new(processed.rows.clone())?;
        metrics.rows_out.inc_by(rows.len() as u64);
        self.columns.observe(&rows);
        for (available_at, event_time) in rows.available_at().iter().zip(rows.event_time()) {
            metrics.event_delay(available_at.saturating_sub(*event_time));
        }
        let looked_up = rows.deleted().len() - rows.deleted().true_count();
        for (bit, enrichment) in self.enrichments.iter().enumerate() {
            let found = rows.found().iter().filter(|found| **found & (1 << bit) != 0).count();
            metrics.coverage(enrichment, found as u64, looked_up as u64);
        }
        Ok(processed)
    }
}

/// Sets the gauges of a signal until `shutdown`.
pub async fn watch(signal: Arc<RunningSignal>, (clock, metrics): (Arc<dyn Clock>, SignalMetrics), shutdown: CancellationToken) {
    metrics.digest(&signal.revision.digest);
    while shutdown.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        signal.columns.tell(clock.now_micros());
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
