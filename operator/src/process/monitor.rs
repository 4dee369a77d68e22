//! Metrics and health over plain HTTP.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::health::Health;
use crate::metrics::Metrics;

/// OpenMetrics' text.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bound, not yet answering.
#[derive(Debug)]
pub(super) struct Monitor(Option<(TcpListener, Router)>);

impl Monitor {
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(address: Option<SocketAddr>, metrics: Metrics, health: Health) -> anyhow::Result<Self> {
        let Some(address) = address else { return Ok(Self(None)) };
        let listener = TcpListener::bind(address).await.with_context(|| format!("listen for HTTP at {address}"))?;
        tracing::info!(http = %listener.local_addr()?, "metrics and health");
        let ready = move || async move {
            match health.why_not() {
                None => "ok\n".into_response(),
                Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
            }
        };
        let shown = move || async move { ([(header::CONTENT_TYPE, TEXT)], metrics.text()) };
        let router = Router::new().route("/metrics", get(shown)).route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready));
        Ok(Self(Some((listener, router))))
    }

    /// Answers until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let Some((listener, router)) = self.0 else { return };
        let served = async { axum::serve(listener, router).await };
        tokio::select! {
            // What scrapes keeps its connection open: it is not waited for.
            () = shutdown.cancelled() => {}
            Err(error) = served => tracing::warn!(%error, "metrics and health are not listened for any more"),
        }
    }
}
