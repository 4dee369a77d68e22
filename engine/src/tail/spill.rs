//! Runs of the tail, in memory or, over the budget, mapped from a file on local disk.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Context, Result};
use crate::run::{self, Run};

/// A run of the tail; its file, if it has one, goes with it.
#[derive(Debug)]
pub struct TailRun {
    run: Run,
    file: Option<PathBuf>,
}

impl TailRun {
    pub const fn in_memory(run: Run) -> Self {
        Self { run, file: None }
    }

    /// Writes a run to `path` and maps it.
    ///
    /// # Errors
    /// `Full` when the disk has no room; the file is gone then.
    pub fn spill(run: &Run, path: &Path) -> Result<Self> {
        let bytes = run::encode(run)?;
        if let Err(e) = fs::write(path, &bytes) {
            let _best_effort = fs::remove_file(path);
            return Err(e).context(|| format!("spill tail to {}", path.display()));
        }
        Ok(Self { run: run::open(path)?, file: Some(path.to_owned()) })
    }

    pub const fn run(&self) -> &Run {
        &self.run
    }

    pub const fn on_disk(&self) -> bool {
        self.file.is_some()
    }
}

impl Drop for TailRun {
    fn drop(&mut self) {
        if let Some(file) = &self.file
            && let Err(error) = fs::remove_file(file)
        {
            tracing::warn!(file = %file.display(), %error, "a spilled run could not be removed");
        }
    }
}
