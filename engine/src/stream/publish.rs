//! Writes rows and dead letters, then says how far the stream is: raw offsets are committed after what they led to.

use std::sync::Arc;

use futures::future::try_join_all;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::process::Unit;
use crate::changelog::{Gathered, Heartbeat, Published};
use crate::clock::Stopwatch;
use crate::dead_letters;
use crate::error::Result;
use crate::faults::{self, Point};
use crate::layout;
use crate::log::NewRecord;

/// Writes until no more units come; then commits.
pub async fn run(shared: Arc<Shared>, mut units: mpsc::Receiver<Unit>, stop: CancellationToken) -> Result<()> {
    let mut beat = tokio::time::interval(shared.settings.heartbeat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = None;
    loop {
        tokio::select! {
            unit = units.recv() => match unit {
                Some(unit) => write(&shared, unit, &stop).await?,
                None => break,
            },
            _ = beat.tick() => {
                shared.status.publish(shared.progress.published());
                commit(&shared, &stop).await?;
                heartbeat(&shared, &mut said, &stop).await?;
            }
        }
    }
    commit(&shared, &stop).await
}

async fn write(shared: &Shared, unit: Unit, stop: &CancellationToken) -> Result<()> {
    let Unit { rows, dead, covered, permits } = unit;
    let changelog = layout::changelog(&shared.uid);
    try_join_all(rows.into_iter().map(|Gathered { partition, records }| append(shared, &changelog, (partition, records), stop))).await?;
    if !dead.is_empty() {
        append(shared, &layout::dead_letters(&shared.uid), (dead_letters::PARTITION, dead), stop).await?;
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
        shared.log.append(topic, partition, records.clone()).await
    };
    shared.status.until_it_works(&who, stop, once).await.map(drop)
}

async fn commit(shared: &Shared, stop: &CancellationToken) -> Result<()> {
    let positions = shared.progress.uncommitted();
    if positions.is_empty() {
        return Ok(());
    }
    let group = layout::stream_group(&shared.uid);
    let once = || async {
        faults::point(Point::StreamCommit)?;
        shared.log.commit(&group, &shared.source.topic, &positions).await
    };
    shared.status.until_it_works("commit", stop, once).await?;
    shared.progress.committed(&positions);
    Ok(())
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
    let record = Heartbeat::new(positions.clone()).record();
    let changelog = layout::changelog(&shared.uid);
    let partitions = 0..i32::try_from(shared.shards).unwrap_or(i32::MAX);
    try_join_all(partitions.map(|partition| append(shared, &changelog, (partition, vec![record.clone()]), stop))).await?;
    *said = Some(Said { at: Stopwatch::start(), positions });
    Ok(())
}
