//! What a process used: CPU seconds, wall seconds, memory.

use std::time::Instant;

use anyhow::Context;
use serde_json::{Value, json};

/// Kernel ticks of `/proc/<pid>/stat`: fixed at 100 a second for programs on every Linux that Rust supports.
const TICKS: f64 = 100.0;

/// Started at the beginning of the timed part.
pub struct Meter {
    at: Instant,
    threads: f64,
    ticks: f64,
}

impl Meter {
    pub fn start() -> anyhow::Result<Self> {
        let own = std::process::id();
        Ok(Self { ticks: process_seconds(own)?, threads: thread_seconds(own)?, at: Instant::now() })
    }

    /// `{"wall", "cpu"}` since the start, in seconds.
    pub fn stop(self) -> anyhow::Result<Value> {
        let wall = self.at.elapsed().as_secs_f64();
        let own = std::process::id();
        let threads = thread_seconds(own)? - self.threads;
        let ticks = process_seconds(own)? - self.ticks;
        // Threads are counted in nanoseconds, but only those that live; ticks are coarse and complete.
        let cpu = if ticks > threads + 0.05 { ticks } else { threads };
        Ok(json!({"wall": wall, "cpu": cpu}))
    }
}

/// CPU seconds of all threads of a process, ended ones included; a multiple of 10 ms.
pub fn process_seconds(pid: u32) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("read the CPU time of a process: Linux is needed")?;
    seconds_of_stat(&text)
}

/// CPU seconds that a `stat` file of a process or of a thread tells.
pub fn seconds_of_stat(text: &str) -> anyhow::Result<f64> {
    // The name may hold spaces; what follows its closing bracket does not.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).context("read the CPU time of a process");
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}

/// CPU seconds of the threads that live, from the scheduler's nanoseconds.
pub fn thread_seconds(pid: u32) -> anyhow::Result<f64> {
    let mut nanos = 0.0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = task?.path().join("schedstat");
        // A thread may end between the listing and the look.
        if let Ok(text) = std::fs::read_to_string(path) {
            nanos += text.split_whitespace().next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
        }
    }
    Ok(nanos / 1e9)
}

/// Proportional set size of this process, bytes.
pub fn pss() -> anyhow::Result<u64> {
    Ok(kilobytes(std::process::id(), "smaps_rollup", "Pss:")? * 1024)
}

/// The most that this process ever had resident, bytes.
pub fn peak_resident() -> anyhow::Result<u64> {
    Ok(kilobytes(std::process::id(), "status", "VmHWM:")? * 1024)
}

/// What a file of `/proc` says of a process's memory.
pub fn kilobytes(pid: u32, file: &str, name: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).context("read memory: Linux is needed")?;
    let line = text.lines().find(|l| l.starts_with(name)).with_context(|| format!("read memory: no {name}"))?;
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).context("read memory: no number")
}

/// Percentiles of durations in nanoseconds, in microseconds. Sorts.
pub fn percentiles(nanos: &mut [u64]) -> Value {
    nanos.sort_unstable();
    let at = |share: f64| nanos.get(((nanos.len() as f64 - 1.0) * share).round() as usize).map(|n| *n as f64 / 1000.0);
    json!({"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999), "max": at(1.0)})
}
