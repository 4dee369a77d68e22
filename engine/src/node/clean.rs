//! Vacuum in a running node.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::signal::RunningSignal;
use crate::error::Result;
use crate::platform::Platform;
use crate::roles::fold;
use crate::vacuum::{Spared, Vacuumed};

/// How often it is looked for what nothing refers to.
const EVERY: Duration = Duration::from_secs(3600);

impl RunningSignal {
    /// Deletes what nothing refers to any more: what otherwise happens every hour. One at a time with folds and bases of this node.
    ///
    /// # Errors
    /// As [`fold::clean`].
    pub async fn vacuum(&self, platform: &Platform, spared: Spared) -> Result<Vacuumed> {
        let _one_at_a_time = self.folding.lock().await;
        fold::clean(platform, self.store.history(), &self.revision, spared).await
    }
}

/// Vacuums until `shutdown`.
pub async fn watch(signal: Arc<RunningSignal>, platform: Platform, shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        match shutdown.run_until_cancelled(signal.vacuum(&platform, Spared::default())).await {
            None => return,
            Some(Ok(Vacuumed { files: 0, .. })) => {}
            Some(Ok(Vacuumed { files, bytes })) => tracing::info!(uid = signal.uid, files, bytes, "deleted what nothing refers to"),
            Some(Err(error)) => tracing::warn!(uid = signal.uid, %error, "what nothing refers to could not be deleted; trying again"),
        }
    }
}
