//! The serving process: keeps loaded what its routes name, from what the lake and the changelogs hold, and answers for it.
//!
//! ```text
//! route file ─▶ watch ─┐                      ┌─ load ◀─ lake: record and plan of a feature's revision
//! control: SetRoute ───┴▶ routes ─▶ revisions ┤   └─▶ signals: each revision followed once ─▶ tail, base
//! control: Load ─────────────────────▶┘       └─▶ registry ─▶ serve
//! control: GetStatus ◀── everything above
//! ```
//!
//! One process of several: it never trims a changelog, and takes its turn in keeping tails in the lake.

pub mod control;
#[cfg(test)]
mod fixture;
mod gauges;
mod load;
mod lock;
mod revisions;
mod signals;
mod sweep;
#[cfg(test)]
mod tests;
mod tracked;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::revisions::Revisions;
use self::signals::Signals;
use crate::error::{Context, Error, Result};
use crate::platform::Platform;
use crate::serve::readiness::Readiness;
use crate::serve::{self, Admission, Budgets, Reader, Registry, Routes, Server, Watch};
use crate::store::Budget;

/// What a serving process is given.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A folder on local disk for copies of bases, spilled tails and the highest epochs. One process at a time.
    pub state: PathBuf,
    /// The route file, or the folder that it is mounted as.
    pub routes: PathBuf,
    /// Bytes that the bases of all signal revisions may take together.
    pub memory: u64,
    pub serve: serve::Settings,
    /// `None` = off: nobody can ask or tell this process anything but by its route file.
    pub control: Option<control::Settings>,
    pub pace: Pace,
}

/// How patient the process is.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How often the route file is looked at.
    pub look: Duration,
    /// How long a revision stays that nothing names any more.
    pub grace: Duration,
    /// How long a revision stays that was asked for by `Load` and is named by no route.
    pub asked: Duration,
    /// Before a load that failed is tried again; each further time twice as long …
    pub again: Duration,
    /// … and at most this long. What will hardly work later is tried again after this long, too: somebody may have mended it.
    pub longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(1),
            grace: Duration::from_secs(30),
            asked: Duration::from_secs(15 * 60),
            again: Duration::from_secs(1),
            longest: Duration::from_secs(300),
        }
    }
}

/// Where a pool listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub control: Option<SocketAddr>,
}

/// A serving process, bound to its addresses and not yet answering.
#[derive(Debug)]
pub struct Pool {
    platform: Platform,
    shared: Arc<Shared>,
    server: Server,
    control: Option<control::Server>,
    look: Duration,
    _lock: lock::Lock,
}

/// What its parts share.
#[derive(Debug)]
struct Shared {
    reader: Arc<Reader>,
    watch: Arc<Mutex<Watch>>,
    revisions: Arc<Revisions>,
    signals: Arc<Signals>,
    readiness: Readiness,
}

impl Pool {
    /// # Errors
    /// `Conflict` when another process has the state folder; `NotFound` or `Invalid`, naming the file, for certificates that are not
    /// there or cannot be used; `Unavailable`, naming the address, when it cannot be had; `Corrupt` when the epochs are damaged.
    pub async fn bind(platform: Platform, settings: Settings) -> Result<Self> {
        let Settings { state, routes: route_file, memory, serve, control, pace } = settings;
        tokio::fs::create_dir_all(&state).await.context(|| format!("make the state folder {}", state.display()))?;
        let lock = lock::Lock::take(&state)?;
        let routes = Arc::new(Routes::open(Some(&state.join("epochs.json"))).await?);
        let watch = Watch::open(route_file, &state.join("pushed.json")).await?;
        let reader = Arc::new(Reader {
            registry: Arc::new(Registry::default()),
            routes,
            admission: Admission::new(Budgets::default()),
            clock: Arc::clone(platform.clock()),
            metrics: platform.metrics().clone(),
        });
        let signals = Arc::new(Signals::new(platform.clone(), state, Budget::new(memory)));
        let revisions = Arc::new(Revisions::new(platform.clone(), (Arc::clone(&reader), Arc::clone(&signals)), pace));
        let server = Server::bind(serve, Arc::clone(&reader)).await?;
        let shared = Arc::new(Shared { reader, watch: Arc::new(Mutex::new(watch)), revisions, signals, readiness: Readiness::default() });
        let control = match control {
            None => None,
            Some(settings) => Some(control::Server::bind(settings, Arc::clone(&shared)).await?),
        };
        Ok(Self { platform, shared, server, control, look: pace.look, _lock: lock })
    }

    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let serve::Addresses { grpc, http } = self.server.addresses();
        Addresses { grpc, http, control: self.control.as_ref().map(control::Server::address) }
    }

    /// Loads and answers until `shutdown`; then what is under way ends, and after it what is followed is let go.
    ///
    /// # Errors
    /// `Unavailable` when a listener fails; `Internal` when a task does.
    pub async fn run(self, shutdown: CancellationToken) -> Result<()> {
        let Self { platform, shared, server, control, look, _lock } = self;
        // If one part ends, the others go away with it; what readers see is followed until the last of them has its answer.
        let (stop, drained) = (shutdown.child_token(), CancellationToken::new());
        let mut parts = JoinSet::new();
        parts.spawn(serve::follow(Arc::clone(&shared.watch), Arc::clone(&shared.reader.routes), look, drained.clone()).map(Ok));
        parts.spawn(Arc::clone(&shared.revisions).run(drained.clone()).map(Ok));
        parts.spawn(gauges::watch(platform, Arc::clone(&shared.signals), drained.clone()).map(Ok));
        if let Some(control) = control {
            parts.spawn(control.run(drained.clone()));
        }
        let mut serving = tokio::spawn(server.run(stop.clone()));
        let mut outcome = tokio::select! {
            served = &mut serving => joined(served),
            Some(ended) = parts.join_next() => {
                stop.cancel();
                let unasked = || Err::<(), _>(Error::internal("serve: a part of the process ended unasked"));
                joined(ended).and_then(|()| unasked()).and(joined(serving.await))
            }
        };
        drained.cancel();
        while let Some(ended) = parts.join_next().await {
            outcome = outcome.and(joined(ended));
        }
        shared.signals.stop().await;
        outcome
    }
}

/// Binds and runs.
///
/// # Errors
/// As [`Pool::bind`] and [`Pool::run`].
pub async fn run(platform: Platform, settings: Settings, shutdown: CancellationToken) -> Result<()> {
    Pool::bind(platform, settings).await?.run(shutdown).await
}

fn joined(ended: std::result::Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|e| Err(Error::internal(format!("serve: a task failed: {e}"))))
}
