//! `drop`: deletes what belongs to a signal revision. Its record goes last: what a kill leaves is found again by it.

use std::collections::BTreeSet;
use std::time::Duration;

use object_store::ObjectStoreExt;
use object_store::path::Path;
use tress_configs::job::{Facts, HistoryIs, Outcome};

use super::arguments::{Drop, DropHistory};
use super::revision::Prepared;
use super::{Ended, World};
use crate::clock::Stopwatch;
use crate::error::{ErrorKind, Result};
use crate::vacuum::{self, Vacuumed};
use crate::{layout, prepare};

/// How long a broker may take to miss a member that was killed: its session, and some more.
const MISSED: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(1);

pub async fn run(world: &World, Drop { uid, history: what }: Drop) -> Result<Ended> {
    let (platform, lake) = (&world.platform, world.platform.lake());
    if prepare::read(platform, &uid).await?.is_none() {
        return Ok(Ended { outcome: Outcome::UpToDate, facts: None });
    }
    // Whose topics and tables they are has to be sure before anything of them goes.
    let prepared = Prepared::find(platform, &uid).await?;
    let pinned = !prepared.history(platform).pinned().await?.is_empty();
    let kept = match what {
        DropHistory::Keep => HistoryIs::Kept,
        DropHistory::UnlessPinned if pinned => HistoryIs::Pinned,
        DropHistory::UnlessPinned | DropHistory::Always => HistoryIs::Dropped,
    };
    let own = platform.own_log();
    let mut topics = 0;
    let prepare::OwnTopics { changelog, dead_letters, .. } = prepared.revision.topics();
    for topic in [changelog, dead_letters] {
        match own.id(&topic).await {
            Ok(_) => {
                own.delete(&topic).await?;
                topics += 1;
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    let stays = |path: &Path| {
        kept != HistoryIs::Dropped
            && [layout::history(&uid), layout::backfills(&uid), layout::pins(&uid)].iter().any(|f| path.prefix_matches(f))
    };
    forget_group(world, &prepared).await?;
    let gone = vacuum::list(lake, &layout::signal(&uid)).await?.into_iter().filter(|file| !stays(&file.location)).collect();
    let Vacuumed { files, bytes } = vacuum::delete(lake, gone, &BTreeSet::new()).await?;
    if kept == HistoryIs::Dropped {
        lake.store().delete(&layout::revision(&uid)).await?;
    }
    Ok(Ended::with(Facts::Dropped { uid, topics, files: files as u64, bytes, history: kept }))
}

/// Deletes the consumer group of the revision's stream. It is told and left where this user may not, or the connection is gone: the
/// broker forgets it in time.
async fn forget_group(world: &World, prepared: &Prepared) -> Result<()> {
    let group = layout::stream_group(&prepared.revision.uid);
    let began = Stopwatch::start();
    loop {
        let forgotten = match world.platform.log(&prepared.plan.source.stream.connection) {
            Ok(raw) => raw.forget(&group).await,
            Err(e) => Err(e),
        };
        match forgotten {
            Ok(()) => return Ok(()),
            // A stream that was killed counts as a member until the broker misses it.
            Err(e) if e.kind() == ErrorKind::Conflict && began.elapsed() < MISSED => tokio::time::sleep(AGAIN).await,
            Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::Unavailable) => return Err(e),
            Err(e) => {
                tracing::warn!(group, error = %e, "the consumer group could not be deleted; the broker forgets it in time");
                return Ok(());
            }
        }
    }
}
