//! The log's folder: one process at a time, settings, and the work in it that must end before it is let go.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::durable::{self, Sync};
use super::{Check, Settings};
use crate::clock::Clock;
use crate::error::{Context, Error, ErrorKind, Result};

/// The format of the folder.
const VERSION: u32 = 1;

/// What the folder itself records, in `log.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Identity {
    version: u32,
    cluster: String,
    /// How many topics were ever made here: what makes their ids differ.
    topics_created: u64,
}

/// A folder that this process has for itself.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    settings: Settings,
    identity: Mutex<Identity>,
    working: Arc<Working>,
    /// Held until [`Folder::let_go`].
    lock: File,
}

#[derive(Debug, Default)]
struct Working {
    count: Mutex<usize>,
    ended: Condvar,
}

/// Work in the folder, under way.
#[derive(Debug)]
pub struct Work(Arc<Working>);

impl Folder {
    /// Opens the folder, making it if it is not there.
    pub fn open(path: &Path, clock: Arc<dyn Clock>, settings: Settings) -> Result<Self> {
        std::fs::create_dir_all(path).context(|| format!("open log {}", path.display()))?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))
            .context(|| format!("open log {}", path.display()))?;
        lock.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => Error::new(
                ErrorKind::Conflict,
                format!("open log {}: another process has it open; end that one, or use another folder", path.display()),
            ),
            TryLockError::Error(e) => Error::from(e).while_doing(format!("lock log {}", path.display())),
        })?;
        let identity = identity(path, clock.as_ref(), settings.sync)?;
        Ok(Self { path: path.to_owned(), clock, settings, identity: Mutex::new(identity), working: Arc::default(), lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub const fn sync(&self) -> Sync {
        self.settings.sync
    }

    pub const fn check(&self) -> Check {
        self.settings.check
    }

    pub const fn segment_bytes(&self) -> u64 {
        self.settings.segment_bytes
    }

    pub fn now_millis(&self) -> i64 {
        self.clock.now_micros().div_euclid(1000)
    }

    /// Who this log is.
    pub fn cluster(&self) -> String {
        self.identity.lock().cluster.clone()
    }

    /// An id that no topic of this folder had before.
    pub fn new_topic_id(&self) -> Result<String> {
        let mut identity = self.identity.lock();
        let next = Identity { topics_created: identity.topics_created + 1, ..identity.clone() };
        write_identity(&self.path, &next, self.settings.sync)?;
        *identity = next;
        Ok(format!("{:032x}", xxh3_128(format!("{}/{}", identity.cluster, identity.topics_created).as_bytes())))
    }

    /// Counts work that changes the folder, until what is returned is dropped.
    pub fn work(&self) -> Work {
        *self.working.count.lock() += 1;
        Work(Arc::clone(&self.working))
    }

    /// Waits until no work is under way, then lets others open the folder.
    pub fn let_go(&self) {
        let mut count = self.working.count.lock();
        self.working.ended.wait_while(&mut count, |c| *c > 0);
        self.unlock();
    }

    fn unlock(&self) {
        if let Err(e) = self.lock.unlock() {
            tracing::warn!(error = %e, "the log's folder stays locked until this process ends");
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that was being forked meanwhile may have it open too.
        self.unlock();
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        *self.0.count.lock() -= 1;
        self.0.ended.notify_all();
    }
}

fn identity(path: &Path, clock: &dyn Clock, sync: Sync) -> Result<Identity> {
    if let Some(found) = durable::read_json::<Identity>(&path.join("log.json"))? {
        if found.version != VERSION {
            return Err(Error::invalid(format!(
                "open log {}: its format is {}, this program reads {VERSION}: use the program that wrote it",
                path.display(),
                found.version
            )));
        }
        return Ok(found);
    }
    // Where, when and by whom the folder was first opened: nothing else that is at hand differs between logs.
    let seed = format!("{}/{}/{}", path.display(), clock.now_micros(), std::process::id());
    let cluster = format!("local-{:032x}", xxh3_128(seed.as_bytes()));
    let made = Identity { version: VERSION, cluster, topics_created: 0 };
    write_identity(path, &made, sync)?;
    Ok(made)
}

fn write_identity(path: &Path, identity: &Identity, sync: Sync) -> Result<()> {
    let json = serde_json::to_vec_pretty(identity).map_err(|e| Error::internal("write log.json").with_source(e))?;
    durable::replace(&path.join("log.json"), &json, sync)
}
