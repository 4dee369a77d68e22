//! Follows a route file: looks again and again, and applies what is new.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::file::{self, RouteFile};
use super::table::{Absent, Applied, Routes};
use crate::error::{Error, Result};

/// A route file, or a folder of them, and the last that was seen of it.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    last: Option<Vec<(String, Vec<u8>)>>,
}

/// What a look found.
#[derive(Debug)]
pub enum Polled {
    /// There is no such file (yet). What was in force stays.
    Missing,
    Unchanged,
    Applied {
        applied: Applied,
        /// Files that could not be used; the routes they held before stay.
        broken: Vec<Error>,
    },
}

impl Watch {
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path, last: None }
    }

    /// Looks once.
    ///
    /// # Errors
    /// `Unavailable` when the disk does not answer, or the epochs cannot be kept: look again.
    pub async fn poll(&mut self, routes: &Routes) -> Result<Polled> {
        let Some(read) = file::read(&self.path).await? else {
            return Ok(Polled::Missing);
        };
        if self.last.as_ref() == Some(&read.bytes) {
            return Ok(Polled::Unchanged);
        }
        let mut all = RouteFile::default();
        let mut broken = Vec::new();
        for (name, bytes) in &read.bytes {
            match RouteFile::from_json(bytes) {
                Ok(file) => all.features.extend(file.features),
                Err(e) => broken.push(e.while_doing(format!("read routes {name}"))),
            }
        }
        let absent = if broken.is_empty() { Absent::Remove } else { Absent::Keep };
        // A single broken file says nothing at all: not even that there are no routes.
        let applied =
            if broken.len() == read.bytes.len() && !broken.is_empty() { Applied::default() } else { routes.apply(&all, absent).await? };
        self.last = Some(read.bytes);
        Ok(Polled::Applied { applied, broken })
    }

    /// Looks every `interval` until `shutdown`.
    pub async fn run(mut self, routes: Arc<Routes>, interval: Duration, shutdown: CancellationToken) {
        loop {
            match self.poll(&routes).await {
                Ok(Polled::Missing | Polled::Unchanged) => {}
                Ok(Polled::Applied { applied, broken }) => {
                    for error in broken {
                        tracing::warn!(%error, "a route file cannot be used; the routes before it stay");
                    }
                    for refused in &applied.refused {
                        let (epoch, seen) = (refused.epoch, refused.seen);
                        tracing::warn!(feature = %refused.feature, epoch, seen, "a route is older than the one in force, or differs under its epoch: refused");
                    }
                    tracing::info!(changed = applied.changed.len(), removed = applied.removed.len(), "routes applied");
                }
                Err(error) => tracing::warn!(%error, "routes cannot be read; the ones in force stay"),
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
        }
    }
}
