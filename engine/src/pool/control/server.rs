//! Listens for those who run the process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::service::Service;
use crate::error::{Error, ErrorKind, Result};
use crate::pool::Shared;
use crate::serve::listen::{Guard, connections};
use crate::serve::proto::control_service_server::ControlServiceServer;
use crate::serve::tls::{Callers, Certificates, Tls};

/// The most bytes of a request: routes of thousands of features.
const MAX_REQUEST: usize = 4 << 20;
/// The most bytes of a reply.
const MAX_REPLY: usize = 64 << 20;
/// Calls of one connection that may be under way.
const CONCURRENCY: usize = 16;
/// The longest that a call may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Connections are closed after this: a caller whose certificate has ended gets no new one.
const AGE: Duration = Duration::from_secs(600);

/// Where the process is asked and told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Port 0 = any that is free.
    pub address: SocketAddr,
    /// Holds `tls.crt`, `tls.key` and `ca.crt`, the bundle of authorities that sign callers' certificates.
    pub tls: PathBuf,
    /// How often certificates are looked at for newer ones.
    pub renewal: Duration,
}

/// Bound to its address, not yet answering.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    certificates: Arc<Certificates>,
    renewal: Duration,
    shared: Arc<Shared>,
}

impl Server {
    /// # Errors
    /// `NotFound` or `Invalid`, naming the file, for certificates that are not there or cannot be used; `Unavailable`, naming the
    /// address, when it cannot be had.
    pub(in crate::pool) async fn bind(settings: Settings, shared: Arc<Shared>) -> Result<Self> {
        let Settings { address, tls, renewal } = settings;
        let tls = Tls { folder: tls, callers: Callers::Certified };
        let certificates = Arc::new(Certificates::open(tls, Arc::clone(&shared.reader.clock)).await?);
        let listener =
            TcpListener::bind(address).await.map_err(|e| Error::from(e).while_doing(format!("listen for control at {address}")))?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, certificates, renewal, shared })
    }

    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown`.
    ///
    /// # Errors
    /// `Unavailable` when the listener fails.
    pub async fn run(self, shutdown: CancellationToken) -> Result<()> {
        let Self { listener, address, certificates, renewal, shared } = self;
        tracing::info!(control = %address, "listening for those who run this process");
        let renewing = tokio::spawn(Arc::clone(&certificates).follow(renewal, shutdown.clone()));
        let (incoming, accepting) = connections(listener, Guard::Tls(certificates), shutdown.clone());
        let service =
            ControlServiceServer::new(Service::new(shared)).max_decoding_message_size(MAX_REQUEST).max_encoding_message_size(MAX_REPLY);
        let served = tonic::transport::Server::builder()
            .timeout(TIMEOUT)
            .concurrency_limit_per_connection(CONCURRENCY)
            .max_connection_age(AGE)
            .http2_keepalive_interval(Some(Duration::from_secs(60)))
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, shutdown.cancelled_owned())
            .await
            .map_err(|e| Error::new(ErrorKind::Unavailable, "serve control: it failed").with_source(e));
        if served.is_err() {
            accepting.abort();
            renewing.abort();
            return served;
        }
        let ended = |e| Error::internal(format!("serve control: a task failed: {e}"));
        accepting.await.map_err(ended)?;
        renewing.await.map_err(ended)
    }
}
