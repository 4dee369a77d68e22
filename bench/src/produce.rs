//! Events in real time, at a rate, whatever the rest does: each is stamped with the moment at which it was due.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tress_engine::clock::{Clock, SystemClock};
use tress_engine::log::kafka::Connection;
use tress_engine::log::{KafkaLog, Log, NewRecord};

use crate::deployment::Deployment;
use crate::events::{self, Lines};
use crate::meter::Meter;

/// How long events gather: the linger of Kafka's own clients.
const LINGER: Duration = Duration::from_millis(5);
/// Between two probes.
const PROBE: Duration = Duration::from_millis(10);
/// Probes are sent from here on: everything is under way by then.
pub const WARM: Duration = Duration::from_secs(2);
/// Entities that only probes have, each one in turn.
pub const PROBED: i64 = 64;
/// Writes under way.
const WRITES: usize = 256;
/// Different events; then they come again, as new ones.
const BODIES: usize = 200_000;
/// Numbers of events begin here: no generated one is as great.
const FIRST: i64 = 1 << 40;

#[derive(clap::Args)]
pub struct Producer {
    #[arg(long)]
    bootstrap: String,
    /// Holds `events.parquet`.
    #[arg(long)]
    data: PathBuf,
    #[arg(long)]
    topic: String,
    /// Events a second; 0 = as many as the broker takes.
    #[arg(long)]
    rate: f64,
    #[arg(long)]
    seconds: f64,
}

/// The entity of the probe with this number.
pub fn probed(number: i64) -> i64 {
    (1 << 41) + number % PROBED
}

/// How many probes there are in so many seconds.
pub fn probes(seconds: f64) -> usize {
    let probed = Duration::from_secs_f64(seconds).saturating_sub(WARM);
    usize::try_from(probed.as_nanos().div_ceil(PROBE.as_nanos())).unwrap_or(usize::MAX)
}

/// What is the same whenever an event is sent.
struct Body {
    user: Option<i64>,
    /// JSON from `user_id` on.
    rest: Vec<u8>,
}

impl Producer {
    /// `{"wall", "cpu", "events", "probes", "late_ms"}`; how much later than due events were handed to the client at most.
    pub async fn run(self) -> anyhow::Result<Value> {
        let log: Arc<dyn Log> = Arc::new(KafkaLog::open(Connection::plain(&self.bootstrap))?);
        let partitions = i32::try_from(log.ends(&self.topic).await?.len())?;
        let bodies = bodies(&self.data)?;
        let writes = Arc::new(Semaphore::new(WRITES));
        let mut under_way = JoinSet::new();
        let meter = Meter::start()?;
        // Wall time is read once: what comes after is counted from there by a clock that never goes back.
        let (began, began_micros) = (Instant::now(), SystemClock.now_micros());
        let (mut sent, mut probes, mut late) = (0i64, 0i64, Duration::ZERO);
        let whole = Duration::from_secs_f64(self.seconds);
        loop {
            let now = began.elapsed().min(whole);
            let due = if self.rate > 0.0 { (now.as_secs_f64() * self.rate) as i64 } else { sent + 2_000 };
            let mut batch: Vec<Vec<NewRecord>> = vec![Vec::new(); usize::try_from(partitions)?];
            let mut put = |user: Option<i64>, at: Duration, number: i64, rest: &[u8]| -> anyhow::Result<()> {
                let at = began_micros + i64::try_from(at.as_micros())?;
                let mut payload = format!("{{\"event_no\":{},\"ts\":{at},\"seen\":{at},", FIRST + number).into_bytes();
                payload.extend_from_slice(rest);
                batch[usize::try_from(events::partition_of(user, partitions))?]
                    .push(NewRecord { payload: payload.into(), ..NewRecord::default() });
                Ok(())
            };
            while sent < due {
                let body = &bodies[usize::try_from(sent)? % bodies.len()];
                let at = if self.rate > 0.0 { Duration::from_secs_f64(sent as f64 / self.rate) } else { now };
                put(body.user, at, sent + probes, &body.rest)?;
                sent += 1;
            }
            while WARM + PROBE * u32::try_from(probes)? < now {
                let (at, user) = (WARM + PROBE * u32::try_from(probes)?, probed(probes));
                let rest = format!("\"user_id\":{user},\"kind\":\"buy\",\"surface\":\"item\",\"device\":\"web\",\"session\":\"probe\"}}");
                put(Some(user), at, sent + probes, rest.as_bytes())?;
                probes += 1;
            }
            for (partition, records) in (0..).zip(batch).filter(|(_, records)| !records.is_empty()) {
                let permit = Arc::clone(&writes).acquire_owned().await?;
                let (log, topic) = (Arc::clone(&log), self.topic.clone());
                under_way.spawn(async move {
                    let written = log.append(&topic, partition, records).await;
                    drop(permit);
                    written.map(drop)
                });
            }
            while let Some(written) = under_way.try_join_next() {
                written??;
            }
            late = began.elapsed().saturating_sub(now).max(late);
            if now == whole {
                break;
            }
            if self.rate > 0.0 {
                tokio::time::sleep_until(began + now + LINGER).await;
            }
        }
        while let Some(written) = under_way.join_next().await {
            written??;
        }
        let mut result = meter.stop()?;
        result["events"] = (sent + probes).into();
        result["probes"] = probes.into();
        result["late_ms"] = (late.as_secs_f64() * 1e3).into();
        Ok(result)
    }
}

fn bodies(data: &Path) -> anyhow::Result<Vec<Body>> {
    let events = events::first(data, BODIES)?;
    let rest: Vec<usize> =
        (0..events.num_columns()).filter(|c| !["event_no", "ts", "seen"].contains(&events.schema().field(*c).name().as_str())).collect();
    let lines = Lines::of(events.project(&rest)?)?;
    let body = |(row, json): (usize, &Vec<u8>)| Body { user: lines.user(row), rest: json[1..].to_vec() };
    Ok(lines.json.iter().enumerate().map(body).collect())
}

/// The producer as a process of its own.
pub struct Produce(Child);

impl Produce {
    pub fn start(deployment: &Deployment, (rate, seconds): (f64, f64)) -> anyhow::Result<Self> {
        let Deployment { bootstrap, data, topic, .. } = deployment;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["produce", "--bootstrap", bootstrap, "--topic", topic, "--data"]).arg(data);
        command.args(["--rate", &rate.to_string(), "--seconds", &seconds.to_string()]);
        Ok(Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?))
    }

    pub async fn finished(self) -> anyhow::Result<Value> {
        finished(self.0, "the producer").await
    }
}

/// Waits for a command of this binary: what it measured is the last line that it prints.
pub async fn finished(child: Child, who: &str) -> anyhow::Result<Value> {
    let done = child.wait_with_output().await?;
    ensure!(done.status.success(), "{who} ended with {}", done.status);
    let line = std::str::from_utf8(&done.stdout)?.trim().lines().last().with_context(|| format!("{who} printed nothing"))?;
    serde_json::from_str(line).with_context(|| format!("{who} printed no result"))
}
