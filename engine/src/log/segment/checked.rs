//! Which segments were checked whole: `checked`, a small file beside them. Opening need not read those again.
//!
//! Only segments that are not appended to any more stand in it. It saves time and proves nothing: a segment that is not as long as it
//! says is checked when the log is opened, every other one when it is first read.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::durable::{self, Sync};
use crate::error::{Error, Result};

/// The name of the file in a partition's folder.
pub const NAME: &str = "checked";
const VERSION: u32 = 1;

/// A segment that was whole when it was last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Checked {
    /// Bytes.
    pub length: u64,
    /// The offset after its last record.
    pub end: i64,
}

/// What the file of the partition in `folder` says; nothing when there is none, or it cannot be used.
pub fn read(folder: &Path) -> BTreeMap<i64, Checked> {
    let path = folder.join(NAME);
    match std::fs::read(&path) {
        Ok(bytes) => decode(&bytes).unwrap_or_else(|| {
            tracing::warn!(file = %path.display(), "it is damaged, or of another version: all segments beside it are checked");
            BTreeMap::new()
        }),
        Err(error) => {
            if error.kind() != std::io::ErrorKind::NotFound {
                tracing::warn!(file = %path.display(), %error, "it cannot be read: all segments beside it are checked");
            }
            BTreeMap::new()
        }
    }
}

/// Replaces the file. What fails costs time at the next opening, and nothing else.
pub fn write(folder: &Path, segments: &BTreeMap<i64, Checked>, sync: Sync) {
    if let Err(error) = encode(segments).and_then(|bytes| durable::replace(&folder.join(NAME), &bytes, sync)) {
        tracing::warn!(%error, "which segments were checked is not kept; the next opening checks them again");
    }
}

/// Version and checksum on a line, then JSON.
fn encode(segments: &BTreeMap<i64, Checked>) -> Result<Vec<u8>> {
    let json = serde_json::to_string(segments).map_err(|e| Error::internal("write which segments were checked").with_source(e))?;
    Ok(format!("{VERSION} {:016x}\n{json}", xxh3_64(json.as_bytes())).into_bytes())
}

fn decode(bytes: &[u8]) -> Option<BTreeMap<i64, Checked>> {
    let (head, json) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
    (head == format!("{VERSION} {:016x}", xxh3_64(json.as_bytes()))).then(|| serde_json::from_str(json).ok())?
}
