//! Takes connections, encrypted or not, and hands them on when they are ready to be spoken on.
//!
//! A handshake waits for the other side: each has a task and a time of its own, so that one that dawdles holds up nobody.

use std::io::{IoSlice, Result as IoResult};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::tls::Certificates;

/// Connections that are ready and wait to be taken.
const READY: usize = 64;
/// Handshakes that may be under way at once.
const HANDSHAKES: usize = 512;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long to wait when the system has no room for a connection.
const NO_ROOM: Duration = Duration::from_millis(200);

/// How connections are guarded.
#[derive(Debug, Clone)]
pub enum Guard {
    Open,
    Tls(Arc<Certificates>),
}

/// A connection, ready to be spoken on.
#[derive(Debug)]
pub enum Connection {
    Open(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connections as they get ready, until `closing` or the stream is dropped; and the task that takes them, which ends then.
pub fn connections(
    listener: TcpListener,
    guard: Guard,
    closing: CancellationToken,
) -> (ReceiverStream<IoResult<Connection>>, JoinHandle<()>) {
    let (ready, taken) = mpsc::channel(READY);
    (ReceiverStream::new(taken), tokio::spawn(accept(listener, guard, ready, closing)))
}

async fn accept(listener: TcpListener, guard: Guard, ready: mpsc::Sender<IoResult<Connection>>, closing: CancellationToken) {
    let mut handshakes = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = closing.cancelled() => return,
            () = ready.closed() => return,
            Some(_ended) = handshakes.join_next() => continue,
            accepted = listener.accept(), if handshakes.len() < HANDSHAKES => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(NO_ROOM).await;
                continue;
            }
        };
        // A reply is small and complete: it must not wait for the acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        match &guard {
            Guard::Open => {
                if ready.send(Ok(Connection::Open(stream))).await.is_err() {
                    return;
                }
            }
            Guard::Tls(certificates) => {
                handshakes.spawn(shake(stream, TlsAcceptor::from(certificates.current()), ready.clone()));
            }
        }
    }
}

async fn shake(stream: TcpStream, acceptor: TlsAcceptor, ready: mpsc::Sender<IoResult<Connection>>) {
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            // Nobody takes connections any more: this one is closed with the rest.
            drop(ready.send(Ok(Connection::Tls(Box::new(stream)))).await);
        }
        Ok(Err(error)) => tracing::debug!(%error, "a connection was refused"),
        Err(_) => tracing::debug!("a connection took too long to shake hands"),
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        match self {
            Self::Open(stream) => stream.connect_info(),
            Self::Tls(stream) => stream.get_ref().0.connect_info(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<IoResult<()>> {
        match self.get_mut() {
            Self::Open(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<IoResult<usize>> {
        match self.get_mut() {
            Self::Open(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<IoResult<usize>> {
        match self.get_mut() {
            Self::Open(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Open(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        match self.get_mut() {
            Self::Open(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        match self.get_mut() {
            Self::Open(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
