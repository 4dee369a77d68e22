//! kill -9 in the middle of the work, and a restart with nothing lost and nothing twice.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde_json::Value;
use tokio::runtime::Runtime;
use tress_engine::clock::Stopwatch;

use super::data::{self, Data};
use super::proof;
use super::reads::{self, Sequences};
use super::stage::Stage;
use crate::render::rows::grouped;
use crate::session::address::Address;
use crate::session::operation::Operation;
use crate::session::{self, any_port, remote};

/// When the process is killed: at these shares of the input, in percent.
const KILLS: [usize; 3] = [10, 40, 70];
/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(5);

/// Kills `tress dev` while it takes its input, three times, and lets the fourth finish.
///
/// # Errors
/// When it does not start or does not end.
pub fn step(stage: &mut Stage, data: &Data, streamed: &Sequences, runtime: &Runtime) -> anyhow::Result<()> {
    stage.step("kill -9 of `tress dev` while it takes its input, and a restart")?;
    let dir = data.work.join("crash");
    data::definitions(&dir)?;
    fs::create_dir_all(dir.join("movies"))?;
    fs::copy(data.dir.join("movies/part-0.parquet"), dir.join("movies/part-0.parquet")).context("copy the table of movies")?;
    let total = data.ratings.len();
    let mut in_the_middle = 0;
    for percent in KILLS {
        let mut child = start(&dir, data, &[])?;
        let killed = appended_at_least(&dir, total * percent / 100, &mut child);
        child.kill().context("kill tress dev")?;
        child.wait().context("wait for tress dev")?;
        let records = killed?;
        in_the_middle += usize::from(records < total);
        stage.say(&format!("killed when {} of {} records were in", grouped(records as u64), grouped(total as u64)))?;
    }
    let mut last = start(&dir, data, &["--once"])?;
    let ended = last.wait().context("wait for tress dev")?;
    if !ended.success() {
        bail!("tress dev did not end well: see {}", dir.join("dev.log").display());
    }
    let (records, found) = runtime.block_on(async {
        let node = session::open(&dir, any_port()).await?;
        let read = async {
            node.settle().await?;
            let ends = node.platform().own_log().ends("ratings").await?;
            let found = reads::of_node(&node, data.users.iter().copied(), data.as_of).await?;
            anyhow::Ok((ends.iter().map(|e| e.end - e.start).sum::<i64>(), found))
        };
        let read = read.await;
        node.shutdown().await?;
        read
    })?;
    stage.claim(in_the_middle > 0, &format!("{in_the_middle} of {} kills came in the middle of the input", KILLS.len()))?;
    stage.claim(
        usize::try_from(records) == Ok(total),
        &format!("{} records are in the topic: none lost, none twice", grouped(records.unsigned_abs())),
    )?;
    let agreement = proof::compare(streamed, &found);
    stage.claim(agreement.holds(), &format!("sequences after three kills = sequences of the undisturbed run: {agreement} identical"))
}

fn start(dir: &Path, data: &Data, more: &[&str]) -> anyhow::Result<Child> {
    let log = dir.join("dev.log");
    let out = File::options().create(true).append(true).open(&log).with_context(|| format!("write {}", log.display()))?;
    Command::new(std::env::current_exe()?)
        .arg("dev")
        .arg(dir)
        .arg("--input")
        .arg(format!("ratings={}", data.events.display()))
        .args(["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"])
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(out)
        .spawn()
        .context("start tress dev")
}

/// Waits until so many records are in the topic; how many there are then.
fn appended_at_least(dir: &Path, records: usize, child: &mut Child) -> anyhow::Result<usize> {
    let began = Stopwatch::start();
    while began.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            bail!("tress dev ended by itself ({status}): see {}", dir.join("dev.log").display());
        }
        if let Some(address) = Address::of(dir)?
            && address.pid == child.id()
            && let Ok(status) = remote::perform(&address, &Operation::Status, &|_| {})
        {
            let now = status["signals"].as_array().into_iter().flatten().filter_map(|s| s["records"].as_u64()).max().unwrap_or(0);
            let now = usize::try_from(now)?;
            if now >= records {
                return Ok(now);
            }
        }
        std::thread::sleep(LOOK);
    }
    Err(anyhow!("tress dev did not take {records} records within {} s: see {}", PATIENCE.as_secs(), dir.join("dev.log").display()))
}

/// Waits until a `tress dev` serves in a folder.
///
/// # Errors
/// When none does in time.
pub fn wait_until_up(dir: &Path) -> anyhow::Result<Address> {
    let began = Stopwatch::start();
    while began.elapsed() < PATIENCE {
        if let Some(address) = Address::of(dir)?
            && remote::perform(&address, &Operation::Status, &|_| {})
                .is_ok_and(|s: Value| s["features"].as_array().is_some_and(|f| !f.is_empty()))
        {
            return Ok(address);
        }
        std::thread::sleep(LOOK);
    }
    Err(anyhow!("tress dev does not serve in {} after {} s", dir.display(), PATIENCE.as_secs()))
}
