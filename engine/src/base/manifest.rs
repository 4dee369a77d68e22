//! Manifest n of a base: what it was made from and which runs it is. Put if absent; who loses recomputes.

use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::demand::Demands;
use crate::backfill::Cut;
use crate::error::{Context, Error, Result};
use crate::history::History;
use crate::history::agreement::{self, Put};
use crate::{faults, layout};

/// The format of manifests.
pub const FORMAT: u32 = 1;

/// A version of a base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub format: u32,
    pub number: u64,
    /// Of the signal revision.
    pub uid: String,
    /// The version of the history's table that this was made from.
    pub history: u64,
    /// The backfill that was sealed last in that version.
    pub backfill: u64,
    /// What that version covers; `None` when nothing was sealed.
    pub cut: Option<Cut>,
    /// When that backfill was planned: what was in its source by then is in it, µs, UTC.
    pub planned_at: Option<i64>,
    /// The newest event_time in it, µs, UTC.
    pub newest: Option<i64>,
    pub demands: Demands,
    /// Per shard: its generations, newest last.
    pub shards: Vec<Vec<Generation>>,
    /// Per shard: everything in the changelog before this position is in the base. Empty = that is not known of any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changelog: Vec<i64>,
    /// What a later base tells of the changelog once its history reaches as far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
}

/// A moment of changelog and source together: every row in the changelog before these positions came of a raw event that `raw` covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// Per shard.
    pub changelog: Vec<i64>,
    pub raw: Cut,
}

/// One run of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    /// In the lake.
    pub path: String,
    pub kind: Kind,
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// What a run is to its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Made from all of history (a large shard has several, of entities of their own).
    Whole,
    /// Made from what was added to history since.
    Added,
}

impl Manifest {
    /// The newest manifest; `None` when there is none.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged or of a newer format; when the lake does not answer.
    pub async fn newest(history: &History) -> Result<Option<Self>> {
        let folder = layout::base_manifests(history.uid());
        let doing = || format!("list {folder}");
        let mut newest: Option<u64> = None;
        let mut files = history.lake().store().list(Some(&folder));
        while let Some(file) = files.try_next().await.map_err(Error::from).context(doing)? {
            let number = file.location.filename().and_then(|name| name.strip_suffix(".json")).and_then(|n| n.parse::<u64>().ok());
            newest = newest.max(number);
        }
        match newest {
            None => Ok(None),
            Some(number) => Self::read(history, number).await,
        }
    }

    /// # Errors
    /// As [`Manifest::newest`].
    pub async fn read(history: &History, number: u64) -> Result<Option<Self>> {
        agreement::read(history.lake().store().as_ref(), &layout::base_manifest(history.uid(), number), FORMAT).await
    }

    pub(super) async fn put(&self, history: &History) -> Result<Put> {
        faults::point(faults::Point::BaseManifest)?;
        agreement::put_if_absent(history.lake().store().as_ref(), &layout::base_manifest(history.uid(), self.number), self).await
    }

    /// Bytes of all runs.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shards.iter().flatten().map(|g| g.bytes).sum()
    }
}
