//! What the engine reports while it works: on standard error, from warnings on unless `TRESS_LOG` says otherwise.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// Starts it; to be called once.
pub fn start() {
    let filter = EnvFilter::try_from_env("TRESS_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal()).with_target(false).init();
}
