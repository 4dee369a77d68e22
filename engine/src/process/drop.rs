//! `drop`: deletes what belongs to a signal revision. Its record goes last: what a kill leaves is found again by it.

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use tress_configs::job::{Facts, HistoryIs, Outcome};

use super::arguments::{Drop, DropHistory};
use super::revision::Prepared;
use super::{Ended, World};
use crate::error::{Error, ErrorKind, Result};
use crate::lake::Lake;
use crate::{layout, prepare};

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
    let (mut files, mut bytes) = (0, 0);
    for file in list(lake, &layout::signal(&uid)).await?.into_iter().filter(|file| !stays(&file.location)) {
        match lake.store().delete(&file.location).await.map_err(Error::from) {
            Ok(()) => {
                files += 1;
                bytes += file.size;
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    if kept == HistoryIs::Dropped {
        lake.store().delete(&layout::revision(&uid)).await?;
    }
    Ok(Ended::with(Facts::Dropped { uid, topics, files, bytes, history: kept }))
}

async fn list(lake: &Lake, folder: &Path) -> Result<Vec<ObjectMeta>> {
    lake.store().list(Some(folder)).try_collect().await.map_err(Error::from)
}
