//! Where the configuration comes from, and what is kept of it.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watch_object};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tress_crds::condition::Reason;
use xxhash_rust::xxh3::xxh3_128;

use super::{InForce, Platform, Platforms};
use crate::apply::Writer;
use crate::cluster::Scopes;
use crate::error::Result;
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
/// After a failure, how soon it is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// Reads the configuration for the first time, and follows it from then on.
pub struct Loader {
    pub client: Client,
    /// The operator's own namespace.
    pub namespace: String,
    pub scopes: Scopes,
    pub metrics: Metrics,
    pub events: Events,
}

/// What keeps [`Platforms`] up to date.
pub struct Following {
    loader: Loader,
    maps: BoxStream<'static, Result<Option<ConfigMap>, watcher::Error>>,
    in_force: watch::Sender<Arc<InForce>>,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Following {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Following").field("loader", &self.loader).finish_non_exhaustive()
    }
}

/// What stands in the ConfigMap.
enum Stands {
    Good(InForce),
    /// Why it cannot be used.
    Bad(String),
}

impl Loader {
    /// Waits for a configuration to begin with: what stands in `tress-platform`, or, where that cannot be used, what was good last.
    /// Where there is neither, `missing` is told why, again and again. `None` = `shutdown` came first.
    pub async fn begin(self, missing: impl Fn(String), shutdown: &CancellationToken) -> Option<(Platforms, Following)> {
        let mut maps = watch_object(self.api(), MAP).default_backoff().boxed();
        loop {
            let next = tokio::select! {
                () = shutdown.cancelled() => return None,
                next = maps.next() => next?,
            };
            let first = match next {
                Err(error) => {
                    missing(format!("ConfigMap {}/{MAP} cannot be read: {error}", self.namespace));
                    continue;
                }
                Ok(map) => match self.judged(map.as_ref()) {
                    Stands::Good(in_force) => in_force,
                    Stands::Bad(why) => match self.last_good(shutdown).await? {
                        Some(in_force) => {
                            tracing::warn!("the configuration that was good last is in force");
                            in_force
                        }
                        None => {
                            missing(why);
                            continue;
                        }
                    },
                },
            };
            let (in_force, receiver) = watch::channel(Arc::new(first));
            return Some((Platforms(receiver), Following { loader: self, maps, in_force }));
        }
    }

    fn api(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Reads it, and tells people what is wrong with it.
    fn judged(&self, map: Option<&ConfigMap>) -> Stands {
        let stands = self.read(map);
        match &stands {
            Stands::Good(_) => self.metrics.configuration(Configuration::Good),
            Stands::Bad(why) => {
                self.metrics.configuration(Configuration::Bad);
                tracing::error!(configuration = MAP, "{why}");
                if let Some(map) = map {
                    self.events.say(map, Tone::Warning, Reason::Invalid, &format!("What was good before stays in force. {why}"));
                }
            }
        }
        stands
    }

    fn read(&self, map: Option<&ConfigMap>) -> Stands {
        let Some(map) = map else {
            return Stands::Bad(format!("there is no ConfigMap {}/{MAP}: make it, with the key {KEY}", self.namespace));
        };
        let Some(text) = map.data.as_ref().and_then(|data| data.get(KEY)) else {
            return Stands::Bad(format!("ConfigMap {}/{MAP} has no key {KEY}: write the configuration there", self.namespace));
        };
        match Platform::parse(text, &self.scopes) {
            Ok(platform) => Stands::Good(InForce { platform: Arc::new(platform), text: text.clone() }),
            Err(issues) => Stands::Bad(issues.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        }
    }

    /// What was kept; asked for until there is an answer. The outer `None` = `shutdown` came first.
    async fn last_good(&self, shutdown: &CancellationToken) -> Option<Option<InForce>> {
        let api = self.api();
        loop {
            let answer = tokio::select! {
                () = shutdown.cancelled() => return None,
                answer = timeout(PATIENCE, api.get_opt(GOOD)) => answer,
            };
            match answer {
                Ok(Ok(None)) => return Some(None),
                Ok(Ok(map)) => match self.read(map.as_ref()) {
                    Stands::Good(in_force) => return Some(Some(in_force)),
                    Stands::Bad(why) => {
                        tracing::error!(configuration = GOOD, "{why}");
                        return Some(None);
                    }
                },
                Ok(Err(error)) => tracing::warn!(%error, "ConfigMap {GOOD} cannot be read; it is tried again"),
                Err(_) => tracing::warn!("ConfigMap {GOOD} cannot be read in time; it is tried again"),
            }
            sleep(AGAIN).await;
        }
    }
}

impl Following {
    /// Follows the ConfigMap until `shutdown`. One that cannot be used changes nothing.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { loader, mut maps, in_force } = self;
        loop {
            let map = tokio::select! {
                () = shutdown.cancelled() => return,
                map = maps.next() => map,
            };
            match map {
                Some(Ok(map)) => {
                    if let Stands::Good(next) = loader.judged(map.as_ref()) {
                        in_force.send_if_modified(|now| {
                            let is_other = now.platform != next.platform;
                            // Kept as it stands, with its comments.
                            *now = Arc::new(next);
                            is_other
                        });
                    }
                }
                Some(Err(error)) => tracing::warn!(%error, "the configuration cannot be watched"),
                None => return,
            }
        }
    }
}

/// Keeps what is in force in `tress-platform-good`, for as long as this runs.
pub async fn keep(platforms: &Platforms, writer: &Writer, namespace: &str) {
    let mut changes = platforms.changes();
    loop {
        let text = platforms.0.borrow().text.clone();
        let kept = writer.ensure(good(namespace, &text), &format!("{:032x}", xxh3_128(text.as_bytes()))).await;
        if let Err(error) = &kept {
            tracing::warn!(%error, "the configuration in force is not kept yet");
        }
        tokio::select! {
            () = changes.next() => {}
            () = sleep(AGAIN), if kept.is_err() => {}
        }
    }
}

fn good(namespace: &str, text: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": GOOD, "namespace": namespace, "labels": label::labels(Role::Connections, GOOD)},
        "data": {KEY: text},
    })
}
