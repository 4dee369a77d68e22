//! What the names of connections stand for. Definitions name a connection; only this says where it leads.
//!
//! ```text
//! platform file ─▶ connect ─▶ named: by name, opened when it is first asked for ─┐
//! tress dev ────────────────▶ one log, one folder of tables ─────────────────────┴▶ Platform ─▶ prepare, stream, backfill, serve
//! ```

mod connect;
mod follow;
mod named;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tress_configs::platform::{PlatformFile, Topics};

pub use self::follow::{Followed, Following};
use self::named::Named;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::registry::Schemas;

/// The outside world of one process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Platform {
    connections: Connections,
    /// Changelogs and dead letters.
    own_log: Arc<dyn Log>,
    /// Where Tress keeps its own.
    lake: Lake,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

/// What names lead to.
#[derive(Debug, Clone)]
enum Connections {
    /// Every name of a log to the one log, every name of an object store to the one folder.
    Local {
        log: Arc<dyn Log>,
        tables: Lake,
    },
    Named(Arc<Named>),
}

impl Platform {
    /// One machine: every connection to a log is the one log, every connection to an object store the one folder of tables.
    #[must_use]
    pub fn local(log: Arc<dyn Log>, lake: Lake, tables: Lake, clock: Arc<dyn Clock>) -> Self {
        let connections = Connections::Local { log: Arc::clone(&log), tables };
        Self { connections, own_log: log, lake, clock, metrics: Metrics::default() }
    }

    /// The connections of a platform file. Talks to nobody yet. Needs a Tokio runtime.
    ///
    /// # Errors
    /// `Invalid` when a connection cannot be so; `NotFound`, naming the file, when a secret of the outputs is not mounted.
    pub fn of_file(file: PlatformFile, clock: Arc<dyn Clock>) -> Result<Self> {
        let outputs = file.outputs.clone();
        let named = Named::new(file);
        let (own_log, lake) = (named.log(&outputs.changelog)?, named.store(&outputs.lake)?);
        Ok(Self { connections: Connections::Named(Arc::new(named)), own_log, lake, clock, metrics: Metrics::default() })
    }

    /// The log behind a connection of that name.
    ///
    /// # Errors
    /// `NotFound` when the platform has no such connection.
    pub fn log(&self, connection: &str) -> Result<Arc<dyn Log>> {
        match &self.connections {
            Connections::Local { log, .. } => Ok(Arc::clone(log)),
            Connections::Named(named) => named.log(connection),
        }
    }

    /// The schemas of the registry that belongs to a connection.
    ///
    /// # Errors
    /// `NotFound` when the platform has no such connection, or a secret is not mounted; `Invalid` when the connection has no registry.
    pub fn schemas(&self, connection: &str) -> Result<Arc<Schemas>> {
        let found = match &self.connections {
            Connections::Local { .. } => None,
            Connections::Named(named) => named.schemas(connection, &self.lake)?,
        };
        let help = "source.stream.format avro needs one; the platform file gives it as kafka.registry: {url: …}";
        found.ok_or_else(|| Error::invalid(format!("connection {connection}: it has no schema registry; {help}")))
    }

    /// The schemas of a registry that records were read with: what was kept of it, where no connection leads to it any more.
    ///
    /// # Errors
    /// `NotFound` when a secret of the registry is not mounted.
    pub fn schemas_of(&self, connection: &str, registry: &str) -> Result<Arc<Schemas>> {
        match self.registry_identity(connection)? {
            Some(now) if now == registry => self.schemas(connection),
            _ => Ok(Arc::new(Schemas::kept(registry, self.lake.clone()))),
        }
    }

    /// Who the registry of a connection is; `None` = it has none.
    ///
    /// # Errors
    /// As [`Self::schemas`].
    pub fn registry_identity(&self, connection: &str) -> Result<Option<String>> {
        match &self.connections {
            Connections::Local { .. } => Ok(None),
            Connections::Named(named) => Ok(named.schemas(connection, &self.lake)?.map(|s| s.identity().to_owned())),
        }
    }

    /// The log that keeps changelogs and dead letters.
    #[must_use]
    pub const fn own_log(&self) -> &Arc<dyn Log> {
        &self.own_log
    }

    /// How topics are made in the log that keeps changelogs and dead letters.
    #[must_use]
    pub fn topics(&self) -> Topics {
        match &self.connections {
            Connections::Local { .. } => Topics::default(),
            Connections::Named(named) => named.own_topics(),
        }
    }

    /// Whether raw topics that are missing are made here. Those of a Kafka are their owners': one that is missing is a mistake in a name.
    #[must_use]
    pub const fn makes_raw_topics(&self) -> bool {
        matches!(self.connections, Connections::Local { .. })
    }

    /// Whether definitions of a namespace may use a connection. One that there is not is refused elsewhere, with the nearest name.
    #[must_use]
    pub fn admits(&self, connection: &str, namespace: &str) -> bool {
        match &self.connections {
            Connections::Local { .. } => true,
            Connections::Named(named) => named.admits(connection, namespace),
        }
    }

    /// The object store behind a connection of that name.
    ///
    /// # Errors
    /// `NotFound` when the platform has no such connection.
    pub fn tables(&self, connection: &str) -> Result<Lake> {
        match &self.connections {
            Connections::Local { tables, .. } => Ok(tables.clone()),
            Connections::Named(named) => named.store(connection),
        }
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
