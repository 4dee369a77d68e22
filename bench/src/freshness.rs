//! From produce to read, with a process each for producer, stream and reader, and a real broker between them.

use std::process::Stdio;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::deployment::Deployment;
use crate::meter::process_seconds;
use crate::produce::{Produce, last_line, probes};
use crate::watch::Watch;

#[derive(clap::Args)]
pub struct Freshness {
    #[command(flatten)]
    deployment: Deployment,
    /// The broker's process: its CPU time is told, too.
    #[arg(long)]
    broker: u32,
    /// Events a second; 0 = as many as the broker takes.
    #[arg(long)]
    rate: f64,
    #[arg(long)]
    seconds: f64,
}

impl Freshness {
    pub async fn run(self) -> anyhow::Result<Value> {
        let Self { deployment, broker, rate, seconds } = self;
        deployment.prepare()?;
        let platform = deployment.platform()?;
        let broker_before = process_seconds(broker)?;
        let mut running = deployment.stream()?;
        let watch = Watch::start(running.pid())?;
        let reader = Reader::start(&deployment, probes(seconds)).await?;
        let produced = Produce::start(&deployment, (rate, seconds))?.finished().await?;
        let read = reader.finished().await?;
        ensure!(produced["probes"] == read["probes"], "the reader saw {} of {} probes", read["probes"], produced["probes"]);
        deployment.published(platform.own_log().as_ref(), &mut running).await?;
        let stream = watch.stop().await?;
        let broker = process_seconds(broker)? - broker_before;
        running.stop()?;
        deployment.drop_revision()?;
        let events = produced["events"].as_f64().context("the producer tells how many events it sent")?;
        let span = read["span"].as_f64().context("the reader tells how long it took")?;
        Ok(json!({"rate": events / span, "us": read["us"], "produced": produced, "stream": stream, "read": read, "broker_cpu": broker}))
    }
}

/// The reader as a process of its own.
struct Reader {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Reader {
    /// Returns when it follows.
    async fn start(deployment: &Deployment, expect: usize) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("follow").args(deployment.arguments()).args(["--expect", &expect.to_string()]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut out = BufReader::new(child.stdout.take().context("the reader has an output")?);
        let mut line = String::new();
        out.read_line(&mut line).await?;
        ensure!(!line.is_empty(), "the reader ended with {}", child.wait().await?);
        Ok(Self { child, out })
    }

    async fn finished(mut self) -> anyhow::Result<Value> {
        let mut said = Vec::new();
        self.out.read_to_end(&mut said).await?;
        let status = self.child.wait().await?;
        ensure!(status.success(), "the reader ended with {status}");
        last_line(&said)
    }
}
