//! What the names of connections stand for. Definitions name a connection; only this says where it leads.

use std::sync::Arc;

use crate::clock::Clock;
use crate::error::Result;
use crate::lake::Lake;
use crate::log::Log;
use crate::metrics::Metrics;

/// The outside world of one process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Platform {
    /// Raw topics, changelogs and dead letters.
    log: Arc<dyn Log>,
    /// Where Tress keeps its own.
    lake: Lake,
    /// Tables and external logs.
    tables: Lake,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

impl Platform {
    /// One machine: every connection to a log is the one log, every connection to an object store the one folder of tables.
    #[must_use]
    pub fn local(log: Arc<dyn Log>, lake: Lake, tables: Lake, clock: Arc<dyn Clock>) -> Self {
        Self { log, lake, tables, clock, metrics: Metrics::default() }
    }

    /// The log behind a connection of that name.
    ///
    /// # Errors
    /// `NotFound` when the platform has no such connection.
    pub fn log(&self, _connection: &str) -> Result<Arc<dyn Log>> {
        Ok(Arc::clone(&self.log))
    }

    /// The log that keeps changelogs and dead letters.
    #[must_use]
    pub const fn own_log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// The object store behind a connection of that name.
    ///
    /// # Errors
    /// `NotFound` when the platform has no such connection.
    pub fn tables(&self, _connection: &str) -> Result<Lake> {
        Ok(self.tables.clone())
    }

    #[must_use]
    pub const fn lake(&self) -> &Lake {
        &self.lake
    }

    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}
