//! Where the configuration comes from, and what is kept of it.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tress_configs::issue::Issue;
use xxhash_rust::xxh3::xxh3_128;

use super::{Platform, Platforms};
use crate::apply::Writer;
use crate::cluster::Scopes;
use crate::error::{Error, Result};
use crate::event::{Events, Tone};
use crate::label::{self, Role};
use crate::metrics::{Configuration, Metrics};

/// The ConfigMap that platform teams write.
pub const MAP: &str = "tress-platform";
/// The ConfigMap with the last one that could be used.
pub const GOOD: &str = "tress-platform-good";
/// The key of both.
pub(super) const KEY: &str = "platform.yaml";
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most letters of issues that an Event tells.
const MAX_TOLD: usize = 900;

/// A configuration, and the text that it was read from.
#[derive(Debug)]
pub(super) struct InForce {
    pub platform: Arc<Platform>,
    pub text: String,
}

/// Follows the ConfigMap.
pub struct Loader {
    pub client: Client,
    /// The operator's own namespace.
    pub namespace: String,
    pub scopes: Scopes,
    pub metrics: Metrics,
    pub events: Events,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Loader {
    /// The configuration to begin with: what stands in `tress-platform`, or else the last good one. `None` = there is neither.
    ///
    /// # Errors
    /// `Api` or `Timeout` when the API server cannot be asked.
    pub async fn first(&self) -> Result<Option<Arc<Platform>>> {
        Ok(None)
    }
}
