//! Stands in front of a server and disturbs what passes: refuses, holds, slows, and cuts in the middle of a request or a reply.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What happens to connections, those that are open too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Closed at once.
    Refuse,
    /// Nothing passes until the mode changes.
    Hold,
    /// Each piece waits so many milliseconds.
    Slow(u64),
    /// One piece in so many of what clients send is cut in half, and the connection ends.
    CutRequests(u64),
    /// One piece in so many of what the server answers is not passed on, and the connection ends: the request was done.
    CutReplies(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

/// A proxy on a port of its own.
#[derive(Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    listener: Option<TcpListener>,
    mode: watch::Sender<Mode>,
    /// Pieces that passed: decides which are cut.
    pieces: Arc<AtomicU64>,
    stop: CancellationToken,
}

impl Proxy {
    /// Bound, so that its address is known before there is a server.
    pub async fn bind() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self {
            address,
            listener: Some(listener),
            mode: watch::Sender::new(Mode::Pass),
            pieces: Arc::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Passes on to `server` from now on.
    pub fn run(&mut self, server: String) {
        let listener = self.listener.take().expect("run once");
        let (mode, pieces, stop) = (self.mode.subscribe(), Arc::clone(&self.pieces), self.stop.clone());
        tokio::spawn(async move {
            while let Some(Ok((client, _))) = stop.run_until_cancelled(listener.accept()).await {
                let (server, mode, pieces) = (server.clone(), mode.clone(), Arc::clone(&pieces));
                tokio::spawn(stop.clone().run_until_cancelled_owned(connection(client, server, mode, pieces)));
            }
        });
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn connection(client: TcpStream, server: String, mut mode: watch::Receiver<Mode>, pieces: Arc<AtomicU64>) {
    if *mode.borrow() == Mode::Refuse || mode.wait_for(|mode| *mode != Mode::Hold).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let both = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
    if both.is_err() {
        return;
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    // Whichever way ends first ends both.
    tokio::select! {
        () = pass(Way::ToServer, (from_client, to_server), mode.clone(), &pieces) => {}
        () = pass(Way::ToClient, (from_server, to_client), mode, &pieces) => {}
    }
}

async fn pass(way: Way, (mut from, mut to): (OwnedReadHalf, OwnedWriteHalf), mut mode: watch::Receiver<Mode>, pieces: &AtomicU64) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let length = tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => length,
            },
            changed = mode.changed() => {
                if changed.is_err() || *mode.borrow() == Mode::Refuse {
                    return;
                }
                continue;
            }
        };
        let Ok(now) = mode.wait_for(|mode| *mode != Mode::Hold).await.map(|mode| *mode) else { return };
        let nth = pieces.fetch_add(1, Ordering::Relaxed);
        match (now, way) {
            (Mode::Refuse, _) => return,
            (Mode::Slow(millis), _) => tokio::time::sleep(Duration::from_millis(millis)).await,
            (Mode::CutRequests(times), Way::ToServer) if nth.is_multiple_of(times) => {
                // Said or not, the connection ends here.
                to.write_all(&buffer[..length / 2]).await.ok();
                return;
            }
            (Mode::CutReplies(times), Way::ToClient) if nth.is_multiple_of(times) => return,
            _ => {}
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
