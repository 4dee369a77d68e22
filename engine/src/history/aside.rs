//! Long computations, away from the threads that answer requests.

use crate::error::{Error, Result};
use crate::faults;

/// Runs `work` on a thread of its own.
///
/// # Errors
/// Its own; `Internal` when it panicked.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(faults::carry(work)).await;
    done.map_err(|e| Error::internal("a computation ended without an answer").with_source(e))?
}
