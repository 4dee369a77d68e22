//! Opening a partition's segments: everything acknowledged must be there and whole; everything beyond was torn and is cut.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::acknowledged::Acknowledged;
use super::checked::Checked;
use super::file::{self, SegmentFile};
use crate::error::{Context, Error, Result};

/// What was found.
#[derive(Debug)]
pub struct Opened {
    /// By base.
    pub all: BTreeMap<i64, Arc<SegmentFile>>,
    /// The one that is appended to.
    pub active: Arc<SegmentFile>,
    /// Bytes that were cut.
    pub torn: u64,
    /// The ones that are not appended to, by base: whole now, or when they were last checked.
    pub checked: BTreeMap<i64, Checked>,
}

/// Opens the segments of the partition in `folder`. `before`: the ones that need not be read.
pub fn segments(folder: &Path, acknowledged: &Acknowledged, before: &BTreeMap<i64, Checked>) -> Result<Opened> {
    let mut torn = 0;
    let mut bases = Vec::new();
    for (base, size) in list(folder)? {
        let path = file::path(folder, base);
        if base > acknowledged.base {
            tracing::warn!(file = %path.display(), bytes = size, "a segment begun by a torn append is removed");
            torn += size;
            remove(&path)?;
        } else if base < acknowledged.start {
            tracing::info!(file = %path.display(), "a segment of an unfinished trim is removed");
            remove(&path)?;
        } else {
            bases.push((base, size));
        }
    }
    let (mut all, mut checked) = (BTreeMap::new(), BTreeMap::new());
    let mut expected = acknowledged.start;
    for (base, size) in bases {
        if base != expected {
            break;
        }
        let last = base == acknowledged.base;
        if last && size > acknowledged.length {
            let path = file::path(folder, base);
            tracing::warn!(file = %path.display(), bytes = size - acknowledged.length, "a torn append is cut");
            torn += size - acknowledged.length;
            cut(&path, acknowledged.length)?;
        }
        let segment = match before.get(&base).filter(|known| !last && known.length == size) {
            Some(known) => {
                expected = known.end;
                SegmentFile::open_checked(folder, base, *known)?
            }
            None => {
                let (segment, next) = SegmentFile::open(folder, base, if last { acknowledged.length } else { size })?;
                expected = next;
                segment
            }
        };
        if !last {
            checked.insert(base, Checked { length: size, end: expected });
        }
        all.insert(base, Arc::new(segment));
    }
    match all.get(&acknowledged.base) {
        Some(active) if expected == acknowledged.end => {
            let active = Arc::clone(active);
            Ok(Opened { all, active, torn, checked })
        }
        _ => Err(Error::corrupt(format!(
            "open {}: records from offset {expected} on are missing, but {} were acknowledged; a file was removed or shortened. Restore it from a copy, or delete the topic and build it again",
            folder.display(),
            acknowledged.end
        ))),
    }
}

/// (base, size) of the segment files, by base.
fn list(folder: &Path) -> Result<Vec<(i64, u64)>> {
    let doing = || format!("list {}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).context(doing)? {
        let entry = entry.context(doing)?;
        if let Some(base) = entry.file_name().to_str().and_then(file::base_of) {
            found.push((base, entry.metadata().context(doing)?.len()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn remove(path: &Path) -> Result<()> {
    std::fs::remove_file(path).context(|| format!("remove {}", path.display()))
}

fn cut(path: &Path, length: u64) -> Result<()> {
    let cut = || std::fs::OpenOptions::new().write(true).open(path)?.set_len(length);
    cut().context(|| format!("cut {}", path.display()))
}
