//! The platform's configuration, as it is now.
//!
//! ```text
//! ConfigMap tress-platform ─▶ parse ─┬─ good ─▶ in force, and kept in tress-platform-good
//!                                    ╰─ bad ──▶ told (log, metric, Event); what was good before stays in force, also after a restart
//! ```

mod load;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use tokio::sync::watch;
use tress_configs::issue::Issue;
pub use tress_configs::platform::{Engine, Limits, NamespaceLimits, PoolSettings};
use tress_configs::platform::{OperatedPlatform, PlatformFile};
pub use tress_configs::quantity::nanos as quantity;

pub use self::load::{Following, GOOD, Loader, MAP, keep};
use crate::cluster::Scopes;

/// What a platform team says of this cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// Connections and outputs.
    pub file: PlatformFile,
    /// By the name that features use; there is always a `default`.
    pub pools: BTreeMap<String, PoolSettings>,
    pub limits: Limits,
    pub engine: Engine,
    /// How long definitions have to be left alone before a change of what is live begins.
    pub quiet: SignedDuration,
    /// The namespaces that the operator looks at.
    pub allow: Scopes,
}

/// A configuration, and the text that it was read from.
#[derive(Debug)]
struct InForce {
    platform: Arc<Platform>,
    text: String,
}

impl Platform {
    /// Reads `platform.yaml`.
    ///
    /// # Errors
    /// Everything that is wrong with it, with line, column and remedy.
    pub fn parse(text: &str, allow: &Scopes) -> Result<Self, Vec<Issue>> {
        let operated = OperatedPlatform::parse(load::KEY, text)?;
        let file = operated.file();
        let OperatedPlatform { connections: _, outputs: _, secrets: _, pools, limits, engine, quiet } = operated;
        Ok(Self { file, pools, limits, engine, quiet: SignedDuration::from_millis(quiet.millis()), allow: allow.clone() })
    }
}

/// The configuration in force. Cheap to clone; clones show the same.
#[derive(Debug, Clone)]
pub struct Platforms(watch::Receiver<Arc<InForce>>);

impl Platforms {
    /// For tests: this one, for ever.
    #[must_use]
    pub fn of(platform: Platform) -> Self {
        let (_, receiver) = watch::channel(Arc::new(InForce { platform: Arc::new(platform), text: String::new() }));
        Self(receiver)
    }

    #[must_use]
    pub fn now(&self) -> Arc<Platform> {
        Arc::clone(&self.0.borrow().platform)
    }

    /// Tells when it changes.
    pub(crate) fn changes(&self) -> Changes {
        let mut changes = self.0.clone();
        changes.mark_unchanged();
        Changes(changes)
    }
}

/// Tells of changes from when it was made.
#[derive(Debug)]
pub(crate) struct Changes(watch::Receiver<Arc<InForce>>);

impl Changes {
    /// Waits for the next change; for ever, where none can come.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
