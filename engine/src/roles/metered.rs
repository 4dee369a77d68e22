//! A wrapper around a stream's transform that counts what goes through.

use async_trait::async_trait;

use crate::error::Result;
use crate::log::Record;
use crate::metrics::{ColumnMetrics, SignalMetrics};
use crate::pipeline::Processed;
use crate::rows::Rows;
use crate::stream::{DecodeAndRun, Transform};

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
        let times = rows.available_at().iter().zip(rows.event_time());
        metrics.event_delays(times.map(|(available_at, event_time)| available_at.saturating_sub(*event_time)));
        let looked_up = rows.deleted().len() - rows.deleted().true_count();
        for (bit, enrichment) in self.enrichments.iter().enumerate() {
            let found = rows.found().iter().filter(|found| **found & (1 << bit) != 0).count();
            metrics.coverage(enrichment, found as u64, looked_up as u64);
        }
        Ok(processed)
    }
}
