//! What every reconcile is given.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::apply::Writer;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::compile::Compiler;
use crate::control::Pods;
use crate::event::Events;
use crate::feature::Memory;
use crate::needs::Needs;
use crate::platform::Platforms;

/// Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Context {
    /// What is there, with what was written just now.
    pub cluster: Cluster,
    /// The only way to change what is there.
    pub writer: Writer,
    /// The platform's configuration, as it is now.
    pub platform: Platforms,
    /// What serving pods say, and how they are told.
    pub pods: Pods,
    /// What people are told.
    pub events: Events,
    pub clock: Clock,
    /// Definitions, compiled once.
    pub compiled: Compiler,
    /// How far revisions are needed, and who names which signal.
    pub needs: Needs,
    /// The operator's own namespace.
    pub home: Arc<str>,
    /// Held by who gives a pool another engine, until that is written: two that look at the same moment would both find it their turn.
    pub turn: Arc<Mutex<()>>,
    /// What is remembered of features between looks.
    pub features: Memory,
}
