//! Runs of the tail, in memory or mapped from a file: one on local disk that they were spilled to, or one of a snapshot.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::error::{Context, Result};
use crate::run::{self, Run};

/// A run of the tail; the file that it was spilled to, if there is one, goes with it.
#[derive(Debug)]
pub struct TailRun {
    run: Run,
    place: Place,
    /// The name under which a snapshot of the tail had it last.
    kept: Mutex<Option<String>>,
}

#[derive(Debug)]
enum Place {
    Memory,
    /// A file of its own.
    Spilled(PathBuf),
    /// A file of somebody else, who may remove its name at any time.
    Mapped,
}

impl TailRun {
    pub const fn in_memory(run: Run) -> Self {
        Self { run, place: Place::Memory, kept: Mutex::new(None) }
    }

    /// A run that was opened from a file.
    pub const fn mapped(run: Run) -> Self {
        Self { run, place: Place::Mapped, kept: Mutex::new(None) }
    }

    /// Writes the run to a new file of `folder`, and maps it.
    ///
    /// # Errors
    /// `Full` when the disk has no room; the file is gone then.
    pub fn spill(&self, folder: &Path) -> Result<Self> {
        /// Names are never used twice in a process: what is mapped somewhere must not be written to.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let path = folder.join(format!("{:016}.arrow", NEXT.fetch_add(1, Ordering::Relaxed)));
        let doing = || format!("spill tail to {}", path.display());
        fs::create_dir_all(folder).context(doing)?;
        let bytes = run::encode(&self.run)?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&path).context(doing)?;
        if let Err(e) = file.write_all(&bytes) {
            let _best_effort = fs::remove_file(&path);
            return Err(e).context(doing);
        }
        Ok(Self { run: run::open(&path)?, place: Place::Spilled(path), kept: Mutex::new(self.kept()) })
    }

    pub const fn run(&self) -> &Run {
        &self.run
    }

    /// Whether its rows are the system's to page in and out, and no part of this process's memory.
    pub const fn on_disk(&self) -> bool {
        !matches!(self.place, Place::Memory)
    }

    /// The name under which a snapshot had this run last; `None` = none had. Whether it is there still only the newest snapshot tells.
    pub fn kept(&self) -> Option<String> {
        self.kept.lock().clone()
    }

    /// Notes that a snapshot has this run under `name`.
    pub fn keep_as(&self, name: String) {
        *self.kept.lock() = Some(name);
    }
}

impl Drop for TailRun {
    fn drop(&mut self) {
        if let Place::Spilled(file) = &self.place
            && let Err(error) = fs::remove_file(file)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(file = %file.display(), %error, "a spilled run could not be removed");
        }
    }
}

/// Removes what processes that were killed have left in a folder to spill to. What is still mapped stays readable.
///
/// # Errors
/// When a file cannot be removed.
pub fn clear(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).context(|| format!("empty {}", folder.display())),
        _ => Ok(()),
    }
}
