//! All roles in one process, on a local log and a local folder: what `tress dev`, `tress test` and the tests of the whole run.
//!
//! ```text
//! apply(plans) ─▶ revisions ─▶ per signal: stream ▸ changelog ▸ follow ▸ store      ─▶ features ─▶ registry ─▶ serve
//!                                          backfill ▸ history ▸ base ▸ install ─┘
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tress_configs::name::QualifiedName;
use tress_configs::{FeaturePlan, SignalPlan};

use crate::clock::Clock;
use crate::error::Result;
use crate::log::NewRecord;
use crate::read::Query;
use crate::store::Answer;

/// Where a node keeps its state and what it listens on.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The node's own state: log, lake, routes. Locked while it is open.
    pub state: PathBuf,
    /// What the names of object store connections stand for: tables and external logs are found below it.
    pub tables: PathBuf,
    pub clock: Arc<dyn Clock>,
    /// `None` = nothing is listened on; reads go through [`Node::read`].
    pub listen: Option<Listen>,
}

/// Loopback addresses; port 0 = any that is free.
#[derive(Debug, Clone, Copy)]
pub struct Listen {
    pub http: SocketAddr,
    pub grpc: SocketAddr,
}

/// A compiled definition and what it is (its source hash): equal hash, equal revision.
#[derive(Debug, Clone)]
pub struct Compiled<P> {
    pub plan: Arc<P>,
    pub source_hash: String,
}

/// All definitions that are to run. What is live and not named here is retired.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    pub signals: Vec<Compiled<SignalPlan>>,
    pub features: Vec<Compiled<FeaturePlan>>,
}

/// What `apply` did for one feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Read for the first time.
    Added {
        feature: QualifiedName,
        digest: String,
    },
    /// Built beside the live revision, then made the one that is read.
    Swapped {
        feature: QualifiedName,
        from: String,
        to: String,
    },
    Unchanged {
        feature: QualifiedName,
    },
    Removed {
        feature: QualifiedName,
    },
    /// Could not be built; what was live goes on.
    Failed {
        feature: QualifiedName,
        reason: String,
    },
}

/// Which rows a backfill makes anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fold {
    /// What is new since the last seal.
    New,
    /// Everything that can fall in these buckets; empty = in any.
    Restate(Vec<String>),
}

/// How far a backfill is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub tasks_done: usize,
    pub tasks: usize,
    pub rows: u64,
}

/// What a backfill did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    pub signal: QualifiedName,
    pub number: u64,
    pub raw_events: u64,
    pub rows: u64,
    pub dead: u64,
    pub buckets: usize,
    /// Version of the history's table.
    pub history_version: u64,
}

/// A running node.
#[derive(Debug)]
pub struct Node {}

impl Node {
    /// Opens the state (making it if there is none), goes on where it was, and listens.
    ///
    /// # Errors
    /// `Conflict` when another process has the state open; `Corrupt` when a file of it is damaged.
    pub async fn open(_settings: Settings) -> Result<Arc<Self>> {
        unimplemented!()
    }

    /// The addresses that are listened on, with the ports that were free.
    #[must_use]
    pub fn listening(&self) -> Option<Listen> {
        unimplemented!()
    }

    /// Makes the definitions run: new revisions are built beside the live ones and swapped in when they are caught up.
    ///
    /// # Errors
    /// Only for what concerns all: a disk that is full, a state that is damaged. What fails for one feature is a [`Change::Failed`].
    pub async fn apply(&self, _desired: Desired) -> Result<Vec<Change>> {
        unimplemented!()
    }

    /// Appends raw records to a topic, by hash of their key or payload over its partitions; makes the topic if there is none.
    ///
    /// # Errors
    /// `Full` when the disk has no room: nothing that was acknowledged is lost, and a later call goes on.
    pub async fn append(&self, _topic: &str, _records: Vec<NewRecord>) -> Result<()> {
        unimplemented!()
    }

    /// Waits until all records that are in the topics now can be read in sequences.
    ///
    /// # Errors
    /// When a stream has failed for good.
    pub async fn settle(&self) -> Result<()> {
        unimplemented!()
    }

    /// Archives what is in the topic, folds it into history, makes base, and shows it to readers.
    ///
    /// # Errors
    /// `NotFound` for a signal that does not run.
    pub async fn backfill(&self, _signal: &QualifiedName, _fold: Fold, _progress: &(dyn Fn(Progress) + Sync)) -> Result<Folded> {
        unimplemented!()
    }

    /// Reads one entity of a feature as it is live.
    ///
    /// # Errors
    /// `NotFound` for a feature that is not live.
    pub async fn read(&self, _feature: &QualifiedName, _query: &Query) -> Result<Answer> {
        unimplemented!()
    }

    /// Stops all roles: what was read is written and committed first.
    ///
    /// # Errors
    /// When the last writes fail; nothing is lost, the next start reads again.
    pub async fn shutdown(&self) -> Result<()> {
        unimplemented!()
    }
}
