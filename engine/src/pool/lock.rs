//! One process a state folder: two would write each other's files.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::{Context, Error, ErrorKind, Result};

/// The folder is this process's while it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// # Errors
    /// `Conflict`, naming the folder, when another process has it.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join("lock");
        let file = File::create(&path).context(|| format!("lock {}", folder.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                let message = format!("lock {}: another process serves from it; stop it, or give another folder", folder.display());
                Err(Error::new(ErrorKind::Conflict, message))
            }
            Err(TryLockError::Error(e)) => Err(e).context(|| format!("lock {}", folder.display())),
        }
    }
}
