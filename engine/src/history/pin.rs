//! Versions that somebody has promised to be able to read again.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::History;
use super::agreement::{self, Put};
use crate::error::{Context, Error, Result};
use crate::layout;

/// The format of pins.
const FORMAT: u32 = 1;

/// A version that stays, for as long as this file does: whoever has no use for it any more deletes the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pin {
    format: u32,
    /// Of the history's table.
    version: u64,
}

impl History {
    /// Keeps a version readable for `by`, the digest of whatever names it. Doing it again changes nothing.
    ///
    /// # Errors
    /// `Conflict` when `by` has pinned another version; when the lake does not answer.
    pub async fn pin(&self, version: u64, by: &str) -> Result<()> {
        let path = layout::pin(&self.uid, by);
        let store = self.lake.store().as_ref();
        match agreement::put_if_absent(store, &path, &Pin { format: FORMAT, version }).await? {
            Put::Stored => Ok(()),
            Put::Exists => match agreement::read::<Pin>(store, &path, FORMAT).await? {
                Some(pin) if pin.version != version => {
                    Err(Error::new(crate::error::ErrorKind::Conflict, format!("pin {path}: it pins version {} already", pin.version)))
                }
                _ => Ok(()),
            },
        }
    }

    /// All versions that are pinned.
    ///
    /// # Errors
    /// `Corrupt` when a pin is damaged; when the lake does not answer.
    pub async fn pinned(&self) -> Result<BTreeSet<u64>> {
        let folder = layout::pins(&self.uid);
        let store = self.lake.store();
        let files: Vec<_> = store.list(Some(&folder)).try_collect().await.map_err(Error::from).context(|| format!("list {folder}"))?;
        let mut versions = BTreeSet::new();
        for file in files {
            versions.extend(agreement::read::<Pin>(store.as_ref(), &file.location, FORMAT).await?.map(|pin| pin.version));
        }
        Ok(versions)
    }
}
