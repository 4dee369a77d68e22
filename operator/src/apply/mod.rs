//! Every write to the cluster.
//!
//! ```text
//! ensure   what is rendered: applied when its inputs change, or when it has drifted     create   once
//! replace  whole, if nobody else was first       status   what is said of an object     delete   by UID
//!                    ╰─▶ call: leads for long enough? ─▶ in time? ─▶ counted ─▶ seen in `Cluster` at once
//! ```

mod call;
mod ensure;
mod own;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use kube::Client;

pub(crate) use self::call::Verb;

use crate::cluster::Cluster;
use crate::leader::Leadership;
use crate::metrics::Metrics;

/// What an object was rendered from: a digest, kept in this annotation.
pub const INPUTS: &str = "tress.dev/inputs";
/// The object as it was applied, kept in this annotation, for when it drifts.
pub const MANIFEST: &str = "tress.dev/manifest";
/// How our writes are marked in managed fields; of what is applied a role follows behind a slash.
pub const MANAGER: &str = "tress-operator";

/// What became of an object that was to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrote {
    /// It is as it should be; nothing was written.
    Nothing,
    /// It was not there.
    Created,
    /// It was rendered from other inputs.
    Applied,
    /// It had drifted; its own manifest was applied again.
    Repaired,
}

/// Writes, as long as this process leads. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Writer(Arc<Means>);

struct Means {
    client: Client,
    cluster: Cluster,
    leadership: Leadership,
    metrics: Metrics,
    /// By UID, how an object looks right after its manifest was applied, where that is not what the manifest says: the server says it in
    /// other words, and applying it again would change nothing.
    settled: Mutex<HashMap<String, u64>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("leadership", &self.0.leadership).finish_non_exhaustive()
    }
}

impl Writer {
    #[must_use]
    pub fn new(client: Client, cluster: Cluster, leadership: Leadership, metrics: Metrics) -> Self {
        Self(Arc::new(Means { client, cluster, leadership, metrics, settled: Mutex::default() }))
    }
}
