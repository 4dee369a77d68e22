//! All roles in one process, on a local log and a local folder: what `tress dev`, `tress test` and the tests of the whole run.
//!
//! ```text
//! apply(plans) ─▶ revisions ─▶ per signal: stream ▸ changelog ▸ follow ▸ store      ─▶ features ─▶ registry ─▶ serve
//!                                          backfill ▸ history ▸ base ▸ install ─┘
//! ```

mod clean;
mod fold;
mod gauges;
mod reconcile;
mod signal;
mod state;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tress_configs::compile::Outcome;
use tress_configs::name::QualifiedName;
use tress_configs::{FeaturePlan, Plan, SignalPlan};
use xxhash_rust::xxh3::xxh3_64;

pub use crate::roles::{Now, Role, Trouble};
pub use fold::Abandoned;
pub use signal::RunningSignal;

use self::reconcile::Running;
use self::state::State;
use crate::backfill::{self, RawLog};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::lake::Lake;
use crate::log::{LocalLog, Log, NewRecord};
use crate::platform::Platform;
use crate::read::Query;
use crate::roles::{self, fold::Fresh};
use crate::serve::{self, About, Admission, Budgets, Reader, Registry, Routes, Server};
use crate::store::{Answer, ServedFeature};

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
    /// What people say of features; it decides nothing about their rows.
    pub about: BTreeMap<QualifiedName, About>,
}

impl Desired {
    /// Every definition that compiled.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        let mut desired = Self::default();
        for compiled in outcome.values().flatten() {
            let source_hash = compiled.source_hash.clone();
            match &compiled.plan {
                Plan::Signal(plan) => desired.signals.push(Compiled { plan: Arc::new(plan.clone()), source_hash }),
                Plan::Feature(plan) => desired.features.push(Compiled { plan: Arc::new(plan.clone()), source_hash }),
            }
        }
        desired
    }
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
    /// Files that were added to history.
    pub files: usize,
    /// Version of the history's table.
    pub history_version: u64,
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    inner: Inner,
    server: tokio::sync::Mutex<Option<JoinHandle<Result<()>>>>,
    listening: Option<Listen>,
    shutdown: CancellationToken,
}

/// What the roles share.
#[derive(Debug)]
struct Inner {
    settings: Settings,
    platform: Platform,
    log: Arc<LocalLog>,
    reader: Arc<Reader>,
    running: Mutex<Running>,
}

/// Partitions of a topic that is made by the first record appended to it.
const PARTITIONS: i32 = 4;

impl Node {
    /// Opens the state (making it if there is none), goes on where it was, and listens.
    ///
    /// # Errors
    /// `Conflict` when another process has the state open; `Corrupt` when a file of it is damaged.
    pub async fn open(settings: Settings) -> Result<Arc<Self>> {
        let log = Arc::new(LocalLog::open(&settings.state.join("log"), Arc::clone(&settings.clock))?);
        let lake = Lake::local(&settings.state.join("lake"))?;
        let tables = Lake::local(&settings.tables)?;
        let platform = Platform::local(Arc::clone(&log) as Arc<dyn Log>, lake, tables, Arc::clone(&settings.clock));
        let reader = Arc::new(Reader {
            registry: Arc::new(Registry::default()),
            routes: Arc::new(Routes::open(Some(&settings.state.join("epochs.json"))).await?),
            admission: Admission::new(Budgets::default()),
            clock: Arc::clone(&settings.clock),
            metrics: platform.metrics().clone(),
        });
        let shutdown = CancellationToken::new();
        let (server, listening) = match settings.listen {
            None => (None, None),
            Some(Listen { http, grpc }) => {
                let addresses = serve::Settings { grpc, http, drain_delay: Duration::ZERO, ..serve::Settings::default() };
                let server = Server::bind(addresses, Arc::clone(&reader)).await?;
                let serve::Addresses { grpc, http } = server.addresses();
                (Some(tokio::spawn(server.run(shutdown.clone()))), Some(Listen { http, grpc }))
            }
        };
        let mut running = Running { state: State::read(&settings.state.join("node.json"))?, ..Running::default() };
        let inner = Inner { settings, platform, log, reader, running: Mutex::default() };
        inner.restore(&mut running).await?;
        *inner.running.lock().await = running;
        Ok(Arc::new(Self { inner, server: tokio::sync::Mutex::new(server), listening, shutdown }))
    }

    /// The addresses that are listened on, with the ports that were free.
    #[must_use]
    pub const fn listening(&self) -> Option<Listen> {
        self.listening
    }

    /// The outside world of this node.
    #[must_use]
    pub const fn platform(&self) -> &Platform {
        &self.inner.platform
    }

    /// Makes the definitions run: new revisions are built beside the live ones and swapped in when they are caught up.
    ///
    /// # Errors
    /// Only for what concerns all: a disk that is full, a state that is damaged. What fails for one feature is a [`Change::Failed`].
    pub async fn apply(&self, desired: Desired) -> Result<Vec<Change>> {
        let mut running = self.inner.running.lock().await;
        self.inner.reconcile(&mut running, desired).await
    }

    /// Appends raw records to a topic, by hash of their key or payload over its partitions; makes the topic if there is none.
    ///
    /// # Errors
    /// `Full` when the disk has no room: nothing that was acknowledged is lost, and a later call goes on.
    pub async fn append(&self, topic: &str, records: Vec<NewRecord>) -> Result<()> {
        let log = &self.inner.log;
        let partitions = match log.ends(topic).await {
            Ok(ends) => ends.len(),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                log.create(topic, PARTITIONS).await?;
                PARTITIONS.unsigned_abs() as usize
            }
            Err(e) => return Err(e),
        };
        let mut by_partition: Vec<Vec<NewRecord>> = vec![Vec::new(); partitions];
        for record in records {
            let hash = xxh3_64(record.key.as_ref().unwrap_or(&record.payload));
            by_partition[usize::try_from(hash % partitions.max(1) as u64).unwrap_or(0)].push(record);
        }
        for (partition, records) in (0..).zip(by_partition) {
            if !records.is_empty() {
                log.append(topic, partition, records).await?;
            }
        }
        Ok(())
    }

    /// Waits until all records that are in the topics now can be read in sequences.
    ///
    /// # Errors
    /// When a stream has failed for good, or takes no input for long.
    pub async fn settle(&self) -> Result<()> {
        let signals: Vec<_> = self.inner.running.lock().await.signals.values().cloned().collect();
        for signal in signals {
            reconcile::caught_up(&signal).await?;
        }
        Ok(())
    }

    /// Archives what is in the topic, folds it into history, makes base, and shows it to readers.
    ///
    /// # Errors
    /// `NotFound` for a signal that does not run.
    pub async fn backfill(&self, signal: &QualifiedName, fold: Fold, progress: &(dyn Fn(Progress) + Sync)) -> Result<Folded> {
        let signal = self.inner.running.lock().await.signal(signal)?;
        let folded = fold::fold(&self.inner.platform, &signal, fold, progress).await?;
        // What features need is asked after the fold, and nothing is applied meanwhile: a list that has become old must not win.
        let running = self.inner.running.lock().await;
        let demands = fold::demands(&signal, running.features.values().map(|f| &f.plan));
        fold::extend_base(&self.inner.platform, &signal, demands).await?;
        Ok(folded)
    }

    /// Whether a backfill of this signal was planned and is not sealed: the next one finishes it first.
    ///
    /// # Errors
    /// `NotFound` for a signal that does not run; when the lake does not answer.
    pub async fn unfinished_backfill(&self, signal: &QualifiedName) -> Result<Option<u64>> {
        let signal = self.inner.running.lock().await.signal(signal)?;
        Ok(backfill::unfinished(signal.store.history()).await?.map(|plan| plan.backfill))
    }

    /// Gives up the backfill of a signal that was planned and is not sealed, where it cannot be finished.
    ///
    /// # Errors
    /// `NotFound` for a signal that does not run, or of which no backfill is unfinished; `Conflict` while one runs.
    pub async fn abandon(&self, signal: &QualifiedName) -> Result<Abandoned> {
        let signal = self.inner.running.lock().await.signal(signal)?;
        fold::abandon(&self.inner.platform, &signal).await
    }

    /// The raw events of a signal at rest; those of a topic are archived first.
    ///
    /// # Errors
    /// `NotFound` for a signal that does not run; when the log or the lake does not answer.
    pub async fn raw_log(&self, plan: &Arc<SignalPlan>) -> Result<Arc<dyn RawLog>> {
        let uid = self.inner.running.lock().await.signal(&plan.name)?.uid.clone();
        roles::fold::raw_log(&self.inner.platform, (&uid, plan), Fresh::Archive).await
    }

    /// Reads one entity of a feature as it is live.
    ///
    /// # Errors
    /// `NotFound` for a feature that is not live.
    pub async fn read(&self, feature: &QualifiedName, query: &Query) -> Result<Answer> {
        self.feature(feature).await?.read(query).await
    }

    /// A feature as it is live.
    ///
    /// # Errors
    /// `NotFound` for a feature that is not live; `Unavailable`, with the reason, for one that could not be loaded.
    pub async fn feature(&self, feature: &QualifiedName) -> Result<Arc<ServedFeature>> {
        let running = self.inner.running.lock().await;
        if let Some(found) = running.features.get(feature) {
            return Ok(Arc::clone(&found.served));
        }
        let failed = |state: &serve::State| if let serve::State::Failed { reason } = state { Some(reason.clone()) } else { None };
        Err(match self.inner.reader.registry.revisions(feature).values().find_map(failed) {
            Some(reason) => Error::new(ErrorKind::Unavailable, format!("feature {feature} could not be loaded: {reason}")),
            None => Error::not_found(format!("feature {feature} is not live here")),
        })
    }

    /// The signals that run, for status.
    pub async fn signals(&self) -> Vec<Arc<RunningSignal>> {
        self.inner.running.lock().await.signals.values().cloned().collect()
    }

    /// The features that are live and their signals' UIDs, for status.
    pub async fn features(&self) -> Vec<(Arc<ServedFeature>, Vec<String>)> {
        let running = self.inner.running.lock().await;
        let uids = |name: &QualifiedName| running.state.features.get(&name.to_string()).map(|f| f.signals.clone()).unwrap_or_default();
        running.features.iter().map(|(name, f)| (Arc::clone(&f.served), uids(name))).collect()
    }

    /// Stops all roles: what was read is written and committed first.
    ///
    /// # Errors
    /// When the last writes fail; nothing is lost, the next start reads again.
    pub async fn shutdown(&self) -> Result<()> {
        self.shutdown.cancel();
        if let Some(server) = self.server.lock().await.take() {
            server.await.map_err(|e| Error::internal("stop serving").with_source(e))??;
        }
        let mut running = self.inner.running.lock().await;
        let mut outcome = Ok(());
        while let Some((_, signal)) = running.signals.pop_first() {
            // One that cannot write keeps no other from stopping in good order.
            outcome = outcome.and(signal.stop().await);
        }
        running.features.clear();
        outcome
    }
}

#[cfg(test)]
mod tests;
