//! One role as a process: arguments in, a report and an exit code out.
//!
//! ```text
//! arguments ─▶ telemetry ─▶ platform file ─▶ prepare | stream | archive | backfill | serve | drop | deadletters ─▶ report ─▶ exit code
//!                                                      ╰─ monitor: metrics and health, for the roles that stay
//! ```
//! Exit codes: 0 = done, or stopped as asked; 1 = start it again later; 2 = starting it again changes nothing.

mod archive;
mod arguments;
mod backfill;
mod caught_up;
mod drop;
mod letters;
mod monitor;
mod prepare;
mod revision;
mod scheduled;
mod serve;
mod stream;
mod telemetry;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tress_configs::job::{Facts, Outcome, Report, Role};

pub use self::arguments::Arguments;
use self::arguments::{Backfill, Command};
use crate::clock::{Stopwatch, SystemClock};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::faults;
use crate::platform::Platform;

/// How often the platform file is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// For how long it is asked again for what does not answer …
const PATIENCE: Duration = Duration::from_secs(20);
/// … after a first pause of this, each further one twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// What came of a role that did not fail.
#[derive(Debug)]
struct Ended {
    outcome: Outcome,
    facts: Option<Facts>,
}

impl Ended {
    const fn with(facts: Facts) -> Self {
        Self { outcome: Outcome::Succeeded, facts: Some(facts) }
    }

    const fn as_asked() -> Self {
        Self { outcome: Outcome::Stopped, facts: None }
    }
}

/// What every role is given.
#[derive(Debug, Clone)]
struct World {
    platform: Platform,
    /// Cancelled when the process is told to stop.
    shutdown: CancellationToken,
}

/// Runs one role to its end, and reports.
pub fn run(arguments: Arguments) -> ExitCode {
    telemetry::start();
    let Arguments { platform, report: report_to, command } = arguments;
    let role = command.role();
    let ended = armed().and_then(|()| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.map_err(Error::from).context(|| "start the runtime".to_owned())?.block_on(in_the_world(&platform, command))
    });
    let report = report(role, ended);
    let json = report.to_json();
    println!("{json}");
    for reason in &report.reasons {
        eprintln!("error: {reason}");
    }
    if let Some(path) = report_to
        && let Err(error) = std::fs::write(&path, &json)
    {
        eprintln!("error: write report {}: {error}", path.display());
        return ExitCode::from(1);
    }
    ExitCode::from(match report.outcome {
        Outcome::Succeeded | Outcome::UpToDate | Outcome::Stopped => 0,
        Outcome::FailedForNow => 1,
        Outcome::Failed => 2,
    })
}

/// Arms what `TRESS_FAULT` names, in builds for tests: a release has no such switch.
fn armed() -> Result<()> {
    if cfg!(debug_assertions) { faults::arm_from_env() } else { Ok(()) }
}

fn report(role: Role, ended: Result<Ended>) -> Report {
    match ended {
        Ok(Ended { outcome, facts }) => Report::new(role, outcome, facts),
        Err(error) => {
            // A topic, a table, a revision: somebody may make it yet.
            let may_come = role == Role::Prepare && error.kind() == ErrorKind::NotFound;
            let outcome = if may_come || error.kind().may_work_later() { Outcome::FailedForNow } else { Outcome::Failed };
            Report { reasons: vec![error.to_string()], ..Report::new(role, outcome, None) }
        }
    }
}

async fn in_the_world(platform_file: &Path, command: Command) -> Result<Ended> {
    // A file that was named and is not there is a mistake in the call.
    let opened = Platform::open(platform_file, Arc::new(SystemClock));
    let (platform, following) = opened.map_err(|e| if e.kind() == ErrorKind::NotFound { Error::invalid(e.to_string()) } else { e })?;
    let shutdown = CancellationToken::new();
    let listening = tokio::spawn(telemetry::until_told_to_stop(shutdown.clone()));
    let following = tokio::spawn(following.run(platform.clone(), LOOK, shutdown.clone()));
    let world = World { platform, shutdown: shutdown.clone() };
    let ended = patiently(&world, command).await;
    shutdown.cancel();
    listening.abort();
    // It ends by the same token, having nothing to finish.
    following.await.map_err(|_| Error::internal("follow the platform file: its task ended"))?;
    ended
}

/// Begins again for a while if what is needed does not answer: a topic that was made a moment ago, a broker that is begun again.
async fn patiently(world: &World, command: Command) -> Result<Ended> {
    let (began, mut pause) = (Stopwatch::start(), FIRST_PAUSE);
    loop {
        let error = match role(world, command.clone()).await {
            Err(e) if e.kind() == ErrorKind::Unavailable && !world.shutdown.is_cancelled() && began.elapsed() < PATIENCE => e,
            ended => return ended,
        };
        tracing::warn!(%error, ?pause, "trying again");
        if world.shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Err(error);
        }
        pause = (pause * 2).min(PATIENCE / 4);
    }
}

async fn role(world: &World, command: Command) -> Result<Ended> {
    match command {
        Command::Prepare(arguments) => prepare::run(world, arguments).await,
        Command::Stream(arguments) => stream::run(world, arguments).await,
        Command::Archive(arguments) => archive::run(world, arguments).await,
        Command::Backfill { step } => match step {
            Backfill::Plan(arguments) => backfill::plan(world, arguments).await,
            Backfill::Tasks(arguments) => backfill::tasks(world, arguments).await,
            Backfill::Seal(arguments) => backfill::seal(world, arguments).await,
            Backfill::Base(arguments) => backfill::base(world, arguments).await,
            Backfill::Run(arguments) => backfill::run(world, arguments).await,
            Backfill::Abandon(arguments) => backfill::abandon(world, arguments).await,
        },
        Command::Serve(arguments) => serve::run(world, arguments).await,
        Command::Drop(arguments) => drop::run(world, arguments).await,
        Command::DeadLetters(arguments) => letters::run(world, arguments).await,
    }
}
