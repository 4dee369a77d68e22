//! Listens, and goes away in good order: not ready any more ─▶ a pause for those who send ─▶ no new connections ─▶ what is under way ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;

use super::grpc::Grpc;
use super::http::{self, Http};
use super::listen::{Guard, connections};
use super::proto;
use super::proto::sequence_service_server::SequenceServiceServer;
use super::reader::Reader;
use super::readiness::Readiness;
use super::tls::{Callers, Certificates, Tls};
use crate::error::{Error, ErrorKind, Result};

/// Where and how the process listens.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Port 0 = any that is free.
    pub grpc: SocketAddr,
    /// Has no encryption and no login: a loopback address, or a network that others guard.
    pub http: SocketAddr,
    /// The folder of certificates that gRPC is encrypted with (`tls.crt`, `tls.key`); `None` = it is not encrypted.
    pub tls: Option<PathBuf>,
    /// How often certificates are looked at for newer ones.
    pub renewal: Duration,
    /// The longest that a call may take; a caller's own deadline may be shorter.
    pub timeout: Duration,
    pub max_request_bytes: usize,
    pub max_reply_bytes: usize,
    /// Calls of one connection that may be under way.
    pub concurrency_per_connection: usize,
    /// Connections are closed after this, so that new servers get their share of callers.
    pub connection_age: Duration,
    /// How long a server that goes away still takes calls, after it has said so.
    pub drain_delay: Duration,
    /// How long what is under way may take to end after that.
    pub drain_timeout: Duration,
    /// How often readiness is looked at for the health service.
    pub health_interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            grpc: SocketAddr::from(([127, 0, 0, 1], 7400)),
            http: SocketAddr::from(([127, 0, 0, 1], 7401)),
            tls: None,
            renewal: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
            max_request_bytes: 4 << 20,
            max_reply_bytes: 64 << 20,
            concurrency_per_connection: 256,
            connection_age: Duration::from_secs(30 * 60),
            drain_delay: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(20),
            health_interval: Duration::from_millis(200),
        }
    }
}

/// Bound to its addresses, not yet answering.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    reader: Arc<Reader>,
    grpc: TcpListener,
    http: TcpListener,
    certificates: Option<Arc<Certificates>>,
    addresses: Addresses,
}

/// Where a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
}

impl Server {
    /// # Errors
    /// `Unavailable`, naming the address, when it cannot be had; `NotFound` or `Invalid`, naming the file, for certificates that are
    /// not there or cannot be used.
    pub async fn bind(settings: Settings, reader: Arc<Reader>) -> Result<Self> {
        let certificates = match &settings.tls {
            None => None,
            Some(folder) => {
                let tls = Tls { folder: folder.clone(), callers: Callers::Anyone };
                Some(Arc::new(Certificates::open(tls, Arc::clone(&reader.clock)).await?))
            }
        };
        let grpc = listen("gRPC", settings.grpc).await?;
        let http = listen("HTTP", settings.http).await?;
        let addresses = Addresses { grpc: grpc.local_addr()?, http: http.local_addr()? };
        Ok(Self { settings, reader, grpc, http, certificates, addresses })
    }

    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Answers until `shutdown`, then drains.
    ///
    /// # Errors
    /// `Unavailable` when a listener fails; `Internal` when a task does.
    pub async fn run(self, shutdown: CancellationToken) -> Result<()> {
        let Self { settings, reader, grpc, http, certificates, addresses } = self;
        let readiness = Arc::new(Readiness::default());
        // Cancelled when no new connection is taken any more.
        let closing = CancellationToken::new();
        // If one part fails, the others go away with it.
        let stop = shutdown.child_token();
        tracing::info!(grpc = %addresses.grpc, http = %addresses.http, "serving");

        let (health, health_service) = tonic_health::server::health_reporter();
        let watched = Watched { stop: stop.clone(), closing: closing.clone(), interval: settings.health_interval };
        let mut watching = tokio::spawn(report_health(health, reader.clone(), readiness.clone(), watched));

        let router = http::router(Http { reader: reader.clone(), readiness, timeout: settings.timeout, draining: stop.clone() });
        let closed = closing.clone();
        // A reply is small and complete: it must not wait for the acknowledgement of the one before.
        let http = http.tap_io(|connection| {
            if let Err(error) = connection.set_nodelay(true) {
                tracing::debug!(%error, "a connection keeps its delay");
            }
        });
        let mut http =
            tokio::spawn(
                async move { axum::serve(http, router).with_graceful_shutdown(closed.cancelled_owned()).await.map_err(Error::from) },
            );

        let sequences = SequenceServiceServer::new(Grpc::new(reader, settings.timeout))
            .max_decoding_message_size(settings.max_request_bytes)
            .max_encoding_message_size(settings.max_reply_bytes);
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(|e| Error::internal(format!("describe the protocol: {e}")))?;
        let renewing = certificates.clone().map(|c| tokio::spawn(c.follow(settings.renewal, closing.clone())));
        let guard = certificates.map_or(Guard::Open, Guard::Tls);
        let (incoming, accepting) = connections(grpc, guard, closing.clone());
        let serve = tonic::transport::Server::builder()
            .concurrency_limit_per_connection(settings.concurrency_per_connection)
            .max_connection_age(settings.connection_age)
            .http2_keepalive_interval(Some(Duration::from_secs(60)))
            .add_service(health_service)
            .add_service(reflection)
            .add_service(sequences)
            .serve_with_incoming_shutdown(incoming, closing.clone().cancelled_owned());
        let mut grpc =
            tokio::spawn(
                async move { serve.await.map_err(|e| Error::new(ErrorKind::Unavailable, "serve gRPC: it failed").with_source(e)) },
            );

        let failed = tokio::select! {
            () = shutdown.cancelled() => None,
            ended = &mut grpc => Some(joined(ended)),
            ended = &mut http => Some(joined(ended)),
        };
        stop.cancel();
        if let Some(failed) = failed {
            closing.cancel();
            watching.abort();
            grpc.abort();
            http.abort();
            return failed.and(Err(Error::internal("serve: a listener ended unasked")));
        }
        tokio::time::sleep(settings.drain_delay).await;
        closing.cancel();
        joined(accepting.await.map(Ok))?;
        if let Some(renewing) = renewing {
            joined(renewing.await.map(Ok))?;
        }
        let drain = async { (joined((&mut grpc).await), joined((&mut http).await), joined((&mut watching).await.map(Ok))) };
        match tokio::time::timeout(settings.drain_timeout, drain).await {
            Ok((grpc, http, watching)) => grpc.and(http).and(watching),
            Err(_) => {
                tracing::warn!("calls were still under way when the time to drain was over; they are cut");
                grpc.abort();
                http.abort();
                watching.abort();
                Ok(())
            }
        }
    }
}

async fn listen(what: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| Error::from(e).while_doing(format!("listen for {what} at {address}")))
}

/// What a health report goes by.
struct Watched {
    /// The server goes away: say so.
    stop: CancellationToken,
    /// No call is taken any more: let go of those who watch.
    closing: CancellationToken,
    interval: Duration,
}

/// Tells the health service what the readiness probe tells. Ends when the server goes away, having said so; and then ends the streams
/// of those who watch, which would keep their connections open for ever.
async fn report_health(mut health: tonic_health::server::HealthReporter, reader: Arc<Reader>, readiness: Arc<Readiness>, watched: Watched) {
    const SERVICES: [&str; 2] = ["", "tress.v1.SequenceService"];
    for service in SERVICES {
        health.set_service_status(service, ServingStatus::NotServing).await;
    }
    let ready = async {
        while readiness.why_not(&reader).is_some() {
            tokio::time::sleep(watched.interval).await;
        }
    };
    tokio::select! {
        () = watched.stop.cancelled() => {}
        () = ready => {
            for service in SERVICES {
                health.set_service_status(service, ServingStatus::Serving).await;
            }
        }
    }
    watched.stop.cancelled().await;
    for service in SERVICES {
        health.set_service_status(service, ServingStatus::NotServing).await;
    }
    watched.closing.cancelled().await;
    for service in SERVICES {
        health.clear_service_status(service).await;
    }
}

fn joined(ended: std::result::Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|e| Err(Error::internal(format!("serve: a task failed: {e}"))))
}
