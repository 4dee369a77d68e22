//! The real stream process, from a topic until everything is published.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tress_engine::log::Log;
use tress_engine::stream::Settings;

use crate::changelog;
use crate::deployment::{Deployment, signal};
use crate::meter::process_seconds;
use crate::produce::Produce;
use crate::watch::Watch;

#[derive(clap::Args)]
pub struct Stream {
    #[command(flatten)]
    deployment: Deployment,
    /// The broker's process: its CPU time is told, too.
    #[arg(long)]
    broker: u32,
    /// Stops the broker so many seconds after the first rows were published, for so many: `3+10`.
    #[arg(long)]
    pause: Option<Pause>,
    /// Events a second that are produced meanwhile …
    #[arg(long, requires = "seconds")]
    rate: Option<f64>,
    /// … for so many seconds.
    #[arg(long)]
    seconds: Option<f64>,
    /// Writes the rows of the changelog there, after the timed part …
    #[arg(long)]
    rows_to: Option<PathBuf>,
    /// … these columns of them; without it all.
    #[arg(long, value_delimiter = ',', requires = "rows_to")]
    columns: Vec<String>,
}

/// When a broker stands still.
#[derive(Debug, Clone, Copy)]
pub struct Pause {
    after: Duration,
    during: Duration,
}

impl std::str::FromStr for Pause {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (after, during) = text.split_once('+').context("a pause is written AFTER+DURING, in seconds")?;
        Ok(Self { after: Duration::from_secs_f64(after.parse()?), during: Duration::from_secs_f64(during.parse()?) })
    }
}

impl Stream {
    pub async fn run(self) -> anyhow::Result<Value> {
        let Self { deployment, broker, pause, rate, seconds, rows_to, columns } = self;
        deployment.prepare()?;
        let platform = deployment.platform()?;
        let log = Arc::clone(platform.own_log());
        let broker_before = process_seconds(broker)?;
        let mut running = deployment.stream()?;
        let watch = Watch::start(running.pid())?;
        let pausing = pause.map(|pause| tokio::spawn(stand_still(broker, pause, (deployment.clone(), Arc::clone(&log)))));
        let mut produced = Value::Null;
        if let (Some(rate), Some(seconds)) = (rate, seconds) {
            produced = Produce::start(&deployment, (rate, seconds))?.finished().await?;
            let (ends, done) = (log.ends(&deployment.topic).await?, deployment.committed(log.as_ref()).await?);
            produced["behind"] = (ends.iter().map(|e| e.end).sum::<i64>() - done).into();
        }
        deployment.published(log.as_ref(), &mut running).await?;
        let mut result = watch.stop().await?;
        result["broker_cpu"] = (process_seconds(broker)? - broker_before).into();
        if let Some(pausing) = pausing {
            result["paused_at"] = pausing.await??.into();
        }
        result["events"] = log.ends(&deployment.topic).await?.iter().map(|e| e.end).sum::<i64>().into();
        result["produced"] = produced;
        result["budget"] = Settings::default().budget_bytes.into();
        running.stop()?;
        if let Some(to) = rows_to {
            result["rows"] = changelog::write(&deployment, log.as_ref(), &columns, &to).await?.into();
        }
        deployment.drop_revision()?;
        Ok(result)
    }
}

/// A broker that was stopped. It goes on when this is dropped, whatever happens.
struct Stopped(u32);

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Err(error) = signal(self.0, "CONT") {
            eprintln!("the broker stands still: {error}");
        }
    }
}

/// Waits for the first rows, then the broker stands still; returns how many raw records were published by then.
async fn stand_still(broker: u32, Pause { after, during }: Pause, (deployment, log): (Deployment, Arc<dyn Log>)) -> anyhow::Result<i64> {
    while deployment.committed(log.as_ref()).await? == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(after).await;
    let published = deployment.committed(log.as_ref()).await?;
    signal(broker, "STOP")?;
    let stopped = Stopped(broker);
    tokio::time::sleep(during).await;
    drop(stopped);
    Ok(published)
}
