//! Small files that are replaced whole, and how hard the disk is asked to keep what it is given.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::error::{Context, Error, Result};

/// When written bytes are forced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Before an append is acknowledged: what is acknowledged survives a loss of power.
    EveryAppend,
    /// Never: writes are only made in order. What is acknowledged survives a kill of the process; after a loss of power a file may
    /// be shorter than what was acknowledged, which opening reports.
    OnlyOrder,
}

impl Sync {
    /// Forces a file's bytes, if this policy does.
    pub fn data(self, file: &File) -> std::io::Result<()> {
        if self == Self::EveryAppend { file.sync_data() } else { Ok(()) }
    }

    /// Forces the names in a folder, if this policy does.
    pub fn folder(self, folder: &Path) -> std::io::Result<()> {
        if self == Self::EveryAppend { File::open(folder)?.sync_all() } else { Ok(()) }
    }
}

/// A new file beside the one it is to replace.
#[derive(Debug)]
pub struct Staged {
    temporary: PathBuf,
    target: PathBuf,
    sync: Sync,
}

/// Writes the bytes that `target` is to have.
pub fn stage(target: &Path, bytes: &[u8], sync: Sync) -> Result<Staged> {
    let temporary = target.with_extension("new");
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        sync.data(&file)
    };
    write().context(|| format!("write {}", temporary.display()))?;
    Ok(Staged { temporary, target: target.to_owned(), sync })
}

impl Staged {
    /// Takes the place of the old file, at once.
    pub fn publish(self) -> Result<()> {
        // Of a bare name it is the folder that the process is in.
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::rename(&self.temporary, &self.target)
            .and_then(|()| self.sync.folder(folder))
            .context(|| format!("replace {}", self.target.display()))
    }
}

/// Replaces a file whole: it has the old bytes or the new ones, never a mixture.
pub fn replace(target: &Path, bytes: &[u8], sync: Sync) -> Result<()> {
    stage(target, bytes, sync)?.publish()
}

/// Reads a JSON file; `None` when there is none.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::from(e).while_doing(format!("read {}", path.display()))),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| {
        Error::corrupt(format!("read {}: it is damaged; restore it from a copy, or delete the log's folder and start anew", path.display()))
            .with_source(e)
    })
}
