//! Writes rows and dead letters, then says how far the stream is: raw offsets are committed after what they led to.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::process::Unit;
use crate::changelog::{Gathered, Heartbeat, Published};
use crate::clock::Stopwatch;
use crate::dead_letters;
use crate::error::{Error, ErrorKind, Result};
use crate::faults::{self, Point};
use crate::layout;
use crate::log::NewRecord;

/// How often the last commit is tried while the group is sharing out partitions anew.
const LAST_COMMITS: usize = 20;
const BETWEEN_COMMITS: Duration = Duration::from_millis(100);

/// What became of a commit.
#[derive(Debug, PartialEq, Eq)]
enum Commit {
    Done,
    /// Some of it belongs to others by now, or the group is sharing out partitions: what is still ours then is committed later.
    Later,
}

/// Writes until no more units come, then commits; no longer than until `end`.
pub async fn run(shared: Arc<Shared>, units: mpsc::Receiver<Unit>, end: CancellationToken) -> Result<()> {
    let within = shared.settings.drain;
    let told = format!("stop the stream: what was processed was not written within {within:?}; the next run reads it again");
    match end.run_until_cancelled(write_all(&shared, units, &end)).await {
        Some(Err(e)) if end.is_cancelled() => Err(e.while_doing(told)),
        Some(done) => done,
        None => Err(Error::new(ErrorKind::Unavailable, told)),
    }
}

async fn write_all(shared: &Shared, mut units: mpsc::Receiver<Unit>, end: &CancellationToken) -> Result<()> {
    let written = CancellationToken::new();
    let writing = async {
        while let Some(unit) = units.recv().await {
            write(shared, unit, end).await?;
        }
        written.cancel();
        Ok(())
    };
    tokio::try_join!(writing, tell(shared, &written, end))?;
    for _ in 0..LAST_COMMITS {
        if commit(shared, end).await? == Commit::Done {
            break;
        }
        tokio::time::sleep(BETWEEN_COMMITS).await;
    }
    Ok(())
}

/// Commits and tells readers how far the stream is, until all is `written`. Beside the writing: both only speak of what is acknowledged,
/// and rows need not wait for them.
async fn tell(shared: &Shared, written: &CancellationToken, end: &CancellationToken) -> Result<()> {
    let mut beat = tokio::time::interval(shared.settings.heartbeat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = None;
    while written.run_until_cancelled(beat.tick()).await.is_some() {
        shared.status.publish(shared.progress.published());
        commit(shared, end).await?;
        heartbeat(shared, &mut said, end).await?;
    }
    Ok(())
}

async fn write(shared: &Shared, unit: Unit, stop: &CancellationToken) -> Result<()> {
    let Unit { rows, dead, covered, permits } = unit;
    let changelog = &shared.target.changelog;
    try_join_all(rows.into_iter().map(|Gathered { partition, records }| append(shared, changelog, (partition, records), stop))).await?;
    if !dead.is_empty() {
        append(shared, &shared.target.dead_letters, (dead_letters::PARTITION, dead), stop).await?;
    }
    if !covered.is_empty() {
        shared.progress.publish(&covered);
        shared.status.publish(shared.progress.published());
    }
    drop(permits);
    Ok(())
}

async fn append(shared: &Shared, topic: &str, (partition, records): (i32, Vec<NewRecord>), stop: &CancellationToken) -> Result<()> {
    let who = format!("append to {topic}/{partition}");
    let once = || async {
        faults::point(Point::ChangelogAppend)?;
        shared.own.append(topic, partition, records.clone()).await
    };
    shared.status.until_it_works(&who, stop, once).await.map(drop)
}

async fn commit(shared: &Shared, stop: &CancellationToken) -> Result<Commit> {
    let group = layout::stream_group(&shared.uid);
    let once = || async {
        // Looked at anew at each try: a partition may have gone to another member meanwhile.
        let positions = shared.progress.uncommitted();
        if positions.is_empty() {
            return Ok(());
        }
        faults::point(Point::StreamCommit)?;
        shared.raw.commit(&group, &shared.source.topic, &positions).await?;
        shared.progress.committed(&positions);
        Ok(())
    };
    match shared.status.until_it_works("commit", stop, once).await {
        Ok(()) => Ok(Commit::Done),
        Err(e) if e.kind() == ErrorKind::Conflict => {
            tracing::debug!(uid = shared.uid, error = %e, "committed later, or by whoever reads the partition now");
            Ok(Commit::Later)
        }
        Err(e) => Err(e),
    }
}

/// A heartbeat that was written.
struct Said {
    at: Stopwatch,
    positions: Vec<Published>,
}

impl Said {
    /// Whether more was published since, or a partition was found.
    fn is_behind(&self, now: &[Published]) -> bool {
        let same = |(was, is): (&Published, &Published)| (was.partition, was.offset) == (is.partition, is.offset);
        self.positions.len() != now.len() || !self.positions.iter().zip(now).all(same)
    }
}

/// To every partition of the changelog: each has its own readers. What was published is told soon; that nothing was, now and then: each
/// heartbeat is an append of its own to all of them.
async fn heartbeat(shared: &Shared, said: &mut Option<Said>, stop: &CancellationToken) -> Result<()> {
    let positions = shared.progress.published();
    let due = said.as_ref().is_none_or(|said| said.is_behind(&positions) || said.at.elapsed() >= shared.settings.quiet);
    if positions.is_empty() || !due {
        return Ok(());
    }
    let record = Heartbeat::new(positions.clone()).of(shared.progress.known_partitions()).record();
    let changelog = &shared.target.changelog;
    let partitions = 0..i32::try_from(shared.shards).unwrap_or(i32::MAX);
    try_join_all(partitions.map(|partition| append(shared, changelog, (partition, vec![record.clone()]), stop))).await?;
    *said = Some(Said { at: Stopwatch::start(), positions });
    Ok(())
}
