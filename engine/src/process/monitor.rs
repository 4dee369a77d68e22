//! A role that stays: its end, and its metrics and health over plain HTTP.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::arguments::Monitor;
use super::{Ended, World};
use crate::error::{Context, Error, Result};
use crate::platform::Platform;
use crate::roles::Tasks;
use crate::serve::expose;

/// Bound, not yet answering.
#[derive(Debug)]
pub struct Monitored(Option<(TcpListener, Router)>);

impl Monitored {
    /// `why_not`: why the role does not do its work now; it is alive all the same.
    ///
    /// # Errors
    /// `Unavailable`, naming the address, when it cannot be had.
    pub async fn listen(
        Monitor { http }: Monitor,
        platform: &Platform,
        why_not: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Result<Self> {
        let Some(address) = http else { return Ok(Self(None)) };
        let listener = TcpListener::bind(address).await.map_err(Error::from).context(|| format!("listen for HTTP at {address}"))?;
        tracing::info!(http = %listener.local_addr()?, "metrics and health");
        let (metrics, why_not) = (platform.metrics().clone(), Arc::new(why_not));
        let ready = move || {
            let why_not = Arc::clone(&why_not);
            async move {
                match why_not() {
                    None => "ok\n".into_response(),
                    Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
                }
            }
        };
        let router = Router::new()
            .route(
                "/metrics",
                get(move |headers: HeaderMap| async move {
                    expose(&metrics, &headers).map_err(|e| (StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n")))
                }),
            )
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready));
        Ok(Self(Some((listener, router))))
    }

    /// Answers until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let Some((listener, router)) = self.0 else { return };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await {
            tracing::warn!(%error, "metrics and health are not listened for any more");
        }
    }
}

/// Stays until the process is told to stop, or one of `tasks` has failed for good.
///
/// # Errors
/// Why a task failed; or that the last writes did: nothing is lost, the next start reads again.
pub async fn stay(world: &World, mut tasks: Tasks, monitored: Monitored) -> Result<Ended> {
    let health = Arc::clone(tasks.health());
    let monitoring = tokio::spawn(monitored.run(tasks.shutdown().clone()));
    let failed = tokio::select! {
        () = world.shutdown.cancelled() => None,
        reason = health.failed() => Some(reason),
    };
    tasks.shutdown().cancel();
    let last = tasks.join().await;
    // What scrapes keeps its connection open: it is not waited for.
    monitoring.abort();
    match failed {
        Some(reason) => Err(Error::invalid(reason)),
        None => last.map(|()| Ended::as_asked()),
    }
}
