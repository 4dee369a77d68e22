//! The admin address of `tress dev`: operations of other commands. Loopback only, and only with the token of this run.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tress_engine::ErrorKind;
use tress_engine::node::Node;

use crate::session::operation::{Operation, perform};
use crate::session::remote::Line;

/// Answers until `stop`.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
}

#[derive(Debug, Clone)]
struct Shared {
    node: Arc<Node>,
    token: Arc<str>,
}

/// The most bytes of an operation: appended records stand in it.
const MAX_BODY: usize = 64 << 20;
/// Lines of an answer that wait for a slow reader; further progress is dropped.
const LINES: usize = 64;

impl Admin {
    /// Listens on any free port of this machine.
    ///
    /// # Errors
    /// When there is none.
    pub async fn bind() -> anyhow::Result<Self> {
        Ok(Self { listener: TcpListener::bind(("127.0.0.1", 0)).await.context("listen for other commands")? })
    }

    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    pub async fn run(self, node: Arc<Node>, token: String, stop: CancellationToken) {
        let routes = Router::new()
            .route("/v1/operations", post(operations))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(Shared { node, token: token.into() });
        if let Err(error) = axum::serve(self.listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await {
            tracing::error!(%error, "other commands are not answered any more");
        }
    }
}

async fn operations(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let given = headers.get("authorization").and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    if !given.is_some_and(|given| equal(given.as_bytes(), shared.token.as_bytes())) {
        return (StatusCode::UNAUTHORIZED, "authorization: give the token of .tress/admin-token\n").into_response();
    }
    let operation: Operation = match serde_json::from_slice(&body) {
        Ok(operation) => operation,
        Err(e) => return (StatusCode::BAD_REQUEST, format!("operation: {e}\n")).into_response(),
    };
    let (lines, receiver) = mpsc::channel::<Line>(LINES);
    tokio::spawn(async move {
        let told = lines.clone();
        let progress = move |p: tress_engine::node::Progress| {
            // A reader that is slow misses steps, never the end.
            let _full = told.try_send(Line::Progress { tasks_done: p.tasks_done, tasks: p.tasks, rows: p.rows });
        };
        let last = match perform(&shared.node, &operation, &progress).await {
            Ok(value) => Line::Done(value),
            Err(e) => Line::Error { invalid: e.kind() == ErrorKind::Invalid, message: e.to_string() },
        };
        if lines.send(last).await.is_err() {
            tracing::info!("the one who asked has gone");
        }
    });
    let stream = futures::stream::unfold(receiver, |mut receiver| async move {
        let line = receiver.recv().await?;
        let text = serde_json::to_string(&line).unwrap_or_default();
        Some((Ok::<_, std::convert::Infallible>(format!("{text}\n")), receiver))
    });
    Response::new(Body::from_stream(stream))
}

/// Takes as long for any two texts of one length.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (x, y)| differs | (x ^ y)) == 0
}
