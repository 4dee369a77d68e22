//! Follows a route file: looks again and again, and applies what is new. What is pushed is in force at once, and waits for the file
//! to say it too.
//!
//! ```text
//! file (the truth, late) ─┬─ says a feature's epoch or a later one ─▶ the push of it has done its work
//! push (fast) ────────────┴─ says an earlier one, or not that feature ─▶ the push stays, for a while
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tress_configs::route::{Route, RouteFile, parse_name};

use super::file;
use super::table::{Absent, Applied, Refused, Routes};
use crate::clock::Stopwatch;
use crate::error::{Context, Error, ErrorKind, Result};

/// How long a push of a feature that the file does not name stays: longer than a file takes to arrive, and then the file is right.
const PATIENCE: Duration = Duration::from_secs(600);

/// A route file, or a folder of them, and the last that was seen of it.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    last: Option<Vec<(String, Vec<u8>)>>,
    /// Epochs as the file has them.
    filed: BTreeMap<String, u64>,
    /// What was pushed and is not in the file yet.
    pushed: BTreeMap<String, (Route, Stopwatch)>,
    /// Where that is kept across restarts; `None` = nowhere.
    kept: Option<PathBuf>,
    /// What was wrong when it was last looked.
    troubles: Vec<String>,
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
        Self { path, last: None, filed: BTreeMap::new(), pushed: BTreeMap::new(), kept: None, troubles: Vec::new() }
    }

    /// As [`Watch::new`]. `kept`: the file that keeps what was pushed: a restart must not go back to a file that is older.
    ///
    /// # Errors
    /// When the disk does not answer. What is no route file there is forgotten: a push is only faster.
    pub async fn open(path: PathBuf, kept: &Path) -> Result<Self> {
        let file = match tokio::fs::read(kept).await {
            Ok(bytes) => RouteFile::from_json(&bytes).unwrap_or_else(|error| {
                tracing::warn!(file = %kept.display(), %error, "routes that were pushed before cannot be read; the route file counts");
                RouteFile::default()
            }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => RouteFile::default(),
            Err(e) => return Err(e).context(|| format!("read pushed routes {}", kept.display())),
        };
        let pushed = file.features.into_iter().map(|(name, route)| (name, (route, Stopwatch::start()))).collect();
        Ok(Self { pushed, kept: Some(kept.to_owned()), ..Self::new(path) })
    }

    /// The epoch of a feature as the file has it, when it was last looked at; `None` = it has not the feature.
    #[must_use]
    pub fn filed(&self, feature: &str) -> Option<u64> {
        self.filed.get(feature).copied()
    }

    /// What was wrong with the file when it was last read, or with reading it; empty = nothing.
    #[must_use]
    pub fn troubles(&self) -> &[String] {
        &self.troubles
    }

    /// Looks once.
    ///
    /// # Errors
    /// `Unavailable` when the disk does not answer, or the epochs cannot be kept: look again.
    pub async fn poll(&mut self, routes: &Routes) -> Result<Polled> {
        let Some(read) = file::read(&self.path).await? else {
            return Ok(Polled::Missing);
        };
        let waited = self.pushed.iter().any(|(name, (_, since))| !self.filed.contains_key(name) && since.elapsed() >= PATIENCE);
        if self.last.as_ref() == Some(&read.bytes) && !waited {
            return Ok(Polled::Unchanged);
        }
        let mut all = RouteFile::default();
        let mut broken = Vec::new();
        for (name, bytes) in &read.bytes {
            match RouteFile::from_json(bytes) {
                Ok(file) => all.features.extend(file.features),
                Err(e) => broken.push(Error::from(e).while_doing(format!("read routes {name}"))),
            }
        }
        // A single broken file says nothing at all: not even that there are no routes.
        if broken.len() == read.bytes.len() && !broken.is_empty() {
            self.last = Some(read.bytes);
            return Ok(Polled::Applied { applied: Applied::default(), broken });
        }
        let filed: BTreeMap<String, u64> = all.features.iter().map(|(name, route)| (name.clone(), route.epoch)).collect();
        let mut pushed = self.pushed.clone();
        pushed.retain(|name, (route, since)| match filed.get(name) {
            Some(epoch) => *epoch < route.epoch,
            None => since.elapsed() < PATIENCE,
        });
        all.features.extend(pushed.iter().map(|(name, (route, _))| (name.clone(), route.clone())));
        let absent = if broken.is_empty() { Absent::Remove } else { Absent::Keep };
        let applied = routes.apply(&all, absent).await?;
        if pushed.len() != self.pushed.len() {
            self.keep(&pushed).await?;
        }
        (self.last, self.filed, self.pushed) = (Some(read.bytes), filed, pushed);
        Ok(Polled::Applied { applied, broken })
    }

    /// Puts routes of some features in force before the file says them. Others stay as they are.
    ///
    /// # Errors
    /// `Unavailable` before the file was read for the first time: it is the truth, and only it says that there is nothing else.
    /// `Invalid` for a name that is none; `Full` when what was pushed cannot be kept. Nothing has changed then.
    pub async fn push(&mut self, routes: &Routes, file: &RouteFile) -> Result<Applied> {
        if self.last.is_none() {
            return Err(Error::new(ErrorKind::Unavailable, "push routes: the route file was not read yet; wait until it is mounted"));
        }
        file.check()?;
        let mut pushed = self.pushed.clone();
        for (name, route) in &file.features {
            let later = self.filed(name).is_none_or(|epoch| epoch < route.epoch)
                && pushed.get(name).is_none_or(|(before, _)| before.epoch <= route.epoch)
                && routes.highest_epoch(&parse_name(name)?).await <= route.epoch;
            if later {
                pushed.insert(name.clone(), (route.clone(), Stopwatch::start()));
            }
        }
        // Before it is in force: a restart in between finds it and goes on.
        self.keep(&pushed).await?;
        let applied = routes.apply(file, Absent::Keep).await?;
        for refused in &applied.refused {
            let name = refused.feature.to_string();
            match self.pushed.get(&name) {
                Some(before) => pushed.insert(name, before.clone()),
                None => pushed.remove(&name),
            };
        }
        if !applied.refused.is_empty() {
            self.keep(&pushed).await?;
        }
        self.pushed = pushed;
        Ok(applied)
    }

    async fn keep(&self, pushed: &BTreeMap<String, (Route, Stopwatch)>) -> Result<()> {
        let Some(path) = &self.kept else { return Ok(()) };
        let features = pushed.iter().map(|(name, (route, _))| (name.clone(), route.clone())).collect();
        file::write(path, &RouteFile { features, ..RouteFile::default() }).await
    }
}

/// Looks every `interval` until `shutdown`.
pub async fn follow(watch: Arc<Mutex<Watch>>, routes: Arc<Routes>, interval: Duration, shutdown: CancellationToken) {
    loop {
        let mut watch_now = watch.lock().await;
        let troubles = match watch_now.poll(&routes).await {
            Ok(Polled::Unchanged) => None,
            Ok(Polled::Missing) => Some(vec![format!("{}: there is no route file; the routes in force stay", watch_now.path.display())]),
            Ok(Polled::Applied { applied, broken }) => {
                tracing::info!(changed = applied.changed.len(), removed = applied.removed.len(), "routes applied");
                let refused = applied.refused.iter().map(|refused| {
                    let Refused { feature, epoch, seen } = refused;
                    format!("{feature}: epoch {epoch} is below {seen}, which was in force, or differs from it: refused")
                });
                Some(broken.iter().map(|error| format!("{error}; the routes before it stay")).chain(refused).collect())
            }
            Err(error) => Some(vec![format!("{error}; the routes in force stay")]),
        };
        // Told once, not at every look.
        if let Some(troubles) = troubles.filter(|troubles| *troubles != watch_now.troubles) {
            for trouble in &troubles {
                tracing::warn!(trouble, "routes");
            }
            watch_now.troubles = troubles;
        }
        drop(watch_now);
        if shutdown.run_until_cancelled(tokio::time::sleep(interval)).await.is_none() {
            return;
        }
    }
}
