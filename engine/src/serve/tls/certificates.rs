//! The certificates in force, renewed when their files change.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use super::Tls;
use super::files::Files;
use crate::clock::Clock;
use crate::error::{Context, Result};

/// Certificates of a folder. What is in force stays until its successor is whole.
#[derive(Debug)]
pub struct Certificates {
    tls: Tls,
    clock: Arc<dyn Clock>,
    current: ArcSwap<ServerConfig>,
    /// The last files that were looked at, usable or not.
    last: Mutex<Files>,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    Unchanged,
    /// New connections get the new certificates.
    Taken,
}

impl Certificates {
    /// # Errors
    /// `NotFound`, naming the file, when one is missing; `Invalid` when one cannot be used.
    pub async fn open(tls: Tls, clock: Arc<dyn Clock>) -> Result<Self> {
        let files = Files::read(&tls).await?;
        let config = files.config(Arc::clone(&clock)).context(|| format!("read certificates of {}", tls.folder.display()))?;
        Ok(Self { tls, clock, current: ArcSwap::new(config), last: Mutex::new(files) })
    }

    /// What a new connection goes by.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Looks once. What cannot be used is told once: the next look at the same files finds them unchanged.
    ///
    /// # Errors
    /// When a file is missing or cannot be used: what was in force stays.
    pub async fn look(&self) -> Result<Renewed> {
        let files = Files::read(&self.tls).await?;
        if *self.last.lock() == files {
            return Ok(Renewed::Unchanged);
        }
        let config = files.config(Arc::clone(&self.clock)).context(|| format!("read certificates of {}", self.tls.folder.display()));
        *self.last.lock() = files;
        self.current.store(config?);
        Ok(Renewed::Taken)
    }

    /// Looks every `interval` until `shutdown`.
    pub async fn follow(self: Arc<Self>, interval: Duration, shutdown: CancellationToken) {
        let mut told = String::new();
        while shutdown.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            match self.look().await {
                Ok(Renewed::Unchanged) => {}
                Ok(Renewed::Taken) => {
                    tracing::info!(folder = %self.tls.folder.display(), "certificates were renewed");
                    told.clear();
                }
                Err(error) => {
                    // A file that is missing is missed at every look.
                    let error = error.to_string();
                    if error != told {
                        tracing::warn!(error, "new certificates cannot be used; those before stay in force");
                    }
                    told = error;
                }
            }
        }
    }
}
