//! What a backfill of a signal revision needs of the outside world, and how its base is made known.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tress_configs::SignalPlan;
use tress_configs::plan::BatchPlan;

use crate::archive::{Archive, RawTable};
use crate::backfill::{ArchivedTopic, Backfill, Cut, ExternalFiles, RawLog, Tables};
use crate::base::{self, Demands, Manifest, Mark};
use crate::changelog::{BASE_PARTITION, Base};
use crate::error::{Error, Result};
use crate::history::History;
use crate::lake::Lake;
use crate::platform::Platform;
use crate::prepare::{self, Revision};
use crate::vacuum::{self, Spared, Vacuumed};

/// What is in the topic and not in the archive yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fresh {
    /// Archived first: history is to have what is there now.
    Archive,
    /// Left to whoever archives: history is to have what the archive has.
    Leave,
}

/// A backfill of `history`'s signal, `parallelism` tasks at a time.
///
/// # Errors
/// `NotFound` when the platform has not a connection that the plan names; when the log does not answer.
pub async fn backfill(
    platform: &Platform,
    history: History,
    (fresh, parallelism): (Fresh, usize),
    shutdown: CancellationToken,
) -> Result<Backfill> {
    let plan = Arc::clone(history.plan());
    let raw = raw_log(platform, (history.uid(), &plan), fresh).await?;
    Ok(Backfill {
        history,
        raw,
        tables: Tables { lakes: tables(platform, &plan)?, plan },
        clock: Arc::clone(platform.clock()),
        parallelism,
        shutdown,
    })
}

/// The raw events of a signal revision at rest.
///
/// # Errors
/// `Invalid` when the topic is another one than the revision was prepared with; when the log or the lake does not answer.
pub async fn raw_log(platform: &Platform, (uid, plan): (&str, &Arc<SignalPlan>), fresh: Fresh) -> Result<Arc<dyn RawLog>> {
    match &plan.source.batch {
        BatchPlan::Archive => {
            let (connection, topic) = (&plan.source.stream.connection, &plan.source.stream.topic);
            let log = platform.log(connection)?;
            let id = log.id(topic).await?;
            // Before the first seal nothing in history tells a topic that was made anew from the first.
            if prepare::read(platform, uid).await?.is_some_and(|revision| revision.topic_id != id.topic) {
                return Err(Error::invalid(format!(
                    "backfill {uid}: topic {topic} was deleted and made again since this revision was prepared; prepare a new revision"
                )));
            }
            let archive = Archive::open((log, Arc::clone(platform.clock())), platform.lake().clone(), connection, topic).await?;
            if fresh == Fresh::Archive {
                archive.archive_now().await?;
            }
            let decoder = prepare::decoder_of(platform, plan, uid).await?;
            Ok(Arc::new(ArchivedTopic::new(archive.table().clone(), id, Arc::clone(plan), decoder)))
        }
        BatchPlan::External(log) => Ok(Arc::new(ExternalFiles::new(platform.tables(&log.connection)?, plan, log)?)),
    }
}

fn tables(platform: &Platform, plan: &SignalPlan) -> Result<BTreeMap<String, Lake>> {
    plan.enrichments.iter().map(|e| Ok((e.lookup.connection.clone(), platform.tables(&e.lookup.connection)?))).collect()
}

/// Brings base up to history and demands, and announces it; `None` = there is no history yet. To repeat it announces it again.
///
/// # Errors
/// As [`base::update`]; when the log of changelogs does not answer.
pub async fn make_base(platform: &Platform, history: &History, demands: &Demands) -> Result<Option<Manifest>> {
    let mark = mark(platform, history).await?;
    let manifest = base::update_marked(history, demands, mark.as_ref()).await?;
    if let Some(manifest) = &manifest {
        let record = Base::new(manifest.number).record();
        let topics = prepare::topics(platform, history.uid()).await?;
        platform.own_log().append(&topics.changelog, BASE_PARTITION, vec![record]).await?;
    }
    Ok(manifest)
}

/// Changelog and source as they are now; `None` where rows have no place in a topic that is archived.
async fn mark(platform: &Platform, history: &History) -> Result<Option<Mark>> {
    let source = &history.plan().source;
    if source.batch != BatchPlan::Archive {
        return Ok(None);
    }
    let (topics, raw) = (prepare::topics(platform, history.uid()).await?, platform.log(&source.stream.connection)?);
    // In this order: what is in the changelog by now came of raw events that are there by then.
    let published = platform.own_log().ends(&topics.changelog).await?;
    let id = raw.id(&source.stream.topic).await?;
    let ends = (0..).zip(raw.ends(&source.stream.topic).await?).map(|(partition, ends)| (partition, ends.end));
    // A partition that never held anything is in no cut.
    let ends = ends.filter(|(_, end)| *end > 0).collect();
    let raw = Cut::Offsets { cluster: id.cluster, topic: id.topic, ends };
    Ok(Some(Mark { changelog: published.iter().map(|ends| ends.end).collect(), raw }))
}

/// Deletes what nothing refers to any more of a revision: of its history and base, and of its topic's raw table where that is ours.
///
/// # Errors
/// As [`vacuum::signal`] and [`vacuum::raw`]: what is left is deleted next time.
pub async fn clean(platform: &Platform, history: &History, revision: &Revision, spared: Spared) -> Result<Vacuumed> {
    let mut done = vacuum::signal(history, spared).await?;
    let source = &history.plan().source;
    if source.batch == BatchPlan::Archive {
        let table = RawTable::new(platform.lake().clone(), &source.stream.connection, &revision.topic, &revision.topic_id);
        done.add(vacuum::raw(&table).await?);
    }
    Ok(done)
}
