//! `prepare`: everything about a revision that needs I/O, checked before anything of it runs, and recorded once.

mod identity;
mod own_topics;
mod revision;
mod schema;
mod sequence;

use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tress_configs::plan::{BatchPlan, StreamPlan};
use tress_configs::{Plan, SignalPlan};

pub use identity::check as check_identity;
pub use own_topics::{OwnTopics, topics};
pub use revision::{Position as StartPosition, Revision, VERSION};
pub use schema::{decoder, decoder_of};
pub use sequence::{FeatureRevision, PinnedSignal, feature_revision, read_feature};

use crate::archive::RawTable;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::layout;
use crate::log::{Log, Position};
use crate::lookup::Lookup;
use crate::lookup::TableLookup;
use crate::pipeline::Pipeline;
use crate::platform::Platform;
use crate::registry::ReaderSchema;

/// Partitions of a topic that is made here because nobody made it.
const NEW_TOPIC_PARTITIONS: i32 = 4;

/// Prepares a signal revision: all that is missing is said at once; what is there is recorded, put if absent.
///
/// # Errors
/// `Invalid` with every contradiction and everything that is missing, or when a connection leads elsewhere by now; `Unavailable` when a connection does not answer.
pub async fn signal(platform: &Platform, plan: &Arc<SignalPlan>, uid: &str) -> Result<Revision> {
    let whole = Plan::Signal(SignalPlan::clone(plan));
    if let Some(revision) = read(platform, uid).await? {
        identity::check(platform, plan, &revision).await?;
        put_plan(platform, &whole).await?;
        return Ok(revision);
    }
    let reader = check(platform, plan).await?;
    let log = platform.log(&plan.source.stream.connection)?;
    let topic = &plan.source.stream.topic;
    let id = match log.id(topic).await {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            log.create(topic, NEW_TOPIC_PARTITIONS).await?;
            log.id(topic).await?
        }
        other => other?,
    };
    let start = start(platform, plan, &log).await?;
    let topics = own_topics::make(platform, plan, uid).await?;
    put_plan(platform, &whole).await?;
    let revision = Revision {
        version: VERSION,
        uid: uid.to_owned(),
        digest: whole.digest(),
        cluster: id.cluster,
        topic: topic.clone(),
        topic_id: id.topic,
        stores: identity::stores(platform, plan)?,
        reader,
        topics: Some(topics),
        start: start.into_iter().map(|p| StartPosition { partition: p.partition, offset: p.offset }).collect(),
    };
    let json = serde_json::to_string_pretty(&revision).map_err(|e| Error::internal("write revision").with_source(e))?;
    put(platform, &layout::revision(uid), json).await?;
    // Whoever was first has recorded what counts.
    read(platform, uid).await?.ok_or_else(|| Error::internal("prepare: the revision that was just written is not there"))
}

/// The lookups of a plan, loaded at their newest version.
///
/// # Errors
/// `Invalid` when a table has not the columns that the plan states; `NotFound` when there is none.
pub async fn lookups(platform: &Platform, plan: &SignalPlan) -> Result<Vec<Arc<dyn Lookup>>> {
    let mut lookups: Vec<Arc<dyn Lookup>> = Vec::with_capacity(plan.enrichments.len());
    for enrichment in &plan.enrichments {
        let store = Arc::clone(platform.tables(&enrichment.lookup.connection)?.store());
        lookups.push(Arc::new(TableLookup::load(store, enrichment, None).await?));
    }
    Ok(lookups)
}

/// What was recorded of a revision; `None` = it was not prepared.
///
/// # Errors
/// `Corrupt` when the record is damaged or of a newer program.
pub async fn read(platform: &Platform, uid: &str) -> Result<Option<Revision>> {
    let path = layout::revision(uid);
    let found = match platform.lake().store().get(&path).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(e) => return Err(e).context(|| format!("read {path}")),
    };
    let bytes = found.bytes().await.context(|| format!("read {path}"))?;
    let revision: Revision = serde_json::from_slice(&bytes)
        .map_err(|e| Error::corrupt(format!("read {path}: not a revision; restore it from a copy")).with_source(e))?;
    if revision.version > VERSION {
        return Err(Error::invalid(format!("read {path}: format {} is not known here; use a newer program", revision.version)));
    }
    Ok(Some(revision))
}

/// A plan from the lake.
///
/// # Errors
/// `NotFound` when no revision of that digest was prepared; `Corrupt` when the file is not that plan.
pub async fn plan(platform: &Platform, digest: &str) -> Result<Plan> {
    let path = layout::plan(digest);
    let bytes =
        platform.lake().store().get(&path).await.context(|| format!("read {path}"))?.bytes().await.context(|| format!("read {path}"))?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|e| Error::corrupt(format!("read {path}: not a plan; apply its definition again")).with_source(e))?;
    let plan = Plan::from_json(text).map_err(|e| Error::invalid(format!("read {path}: {e}; apply its definition again")))?;
    if plan.digest() != digest {
        return Err(Error::corrupt(format!("read {path}: its contents have another digest; apply its definition again")));
    }
    Ok(plan)
}

/// Records a feature's plan.
///
/// # Errors
/// When the lake does not answer.
pub async fn feature(platform: &Platform, plan: &tress_configs::FeaturePlan) -> Result<String> {
    let whole = Plan::Feature(plan.clone());
    put_plan(platform, &whole).await
}

/// Everything that the plan needs of the outside world; all that is wrong at once, `NotFound` if all of it may come. Returns the schema that
/// its records are read as.
async fn check(platform: &Platform, plan: &Arc<SignalPlan>) -> Result<Option<ReaderSchema>> {
    let (mut wrong, mut may_come) = (Vec::new(), true);
    let comes = |e: &Error| e.kind() == ErrorKind::NotFound || e.kind().may_work_later();
    let mut connections = identity::of_stores(plan);
    connections.insert(&plan.source.stream.connection);
    for connection in connections {
        if !platform.admits(connection, &plan.name.namespace) {
            wrong.push(format!(
                "ConnectionNotAllowed: connection {connection} does not admit namespace {}; its owners can add it to the connection's \
                 namespaces",
                plan.name.namespace
            ));
        }
    }
    if !wrong.is_empty() {
        // Before anything is asked by way of such a connection.
        return Err(Error::invalid(format!("prepare {}: {}", plan.name, wrong.join("; "))));
    }
    let StreamPlan { connection, topic, format: _ } = &plan.source.stream;
    match platform.log(connection)?.id(topic).await {
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::NotFound && platform.makes_raw_topics() => {}
        Err(e) if e.kind() == ErrorKind::NotFound => {
            wrong.push(format!("source.stream.topic: connection {connection} has no topic {topic}; make it, or name another"));
        }
        Err(e) => return Err(e.while_doing(format!("prepare {}", plan.name))),
    }
    let reader = match schema::fix(platform, plan).await {
        Ok(reader) => reader,
        // Whether it is wrong cannot be known now.
        Err(e) if e.kind() == ErrorKind::Unavailable => return Err(e.while_doing(format!("prepare {}", plan.name))),
        Err(e) => {
            may_come &= comes(&e);
            wrong.push(e.to_string());
            None
        }
    };
    for enrichment in &plan.enrichments {
        let store = Arc::clone(platform.tables(&enrichment.lookup.connection)?.store());
        if let Err(e) = TableLookup::load(store, enrichment, None).await {
            may_come &= comes(&e);
            wrong.push(format!("enrichment {}: {e}", enrichment.name));
        }
    }
    if wrong.is_empty()
        && let Err(e) = Pipeline::new(Arc::clone(plan), lookups(platform, plan).await?)
    {
        may_come = false;
        wrong.push(e.to_string());
    }
    if wrong.is_empty() {
        return Ok(reader);
    }
    // What is missing or not let through may come; what contradicts the plan will not fit it later.
    let kind = if may_come { ErrorKind::NotFound } else { ErrorKind::Invalid };
    Err(Error::new(kind, format!("prepare {}: {}", plan.name, wrong.join("; "))))
}

/// The end of the archive if there is one, else the earliest offset.
async fn start(platform: &Platform, plan: &SignalPlan, log: &Arc<dyn Log>) -> Result<Vec<Position>> {
    let topic = &plan.source.stream.topic;
    let earliest: Vec<Position> =
        (0..).zip(log.ends(topic).await?).map(|(partition, ends)| Position { partition, offset: ends.start }).collect();
    if plan.source.batch != BatchPlan::Archive {
        return Ok(earliest);
    }
    let connection = &plan.source.stream.connection;
    let raw = RawTable::new(platform.lake().clone(), connection, topic, &log.id(topic).await?.topic);
    let Some(snapshot) = raw.snapshot(None).await? else { return Ok(earliest) };
    let archived = |partition: i32| snapshot.cut.iter().find(|p| p.partition == partition).map_or(0, |p| p.offset);
    Ok(earliest.into_iter().map(|p| Position { offset: p.offset.max(archived(p.partition)), ..p }).collect())
}

/// Puts a plan under its digest. What is there is the same, or was damaged and is whole now.
async fn put_plan(platform: &Platform, plan: &Plan) -> Result<String> {
    let digest = plan.digest();
    let path = layout::plan(&digest);
    platform.lake().store().put(&path, PutPayload::from(plan.canonical_json())).await.context(|| format!("write {path}"))?;
    Ok(digest)
}

/// Puts a file unless it is there; what is there stays.
async fn put(platform: &Platform, path: &Path, text: String) -> Result<()> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match platform.lake().store().put_opts(path, PutPayload::from(text), options).await {
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Err(e) => Err(e).context(|| format!("write {path}")),
    }
}
