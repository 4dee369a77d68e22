//! The operator as a process: arguments in, until it is told to end.
//!
//! ```text
//! arguments ─▶ telemetry ─▶ watches ─▶ configuration ─▶ stand by ─▶ lead: authority, controllers, poll, keep ─▶ hand over
//!                              ╰─ monitor: /metrics, /healthz, /readyz (one that stands by is ready, too)
//! ```

mod arguments;
mod controllers;
mod health;
mod monitor;
mod telemetry;
mod term;
mod world;

use std::process::ExitCode;

pub use self::arguments::{Arguments, Command, LogFormat, Run};
use self::world::World;

/// Runs until it is told to end.
pub fn run(arguments: Arguments) -> ExitCode {
    let Command::Run(arguments) = arguments.command;
    telemetry::start(arguments.log_format);
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(World::run(arguments)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
