//! Follows a platform file: looks again and again, and takes in force what is new and whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tress_configs::platform::PlatformFile;

use super::{Connections, Platform};
use crate::clock::Clock;
use crate::error::{Context, Error, Result};

/// A platform file and the last that was seen of it.
#[derive(Debug)]
pub struct Following {
    path: PathBuf,
    last: String,
}

/// What a look found.
#[derive(Debug, PartialEq, Eq)]
pub enum Followed {
    Unchanged,
    /// These connections lead elsewhere from now on.
    Applied {
        changed: Vec<String>,
    },
}

impl Platform {
    /// Reads a platform file. Talks to nobody yet. Needs a Tokio runtime.
    ///
    /// # Errors
    /// `NotFound` when there is no such file; `Invalid` with everything that is wrong with it, by line and column.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<(Self, Following)> {
        let text = std::fs::read_to_string(path).context(|| format!("read platform file {}", path.display()))?;
        let platform = Self::of_file(parse(path, &text)?, clock)?;
        Ok((platform, Following { path: path.to_owned(), last: text }))
    }
}

impl Following {
    /// Looks once.
    ///
    /// # Errors
    /// When the file is not there or is not whole, or names other outputs: what was in force stays.
    pub async fn look(&mut self, platform: &Platform) -> Result<Followed> {
        let doing = || format!("read platform file {}", self.path.display());
        let text = tokio::fs::read_to_string(&self.path).await.context(doing)?;
        let Connections::Named(named) = &platform.connections else { return Ok(Followed::Unchanged) };
        if text == self.last {
            return Ok(Followed::Unchanged);
        }
        let file = parse(&self.path, &text)?;
        // What Tress keeps is where it is: to move it is no matter of a running process.
        if self.outputs()? != file.outputs {
            return Err(Error::invalid("outputs: they cannot change while the program runs; start it anew")).context(doing);
        }
        let changed = named.replace(file);
        self.last = text;
        Ok(Followed::Applied { changed })
    }

    /// Looks every `interval` until `shutdown`.
    pub async fn run(mut self, platform: Platform, interval: Duration, shutdown: CancellationToken) {
        let mut told = String::new();
        while shutdown.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            let now = match self.look(&platform).await {
                Ok(Followed::Unchanged) => String::new(),
                Ok(Followed::Applied { changed }) => {
                    tracing::info!(?changed, "the platform file is new");
                    String::new()
                }
                Err(e) => e.to_string(),
            };
            // A mistake is told once, not at every look.
            if !now.is_empty() && now != told {
                tracing::warn!(error = now, "the platform file cannot be used; what was in force stays");
            }
            told = now;
        }
    }

    fn outputs(&self) -> Result<tress_configs::platform::Outputs> {
        Ok(parse(&self.path, &self.last)?.outputs)
    }
}

fn parse(path: &Path, text: &str) -> Result<PlatformFile> {
    PlatformFile::parse(&path.display().to_string(), text).map_err(|issues| {
        let told: Vec<String> = issues.iter().map(ToString::to_string).collect();
        Error::invalid(format!("the platform file cannot be used:\n{}", told.join("\n")))
    })
}
