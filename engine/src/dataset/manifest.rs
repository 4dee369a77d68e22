//! What makes a dataset reproducible: the plan, the versions of history, the moment of reading, the labels.

use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use tress_configs::name::QualifiedName;
use xxhash_rust::xxh3::xxh3_64;

use super::{Target, other_inputs};
use crate::error::{Context, Error, Result};

/// The format of the manifest.
pub const VERSION: u32 = 1;

/// `manifest.json` beside the parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub version: u32,
    pub feature: QualifiedName,
    /// Digest of the feature's plan.
    pub plan: String,
    /// The most events of a sequence.
    pub length: u32,
    pub order: Order,
    pub signals: Vec<SignalVersion>,
    pub inclusive: bool,
    pub read_delay_us: i64,
    pub labels: usize,
    /// Labels whose moment is later than what some signal's history covers: events that readers had may be missing. Fold, and make
    /// the dataset again.
    #[serde(default)]
    pub incomplete: usize,
    /// Labels whose sequence is shorter than it could be and reaches into what retention has dropped: events that readers had may be
    /// missing for ever. Known once it is complete.
    #[serde(default)]
    pub truncated: usize,
    pub labels_digest: String,
    pub columns: Vec<Column>,
    /// Whether all parts are there.
    pub complete: bool,
}

/// The order of events within a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    OldestFirst,
}

/// Which version of a signal's history was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignalVersion {
    pub uid: String,
    /// Of the Delta table; absent = there was none.
    pub history_version: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    pub name: String,
    /// The Arrow type.
    pub arrow: String,
}

impl Manifest {
    /// Claims the target: writes the manifest, or finds the same one there.
    pub(super) async fn begin(&self, target: &Target) -> Result<()> {
        let path = path(target);
        match target.store.get(&path).await {
            Ok(found) => {
                let bytes = found.bytes().await.context(|| format!("read {path}"))?;
                let found: Self = serde_json::from_slice(&bytes)
                    .map_err(|e| Error::corrupt(format!("read {path}: not a manifest of a dataset; give another folder")).with_source(e))?;
                if (Self { complete: false, truncated: 0, ..found }) == *self { Ok(()) } else { Err(other_inputs(&target.folder)) }
            }
            Err(object_store::Error::NotFound { .. }) => self.put(target).await,
            Err(e) => Err(e).context(|| format!("read {path}")),
        }
    }

    /// Of everything that decides what is in the dataset.
    pub(super) fn digest(&self) -> Result<String> {
        let decides = Self { complete: false, truncated: 0, ..self.clone() };
        let json = serde_json::to_vec(&decides).map_err(|e| Error::internal("write manifest").with_source(e))?;
        Ok(format!("{:016x}", xxh3_64(&json)))
    }

    /// Says that all parts are there.
    pub(super) async fn finish(self, truncated: usize, target: &Target) -> Result<Self> {
        let finished = Self { complete: true, truncated, ..self };
        finished.put(target).await?;
        Ok(finished)
    }

    async fn put(&self, target: &Target) -> Result<()> {
        let json = serde_json::to_vec_pretty(self).map_err(|e| Error::internal("write manifest").with_source(e))?;
        let path = path(target);
        target.store.put(&path, PutPayload::from(json)).await.context(|| format!("write {path}"))?;
        Ok(())
    }
}

fn path(target: &Target) -> Path {
    target.folder.clone().join("manifest.json")
}
