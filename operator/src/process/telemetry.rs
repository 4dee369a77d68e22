//! Logs, and being told to end.

use std::io::{IsTerminal, stderr};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::LogFormat;

/// What is logged unless `TRESS_LOG` says otherwise.
const DEFAULT: &str = "warn,tress_operator=info";
/// The client warns with whole objects in its lines, which may hold what is nobody's business: only who asks for it by name gets that.
const CLIENT: &str = "kube_client";

/// Starts to log; to be called once.
pub(super) fn start(format: LogFormat) {
    let lines = tracing_subscriber::fmt().with_env_filter(filter()).with_writer(stderr).with_target(false);
    match format {
        LogFormat::Text => lines.with_ansi(stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}

fn filter() -> EnvFilter {
    let asked = std::env::var("TRESS_LOG").unwrap_or_else(|_| DEFAULT.to_owned());
    let quiet = if asked.contains(CLIENT) { asked } else { format!("{asked},{CLIENT}=error") };
    EnvFilter::try_new(quiet).unwrap_or_else(|_| EnvFilter::new(format!("{DEFAULT},{CLIENT}=error")))
}

/// Cancels `shutdown` at SIGTERM or SIGINT.
pub(super) async fn until_told_to_end(shutdown: CancellationToken) {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::warn!("signals cannot be heard: the process can only be killed");
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    tracing::info!("told to end");
    shutdown.cancel();
}
