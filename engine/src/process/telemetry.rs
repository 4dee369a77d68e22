//! Logs, and being told to stop.

use std::io::stderr;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Starts to log; to be called once.
pub fn start() {
    let filter = EnvFilter::try_from_env("TRESS_LOG").unwrap_or_else(|_| EnvFilter::new("warn,tress_engine=info"));
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).with_writer(stderr).with_target(false).init();
}

/// Cancels `shutdown` at SIGTERM or SIGINT.
pub async fn until_told_to_stop(shutdown: CancellationToken) {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::warn!("signals cannot be heard: the process can only be killed");
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    tracing::info!("told to stop");
    shutdown.cancel();
}
