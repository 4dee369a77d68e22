//! The engine as it is deployed: its binary, a platform file that names a real Kafka, a lake in a local folder.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use serde_json::Value;
use tress_configs::{FeaturePlan, Plan, SignalPlan};
use tress_engine::clock::SystemClock;
use tress_engine::log::Log;
use tress_engine::platform::Platform;
use tress_engine::serve::{Pinned, Route, RouteFile, write_routes};
use tress_engine::{ErrorKind, layout};

use crate::follow::Probes;
use crate::plans::Plans;

/// How often it is looked whether the engine has come to the end.
const LOOK: Duration = Duration::from_millis(50);
/// How long it may stand still.
const PATIENCE: Duration = Duration::from_secs(180);

/// Where the parts of a deployment are, and which revision of the signal runs.
#[derive(clap::Args, Clone, Debug)]
pub struct Deployment {
    /// The engine's binary.
    #[arg(long)]
    engine: PathBuf,
    /// A broker: `127.0.0.1:9092`.
    #[arg(long)]
    pub bootstrap: String,
    /// Holds `events.parquet` and `items.parquet`.
    #[arg(long)]
    pub data: PathBuf,
    /// For the lake, the platform file, plans and logs.
    #[arg(long)]
    pub folder: PathBuf,
    /// Of the raw events.
    #[arg(long)]
    pub topic: String,
    #[arg(long)]
    pub uid: String,
}

impl Deployment {
    fn plans(&self) -> anyhow::Result<Plans> {
        Plans::compile("bench/definitions-stream.yaml", &include_str!("../definitions-stream.yaml").replace("TOPIC", &self.topic))
    }

    pub fn signal(&self) -> anyhow::Result<Arc<SignalPlan>> {
        Ok(Arc::clone(self.plans()?.signal("click")?))
    }

    pub fn platform(&self) -> anyhow::Result<Platform> {
        Ok(Platform::open(&self.platform_file()?, Arc::new(SystemClock))?.0)
    }

    /// Prepares the revision, as the first job of a cluster does.
    pub fn prepare(&self) -> anyhow::Result<()> {
        let plan = Plan::Signal(SignalPlan::clone(self.signal()?.as_ref()));
        self.prepare_plan(&plan, &["--uid", &self.uid])
    }

    /// Deletes the topics and tables of the revision.
    pub fn drop_revision(&self) -> anyhow::Result<()> {
        self.job(&["drop", "--uid", &self.uid])
    }

    /// Starts the engine's stream as a process of its own.
    pub fn stream(&self) -> anyhow::Result<Running> {
        self.start(&["stream", "--uid", &self.uid])
    }

    /// Starts a serving process for the feature, and waits until it answers.
    pub async fn serve(&self) -> anyhow::Result<(Running, SocketAddr)> {
        let plan = Plan::Feature(FeaturePlan::clone(self.plans()?.feature("recent")?));
        let uid = format!("recent-{}", self.uid);
        self.prepare_plan(&plan, &["--uid", &uid, "--signal", &self.uid])?;
        let live = Some(Pinned { uid, digest: plan.digest() });
        let route = Route { live, epoch: 1, ..Route::default() };
        let routes = self.folder.join("routes.json");
        write_routes(&routes, &RouteFile { features: [("bench/recent".to_owned(), route)].into(), ..RouteFile::default() }).await?;
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let (grpc, http, state) = (free()?, free()?, self.folder.join("state"));
        let (at, beside) = (grpc.to_string(), http.to_string());
        let mut running = self.start(&["serve", "--routes", text(&routes)?, "--state", text(&state)?, "--grpc", &at, "--http", &beside])?;
        let began = Instant::now();
        loop {
            running.still()?;
            let error = match Probes::open(grpc).await {
                Ok(probes) => match probes.read().await {
                    Ok(_) => return Ok((running, grpc)),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            ensure!(began.elapsed() < PATIENCE, "the serving process does not answer: {error}; its log is {}", running.log.display());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Raw records of which everything is published, as far as the stream has committed.
    pub async fn committed(&self, log: &dyn Log) -> tress_engine::Result<i64> {
        Ok(log.committed(&layout::stream_group(&self.uid), &self.topic).await?.iter().map(|p| p.offset).sum())
    }

    /// Waits until everything that the raw topic holds now is published.
    pub async fn published(&self, log: &dyn Log, running: &mut Running) -> anyhow::Result<()> {
        let (mut before, mut moved) = (-1, Instant::now());
        loop {
            running.still()?;
            match self.left(log).await {
                Ok((_, 0)) => return Ok(()),
                Ok((done, left)) => {
                    if done != before {
                        (before, moved) = (done, Instant::now());
                    }
                    ensure!(
                        moved.elapsed() < PATIENCE,
                        "the stream stands at {done}, {left} raw records are left; its log is {}",
                        running.log.display()
                    );
                }
                // A broker that stands still is what some lines are about.
                Err(e) if e.kind() == ErrorKind::Unavailable && moved.elapsed() < PATIENCE => {}
                Err(e) => return Err(e.into()),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Raw records that are published, and those that are not.
    async fn left(&self, log: &dyn Log) -> tress_engine::Result<(i64, i64)> {
        let all: i64 = log.ends(&self.topic).await?.iter().map(|e| e.end).sum();
        let done = self.committed(log).await?;
        Ok((done, all - done))
    }

    fn prepare_plan(&self, plan: &Plan, of: &[&str]) -> anyhow::Result<()> {
        let path = self.folder.join(format!("{}.json", plan.digest()));
        std::fs::write(&path, plan.canonical_json())?;
        self.job(&[&["prepare", "--plan", text(&path)?], of].concat())
    }

    fn start(&self, arguments: &[&str]) -> anyhow::Result<Running> {
        let log = self.folder.join(format!("{}.log", arguments.first().context("a role")?));
        let child = self.command(arguments)?.stdout(Stdio::null()).stderr(File::create(&log)?).spawn()?;
        Ok(Running { child, log })
    }

    fn job(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let done = self.command(arguments)?.output()?;
        let said = String::from_utf8_lossy(&done.stdout);
        let report: Value = serde_json::from_str(said.trim()).with_context(|| format!("{arguments:?} gave no report: {said}"))?;
        ensure!(done.status.success(), "{arguments:?}: {report}");
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(&self.engine);
        command.arg("--platform").arg(self.platform_file()?).args(arguments).stdin(Stdio::null());
        Ok(command)
    }

    fn platform_file(&self) -> anyhow::Result<PathBuf> {
        let path = self.folder.join("platform.yaml");
        if !path.exists() {
            let (lake, tables) = (self.folder.join("lake"), std::path::absolute(&self.data)?);
            std::fs::create_dir_all(&lake)?;
            let lake = std::path::absolute(&lake)?;
            let file = format!(
                "connections:\n  main: {{kafka: {{bootstrap: [\"{}\"]}}, namespaces: [bench]}}\n  lake: {{objectStore: {{url: \"file://{}\"}}}}\n  \
                 tables: {{objectStore: {{url: \"file://{}\"}}, namespaces: [bench]}}\noutputs: {{lake: lake, changelog: main}}\n",
                self.bootstrap,
                text(&lake)?,
                text(&tables)?,
            );
            std::fs::write(&path, file)?;
        }
        Ok(path)
    }
}

/// A process of the engine's. Killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails when it has ended.
    pub fn still(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(anyhow!("the engine ended ({status}); its log is {}", self.log.display())),
        }
    }

    /// Tells it to stop and waits; it has to end well.
    pub fn stop(mut self) -> anyhow::Result<()> {
        signal(self.pid(), "TERM")?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the engine ended with {status}; its log is {}", self.log.display());
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends a signal, by its name without SIG.
pub fn signal(pid: u32, name: &str) -> anyhow::Result<()> {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status()?;
    ensure!(sent.success(), "send {name} to process {pid}: {sent}");
    Ok(())
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{}: its path is no text", path.display()))
}
