//! What of a folder is on the disk, and what is yet to be brought there.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

/// Files that are brought to the disk at a time: the file system writes its journal once for all of them.
const AT_ONCE: usize = 16;

/// Asks the disk to keep files and names, each once.
#[derive(Debug, Default)]
pub struct Disk {
    /// What lies above it is none of ours.
    root: PathBuf,
    /// Files whose bytes and names are yet to be brought to the disk. Held while they are: whoever comes meanwhile waits, for some of
    /// them may be its own.
    deferred: Mutex<BTreeSet<PathBuf>>,
    /// Folders whose own names are on the disk.
    settled: Mutex<HashSet<PathBuf>>,
    /// What was asked of the disk, in order.
    #[cfg(test)]
    pub asked: Mutex<Vec<PathBuf>>,
}

impl Disk {
    /// Brings a file's bytes to the disk; `path` is the name that it has, or is about to have.
    pub fn file(&self, file: &File, path: &Path) -> io::Result<()> {
        file.sync_data()?;
        self.note(path);
        Ok(())
    }

    /// Looks after what is below `root`.
    pub fn new(root: PathBuf) -> Self {
        Self { root, ..Self::default() }
    }

    /// Brings the name of a file to the disk, and those of its folders that are not known to be there.
    pub fn names_up_to(&self, path: &Path) -> io::Result<()> {
        let mut made = Vec::new();
        for folder in path.ancestors().skip(1) {
            self.folder(folder)?;
            if *folder == self.root || !folder.starts_with(&self.root) || self.settled.lock().contains(folder) {
                break;
            }
            made.push(folder.to_owned());
        }
        self.settled.lock().extend(made);
        Ok(())
    }

    /// Leaves a file for the next [`Disk::settle`].
    pub fn defer(&self, path: PathBuf) {
        self.deferred.lock().insert(path);
    }

    /// Brings all that was deferred to the disk. What fails stays deferred.
    pub fn settle(&self) -> io::Result<()> {
        let mut deferred = self.deferred.lock();
        let files: Vec<&PathBuf> = deferred.iter().collect();
        if files.is_empty() {
            return Ok(());
        }
        let share = files.len().div_ceil(AT_ONCE);
        let of_share = |files: &[&PathBuf]| {
            files.iter().try_for_each(|path| match File::open(path) {
                Ok(file) => self.file(&file, path),
                // It was deleted meanwhile: nothing is to be kept of it.
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(e) => Err(e),
            })
        };
        std::thread::scope(|scope| {
            let running: Vec<_> = files.chunks(share).map(|files| scope.spawn(move || of_share(files))).collect();
            let panicked = || Err(io::Error::other("a thread that brings files to the disk ended"));
            running.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| panicked()))
        })?;
        let mut folders = BTreeSet::new();
        for path in &files {
            if let Some(folder) = path.parent()
                && folders.insert(folder.to_owned())
                && folder.is_dir()
            {
                self.names_up_to(path)?;
            }
        }
        deferred.clear();
        Ok(())
    }

    fn folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()?;
        self.note(folder);
        Ok(())
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "what was asked is kept for tests only"))]
    fn note(&self, _path: &Path) {
        #[cfg(test)]
        self.asked.lock().push(_path.to_owned());
    }
}
