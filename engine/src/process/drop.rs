//! `drop`: deletes what belongs to a signal revision. Its record goes last: what a kill leaves is found again by it.

use std::collections::BTreeSet;

use object_store::ObjectStoreExt;
use object_store::path::Path;
use tress_configs::job::{Facts, HistoryIs, Outcome};

use super::arguments::{Drop, DropHistory};
use super::revision::Prepared;
use super::{Ended, World};
use crate::error::{ErrorKind, Result};
use crate::vacuum::{self, Vacuumed};
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
    let gone = vacuum::list(lake, &layout::signal(&uid)).await?.into_iter().filter(|file| !stays(&file.location)).collect();
    let Vacuumed { files, bytes } = vacuum::delete(lake, gone, &BTreeSet::new()).await?;
    if kept == HistoryIs::Dropped {
        lake.store().delete(&layout::revision(&uid)).await?;
    }
    Ok(Ended::with(Facts::Dropped { uid, topics, files: files as u64, bytes, history: kept }))
}
