//! What another process uses while it works.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::meter::{kilobytes, process_seconds, seconds_of_stat};

/// Between looks at its memory.
const LOOK: Duration = Duration::from_millis(100);

/// CPU, time and memory of a process from now on.
#[derive(Debug)]
pub struct Watch {
    pid: u32,
    began: Instant,
    cpu: f64,
    stop: CancellationToken,
    memory: JoinHandle<Memory>,
}

/// The most that was seen, bytes.
#[derive(Debug, Default, Clone, Copy)]
struct Memory {
    /// At the first look.
    first: u64,
    pss: u64,
}

impl Watch {
    pub fn start(pid: u32) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let memory = tokio::spawn(memory(pid, stop.clone()));
        Ok(Self { pid, began: Instant::now(), cpu: process_seconds(pid)?, stop, memory })
    }

    /// `{"wall", "cpu", "threads", "first_pss", "peak_pss", "peak_rss"}`: seconds since the start, by name of threads since they began; bytes.
    pub async fn stop(self) -> anyhow::Result<Value> {
        let wall = self.began.elapsed().as_secs_f64();
        let cpu = process_seconds(self.pid)? - self.cpu;
        let threads = threads(self.pid)?;
        let peak = kilobytes(self.pid, "status", "VmHWM:")? * 1024;
        self.stop.cancel();
        let Memory { first, pss } = self.memory.await?;
        Ok(json!({"wall": wall, "cpu": cpu, "threads": threads, "first_pss": first, "peak_pss": pss, "peak_rss": peak}))
    }
}

async fn memory(pid: u32, stop: CancellationToken) -> Memory {
    let mut seen = Memory::default();
    while let Ok(now) = kilobytes(pid, "smaps_rollup", "Pss:") {
        if seen.first == 0 {
            seen.first = now * 1024;
        }
        seen.pss = seen.pss.max(now * 1024);
        if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
            break;
        }
    }
    seen
}

/// CPU seconds of the threads that live, by their names without numbers.
fn threads(pid: u32) -> anyhow::Result<BTreeMap<String, f64>> {
    let mut by_name = BTreeMap::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).context("read threads: Linux is needed")? {
        // A thread may end between the listing and the look.
        let Ok(stat) = std::fs::read_to_string(task?.path().join("stat")) else { continue };
        let name = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).map_or("", |(name, _)| name);
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned();
        *by_name.entry(name).or_insert(0.0) += seconds_of_stat(&stat)?;
    }
    Ok(by_name)
}
