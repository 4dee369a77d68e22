//! The routes in force, and the epochs that must not be undercut.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, watch};
use tress_configs::name::QualifiedName;
use tress_configs::route::{Route, RouteFile, parse_name};

use super::file;
use crate::error::{Error, Result};

/// Every route of one moment. A request takes it once.
#[derive(Debug, Clone, Default)]
pub struct Table {
    routes: HashMap<QualifiedName, Arc<Route>>,
    /// Whether any routes were ever applied: an empty route is one, a missing file is none.
    known: bool,
}

/// The routes in force; swapped whole.
#[derive(Debug)]
pub struct Routes {
    current: ArcSwap<Table>,
    changes: watch::Sender<u64>,
    epochs: Mutex<Epochs>,
}

/// What to do about routes that a new set does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    Remove,
    /// A part of the set could not be read: what it held is not known to be gone.
    Keep,
}

/// What became of a set of routes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    pub changed: Vec<QualifiedName>,
    pub removed: Vec<QualifiedName>,
    pub refused: Vec<Refused>,
}

/// A route that was not applied; the one before it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub feature: QualifiedName,
    pub epoch: u64,
    /// The highest epoch seen.
    pub seen: u64,
}

/// The highest epoch seen of each feature, also by earlier processes.
#[derive(Debug)]
struct Epochs {
    path: Option<PathBuf>,
    seen: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EpochFile {
    version: u32,
    epochs: BTreeMap<String, u64>,
}

impl Table {
    #[must_use]
    pub fn get(&self, feature: &QualifiedName) -> Option<&Arc<Route>> {
        self.routes.get(feature)
    }

    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.known
    }

    pub fn iter(&self) -> impl Iterator<Item = (&QualifiedName, &Arc<Route>)> {
        self.routes.iter()
    }
}

impl Routes {
    /// `epochs`: the file that keeps the highest epochs seen across restarts; `None` keeps them in memory only.
    ///
    /// # Errors
    /// `Corrupt` when the file is damaged.
    pub async fn open(epochs: Option<&Path>) -> Result<Self> {
        let seen = match epochs {
            Some(path) => read_epochs(path).await?,
            None => BTreeMap::new(),
        };
        Ok(Self {
            current: ArcSwap::default(),
            changes: watch::Sender::new(0),
            epochs: Mutex::new(Epochs { path: epochs.map(Path::to_owned), seen }),
        })
    }

    #[must_use]
    pub fn current(&self) -> Arc<Table> {
        self.current.load_full()
    }

    /// Told after every change.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The highest epoch of a feature that was ever seen, also by earlier processes; 0 = none.
    pub async fn highest_epoch(&self, feature: &QualifiedName) -> u64 {
        self.epochs.lock().await.seen.get(&feature.to_string()).copied().unwrap_or(0)
    }

    /// Puts a set of routes in force, all at once. A route with a lower epoch than was ever seen is refused, and so is one that reads
    /// differently under the epoch in force. The epochs are on disk before the routes are in force.
    ///
    /// # Errors
    /// `Invalid` for a name that is none; `Unavailable` or `Full` when the epochs cannot be kept. Nothing has changed then.
    pub async fn apply(&self, file: &RouteFile, absent: Absent) -> Result<Applied> {
        let mut epochs = self.epochs.lock().await;
        let before = self.current.load_full();
        let mut applied = Applied::default();
        let mut seen = epochs.seen.clone();
        let mut routes = match absent {
            Absent::Keep => before.routes.clone(),
            Absent::Remove => HashMap::new(),
        };
        for (text, route) in &file.features {
            let name = parse_name(text)?;
            let highest = seen.get(text).copied().unwrap_or(0);
            let old = before.routes.get(&name);
            let differs = old.is_some_and(|old| old.epoch == route.epoch && !old.reads_as(route));
            if route.epoch < highest || differs {
                applied.refused.push(Refused { feature: name.clone(), epoch: route.epoch, seen: highest });
                if let Some(old) = old {
                    routes.insert(name, old.clone());
                }
                continue;
            }
            seen.insert(text.clone(), route.epoch);
            match old {
                Some(old) if **old == *route => {
                    routes.insert(name, old.clone());
                }
                _ => {
                    applied.changed.push(name.clone());
                    routes.insert(name, Arc::new(route.clone()));
                }
            }
        }
        applied.removed = before.routes.keys().filter(|name| !routes.contains_key(*name)).cloned().collect();
        applied.removed.sort();
        if seen != epochs.seen {
            if let Some(path) = &epochs.path {
                write_epochs(path, &seen).await?;
            }
            epochs.seen = seen;
        }
        let news = !applied.changed.is_empty() || !applied.removed.is_empty() || !before.known;
        if news {
            self.current.store(Arc::new(Table { routes, known: true }));
            self.changes.send_modify(|generation| *generation += 1);
        }
        Ok(applied)
    }
}

async fn read_epochs(path: &Path) -> Result<BTreeMap<String, u64>> {
    let doing = || format!("read epochs {}", path.display());
    let bytes = match tokio::fs::read(path).await {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(e) => return Err(Error::from(e).while_doing(doing())),
    };
    let file: EpochFile = serde_json::from_slice(&bytes)
        .map_err(|e| Error::corrupt(format!("{}: {e}; remove the file to accept any epoch once", doing())))?;
    if file.version != 1 {
        return Err(Error::corrupt(format!("{}: version {} is not known here; use a newer program", doing(), file.version)));
    }
    Ok(file.epochs)
}

async fn write_epochs(path: &Path, epochs: &BTreeMap<String, u64>) -> Result<()> {
    let file = EpochFile { version: 1, epochs: epochs.clone() };
    let bytes = serde_json::to_vec(&file).map_err(|e| Error::internal(format!("write epochs: {e}")))?;
    file::replace(path, &bytes).await
}
