//! From produce to read, with a process each for producer, stream, serving and reading client, and a real broker between them.

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::deployment::Deployment;
use crate::meter::process_seconds;
use crate::produce::{Produce, finished, probes};
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
        let mut stream = deployment.stream()?;
        let (serve, grpc) = deployment.serve().await?;
        let (streaming, serving) = (Watch::start(stream.pid())?, Watch::start(serve.pid())?);
        let broker_before = process_seconds(broker)?;
        let reader = follow(grpc, probes(seconds))?;
        let produced = Produce::start(&deployment, (rate, seconds))?.finished().await?;
        let read = finished(reader, "the reader").await?;
        ensure!(produced["probes"] == read["probes"], "the reader saw {} of {} probes", read["probes"], produced["probes"]);
        deployment.published(platform.own_log().as_ref(), &mut stream).await?;
        let broker = process_seconds(broker)? - broker_before;
        let (streaming, serving) = (streaming.stop().await?, serving.stop().await?);
        serve.stop()?;
        stream.stop()?;
        deployment.drop_revision()?;
        let events = produced["events"].as_f64().context("the producer tells how many events it sent")?;
        let span = read["span"].as_f64().context("the reader tells how long it took")?;
        let us = read["us"].clone();
        Ok(json!({
            "rate": events / span, "us": us, "produced": produced, "stream": streaming, "serve": serving, "read": read, "broker_cpu": broker,
        }))
    }
}

/// The reader as a process of its own.
fn follow(grpc: SocketAddr, expect: usize) -> anyhow::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["follow", "--grpc", &grpc.to_string(), "--expect", &expect.to_string()]);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?)
}
