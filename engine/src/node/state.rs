//! What is live, kept across restarts: `node.json`, replaced whole.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};
use crate::log::segment::durable::{self, Sync};

/// The format of the file.
const VERSION: u32 = 1;

/// What is live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    version: u32,
    /// By `namespace/name`.
    pub features: BTreeMap<String, LiveFeature>,
    /// By UID.
    pub signals: BTreeMap<String, LiveSignal>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveFeature {
    pub digest: String,
    pub source_hash: String,
    /// UIDs of its signals, in the plan's order.
    pub signals: Vec<String>,
    pub epoch: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveSignal {
    pub digest: String,
    pub source_hash: String,
}

impl Default for State {
    fn default() -> Self {
        Self { version: VERSION, features: BTreeMap::new(), signals: BTreeMap::new() }
    }
}

impl State {
    /// Reads the file; without one, nothing is live.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged, naming it.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(e).context(|| format!("read {}", path.display())),
        };
        let state: Self = serde_json::from_slice(&bytes).map_err(|e| {
            Error::corrupt(format!("read {}: it is damaged; remove it, and what is defined is built again from the log", path.display()))
                .with_source(e)
        })?;
        if state.version > VERSION {
            return Err(Error::invalid(format!(
                "read {}: format {} is not known here; use a newer program",
                path.display(),
                state.version
            )));
        }
        Ok(state)
    }

    /// Replaces the file: a kill, or a loss of power, leaves the old one or the new one.
    ///
    /// # Errors
    /// `Full` when there is no room: the old file stays.
    pub fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(self).map_err(|e| Error::internal("write state").with_source(e))?;
        durable::replace(path, &json, Sync::EveryAppend)
    }
}
