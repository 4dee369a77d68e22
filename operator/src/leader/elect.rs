//! Standing by, leading, handing over.

use std::time::Duration;

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::claim::{May, Watched, given_up, held, made};
use super::{LASTS, Leadership};
use crate::apply::MANAGER;
use crate::clock::{Clock, Stopwatch};
use crate::error::{Error, Result};
use crate::metrics::{Leads, Metrics};

/// How often the Lease is renewed.
const RENEWAL: Duration = Duration::from_secs(4);
/// After a failure, how soon it is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why a term ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// This process was told to end.
    Asked,
    /// Somebody else holds the Lease.
    Taken,
    /// It could not be renewed in time.
    Expired,
}

/// Takes part in the election.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    identity: String,
    clock: Clock,
    metrics: Metrics,
    leadership: Leadership,
    /// As we wrote it last.
    lease: Option<Lease>,
}

impl std::fmt::Debug for Elector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Elector").field("lease", &self.name).field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Elector {
    /// For the Lease `name` of a namespace. `identity` must be of this very process: one that begins anew is another one.
    #[must_use]
    pub fn new(client: Client, (namespace, name): (&str, &str), identity: &str, (clock, metrics): (&Clock, &Metrics)) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            leadership: Leadership::default(),
            lease: None,
        }
    }

    /// What shows whether this process leads.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Stands by until this process leads. `None` = `shutdown` came first.
    pub async fn lead(&mut self, shutdown: &CancellationToken) -> Option<()> {
        let watch = watch_object(self.api.clone(), &self.name).default_backoff();
        pin_mut!(watch);
        let mut watched = Watched::default();
        loop {
            let wait = match watched.may(&self.identity) {
                May::Wait { left } => left,
                May::Make | May::Take => match self.claim(watched.lease()).await {
                    Ok(()) => return Some(()),
                    Err(error) => {
                        tracing::debug!(%error, "the lease was not to be had");
                        AGAIN
                    }
                },
            };
            tokio::select! {
                () = shutdown.cancelled() => return None,
                () = sleep(wait) => {
                    // Asked for itself: the watch may be behind.
                    if let Ok(lease) = self.read().await {
                        watched.look(lease);
                    }
                }
                event = watch.next() => match event {
                    Some(Ok(lease)) => watched.look(lease),
                    Some(Err(error)) => tracing::warn!(%error, "the lease cannot be watched"),
                    None => {}
                }
            }
        }
    }

    /// Renews until the term ends.
    pub async fn keep(&mut self, shutdown: &CancellationToken) -> Lost {
        let lost = self.renew_until(shutdown).await;
        if lost != Lost::Asked {
            self.leadership.end();
            self.metrics.leads(Leads::No);
            tracing::warn!(?lost, "this process does not lead any more");
        }
        lost
    }

    /// Gives the Lease up, so that another may take it at once. Nothing is written by this process from here on.
    ///
    /// # Errors
    /// When the API server cannot be told: the Lease ends by itself.
    pub async fn hand_over(&mut self) -> Result<()> {
        self.leadership.end();
        self.metrics.leads(Leads::No);
        let Some(lease) = self.lease.take() else { return Ok(()) };
        self.put(&given_up(&lease, self.clock.now())).await?;
        tracing::info!("the lease was given up");
        Ok(())
    }

    async fn renew_until(&mut self, shutdown: &CancellationToken) -> Lost {
        let mut pause = RENEWAL;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Lost::Asked,
                () = sleep(pause.min(self.leadership.left())) => {}
            }
            if self.leadership.left().is_zero() {
                return Lost::Expired;
            }
            let lease = self.lease.clone();
            pause = match self.claim(lease.as_ref()).await {
                Ok(()) => RENEWAL,
                Err(Error::Conflict) => match self.read().await {
                    Ok(Some(lease)) if is_held_by(&lease, &self.identity) => {
                        self.lease = Some(lease);
                        Duration::ZERO
                    }
                    Ok(Some(_)) => return Lost::Taken,
                    // Somebody deleted it. Others wait for as long as it would have lasted.
                    Ok(None) => {
                        self.lease = None;
                        Duration::ZERO
                    }
                    Err(_) => AGAIN,
                },
                Err(error) => {
                    tracing::warn!(%error, "the lease was not renewed; it is tried again");
                    AGAIN
                }
            };
        }
    }

    /// Puts ourselves in, if it is still as it was seen. `None` = makes it.
    async fn claim(&mut self, seen: Option<&Lease>) -> Result<()> {
        let now = self.clock.now();
        // From before the call: others count from when they see it.
        let since = Stopwatch::start();
        let lease = match seen {
            Some(lease) => self.put(&held(lease, &self.identity, now)).await?,
            None => self.post(&made(&self.name, &self.identity, now)).await?,
        };
        let is_new = self.leadership.left().is_zero();
        self.lease = Some(lease);
        self.leadership.extend(since, LASTS);
        if is_new {
            self.metrics.leads(Leads::Yes);
            tracing::info!(identity = self.identity, "this process leads");
        }
        Ok(())
    }

    async fn read(&self) -> Result<Option<Lease>> {
        self.patiently("read the lease", self.api.get_opt(&self.name)).await
    }

    async fn put(&self, lease: &Lease) -> Result<Lease> {
        self.patiently("write the lease", self.api.replace(&self.name, &how(), lease)).await
    }

    async fn post(&self, lease: &Lease) -> Result<Lease> {
        self.patiently("make the lease", self.api.create(&how(), lease)).await
    }

    async fn patiently<T>(&self, doing: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T> {
        let answer = timeout(PATIENCE, call).await.map_err(|_| Error::Timeout { doing: doing.to_owned() })?;
        // Made by somebody else, or gone, since it was seen.
        answer.map_err(|e| match Error::of_api(doing, &e) {
            Error::Api { code: 404 | 409, .. } => Error::Conflict,
            error => error,
        })
    }
}

fn how() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

fn is_held_by(lease: &Lease, identity: &str) -> bool {
    lease.spec.as_ref().and_then(|s| s.holder_identity.as_deref()).unwrap_or_default() == identity
}
