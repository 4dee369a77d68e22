//! Files of signal revisions that are gone.

use std::path::Path;

use crate::error::{Context, Result};

/// Folders below the state folder that hold one folder for each signal revision.
const BY_REVISION: [&str; 2] = ["base", "spill"];

/// Deletes what revisions have left that are not kept any more; returns how many folders that were. Copies of what is taken up
/// again just then are fetched again.
///
/// # Errors
/// When the disk does not answer; the rest is deleted next time.
pub fn sweep(state: &Path, is_kept: impl Fn(&str) -> bool) -> Result<usize> {
    let mut deleted = 0;
    for folder in BY_REVISION.map(|name| state.join(name)) {
        let entries = match std::fs::read_dir(&folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.context(|| format!("list {}", folder.display()))?,
        };
        for entry in entries {
            let entry = entry.context(|| format!("list {}", folder.display()))?;
            if entry.file_name().to_str().is_some_and(&is_kept) {
                continue;
            }
            std::fs::remove_dir_all(entry.path()).context(|| format!("delete {}", entry.path().display()))?;
            deleted += 1;
        }
    }
    Ok(deleted)
}
