//! `deadletters`: what a signal revision has put aside, told and replayed over HTTP to whoever is let through to this process.
//!
//! ```text
//! GET  /v1/deadletters?from=&to=&limit=&payload=yes
//! POST /v1/deadletters/replay?from=&to=&limit=
//! ```
//! Payloads are users' values: they go into answers, never into logs or the report. It listens on this machine's own address, so that only
//! a port-forward leads to it, and ends when it is told to, or after a while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::arguments::DeadLetters;
use super::revision::Prepared;
use super::{Ended, World};
use crate::dead_letters::{self, PARTITION, Payload, Selection};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::platform::Platform;

/// The most letters of an answer.
const MOST: usize = 10_000;

/// What a request is answered with.
#[derive(Debug, Clone)]
struct Letters {
    platform: Platform,
    prepared: Arc<Prepared>,
}

/// Which letters; all of it may be left out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    from: Option<i64>,
    /// Itself included.
    to: Option<i64>,
    limit: Option<usize>,
    payload: Option<String>,
}

pub async fn run(world: &World, DeadLetters { uid, http, seconds }: DeadLetters) -> Result<Ended> {
    let prepared = Arc::new(Prepared::find(&world.platform, &uid).await?);
    let (listener, address) = listen(http).await?;
    tracing::info!(http = %address, "dead letters");
    let router = router(Letters { platform: world.platform.clone(), prepared });
    let until = world.shutdown.clone();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        let _told = tokio::time::timeout(Duration::from_secs(seconds), until.cancelled()).await;
    });
    serving.await.map_err(Error::from).context(|| "answer about dead letters".to_owned())?;
    Ok(Ended::as_asked())
}

async fn listen(http: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(http).await.map_err(Error::from).context(|| format!("listen for HTTP at {http}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn router(letters: Letters) -> Router {
    Router::new().route("/v1/deadletters", get(list)).route("/v1/deadletters/replay", post(replay)).with_state(letters)
}

async fn list(State(letters): State<Letters>, Query(asked): Query<Asked>) -> Response {
    answer(letters.list(&asked).await)
}

async fn replay(State(letters): State<Letters>, Query(asked): Query<Asked>) -> Response {
    answer(letters.replay(&asked).await)
}

impl Letters {
    async fn list(&self, asked: &Asked) -> Result<Value> {
        let payload = if asked.payload.as_deref() == Some("yes") { Payload::Shown } else { Payload::Hidden };
        let topic = self.prepared.revision.topics().dead_letters;
        let kept = dead_letters::list(self.platform.own_log().as_ref(), &topic, &asked.selection()).await?;
        Ok(kept.into_iter().map(|kept| dead_letters::told(&self.prepared.plan, kept, payload)).collect())
    }

    async fn replay(&self, asked: &Asked) -> Result<Value> {
        let (topics, stream) = (self.prepared.revision.topics(), &self.prepared.plan.source.stream);
        let (own, raw) = (self.platform.own_log(), self.platform.log(&stream.connection)?);
        let letters = (own.as_ref(), topics.dead_letters.as_str());
        let replayed = dead_letters::replay(letters, &asked.selection(), (raw.as_ref(), &stream.topic)).await?;
        Ok(json!({"appended": replayed.appended, "notOfATopic": replayed.not_of_a_topic}))
    }
}

impl Asked {
    fn selection(&self) -> Selection {
        let end = self.to.map_or(i64::MAX, |to| to.saturating_add(1));
        Selection { partition: PARTITION, offsets: self.from.unwrap_or(0)..end, limit: self.limit.unwrap_or(MOST).min(MOST) }
    }
}

fn answer(told: Result<Value>) -> Response {
    let (status, body) = match told {
        Ok(value) => (StatusCode::OK, value),
        Err(e) => {
            let status = match e.kind() {
                ErrorKind::Invalid => StatusCode::BAD_REQUEST,
                ErrorKind::NotFound => StatusCode::NOT_FOUND,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, json!({"error": {"message": e.to_string()}}))
        }
    };
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}
