//! A revision of a feature: recorded in the lake when an attempt brings it, kept as long as it is needed.
//!
//! ```text
//! plan map ─▶ prepare job ─▶ report ─▶ status.prepared        needs ─▶ use: Running, Kept, Gone        pods ─▶ pinnedUntil
//! ```

mod decide;

use jiff::Timestamp;
use kube::ResourceExt;
use tress_crds::rollout::Phase;
use tress_crds::{SequenceRevision, SequenceRollout};

use self::decide::{Decision, Observed, What, decide};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::jobs;
use crate::label;
use crate::name::{self, Job};
use crate::pool::told::Heard;
use crate::pool::{self, digest, features_of, hear, of_routes};
use crate::queue::{Key, Next, Triggers};
use crate::signal_revision::place;
use crate::workload::{Owner, Revision, plan_of, prepare};

/// What wakes a revision: itself, its job and its pods, attempts and features that name it, its signals, the route.
#[must_use]
pub fn triggers() -> Triggers {
    Triggers::each::<SequenceRevision>(|cluster| &cluster.sequence_revisions)
        .made(|cluster| &cluster.jobs)
        .made(|cluster| &cluster.pods)
        .when(|cluster| &cluster.rollouts, |_, rollout| named(rollout))
        .when(|cluster| &cluster.features, |context, feature| of_feature(context, &Key::of(feature)))
        .when(
            |cluster| &cluster.signal_revisions,
            |context, revision| {
                let key = Key::of(revision);
                let reads = |read: &&std::sync::Arc<SequenceRevision>| {
                    read.spec.signals.iter().any(|pin| pin.namespace == key.namespace && pin.revision == key.name)
                };
                context.cluster.sequence_revisions.list().iter().filter(reads).map(|revision| Key::of(&**revision)).collect()
            },
        )
        .when(
            |cluster| &cluster.maps,
            |context, map| {
                let key = Key::of(map);
                let pool =
                    of_routes(&key.name).filter(|_| map.labels().get(label::ROLE).map(String::as_str) == Some(label::Role::Serve.as_str()));
                pool.map(|pool| of_pool(context, &key.namespace, pool)).unwrap_or_default()
            },
        )
        .when_said(of_pool)
}

/// Looks at one revision.
///
/// # Errors
/// When a read or a write fails.
pub async fn reconcile(context: &Context, key: &Key) -> Result<Next> {
    let now = context.clock.now();
    let found = context.cluster.sequence_revisions.get(&key.namespace, &key.name);
    let Some(revision) = found.filter(|revision| revision.metadata.deletion_timestamp.is_none()) else { return Ok(Next::Rest) };
    let look = context.needs.look(&context.cluster, now);
    let uid = revision.uid().unwrap_or_default();
    let seen = Observed {
        needed: look.needed.of(&uid),
        wanted: wanted(context, &revision),
        unprepared: unprepared(context, &revision),
        job: jobs::observe(&context.cluster, (&key.namespace, &name::job(&key.name, Job::Prepare)), &uid),
        asked: asked(context, &revision),
        revision,
    };
    let Decision { what, status, again } = decide(&seen, now);
    match what {
        What::Nothing => {}
        What::Prepare => work(context, &seen).await?,
        What::Delete => {
            tracing::info!(revision = %key, "nothing needs the revision any more");
            return context.writer.delete(&*seen.revision).await.map(|()| Next::Rest);
        }
    }
    context.writer.status(&*seen.revision, &status).await?;
    let before = seen.revision.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    context.events.transition(&*seen.revision, &before, &status.conditions);
    Ok([again, look.again].into_iter().flatten().min().map_or(Next::Rest, Next::At))
}

/// The plan's map, then the job that reads it.
async fn work(context: &Context, seen: &Observed) -> Result<()> {
    let (namespace, name) = (seen.revision.namespace().unwrap_or_default(), seen.revision.name_any());
    let place = place(&context.platform.now(), &namespace);
    let owner = Owner { kind: "SequenceRevision", name: name.clone(), uid: seen.revision.uid().unwrap_or_default() };
    let signals = seen.revision.spec.signals.iter().map(|pin| pin.uid.clone()).collect();
    let mut revision = Revision { owner, plan: String::new(), signals };
    if context.cluster.maps.get(&namespace, &name).is_none() {
        let whole = context.writer.fresh::<SequenceRevision>(&namespace, &name).await?.filter(|whole| whole.uid() == seen.revision.uid());
        revision.plan = whole.ok_or(Error::Conflict)?.spec.compiled.plan;
        context.writer.ensure(plan_of(&place, &revision), &seen.revision.spec.compiled.digest).await?;
    }
    let inputs = digest(&serde_json::json!({"digest": seen.revision.spec.compiled.digest}));
    jobs::make(context, prepare(&place, &revision), &seen.job, &inputs).await
}

/// Since when an attempt brings it that is past Pending and has not ended.
fn wanted(context: &Context, revision: &SequenceRevision) -> Option<Timestamp> {
    let (namespace, uid) = (revision.namespace().unwrap_or_default(), revision.uid());
    let brings = |rollout: &SequenceRollout| {
        let status = rollout.status.as_ref()?;
        let is_going = status.phase.is_some_and(|phase| !phase.is_end() && phase != Phase::Pending && phase != Phase::Aborting);
        (is_going && Some(&rollout.spec.target.uid) == uid.as_ref()).then(|| rollout.metadata.creation_timestamp.as_ref().map(|at| at.0))?
    };
    let rollouts = context.cluster.rollouts.made_for(&namespace, &revision.spec.feature);
    rollouts.iter().filter_map(|rollout| brings(rollout)).max()
}

fn unprepared(context: &Context, revision: &SequenceRevision) -> Option<String> {
    let is_prepared = |pin: &tress_crds::revision::PinnedSignal| {
        let signal = context.cluster.signal_revisions.get(&pin.namespace, &pin.revision);
        signal.is_some_and(|signal| signal.uid().as_ref() == Some(&pin.uid) && signal.status.as_ref().is_some_and(|s| s.prepared.is_some()))
    };
    let missing = revision.spec.signals.iter().find(|pin| !is_prepared(pin))?;
    Some(format!("{}/{}", missing.namespace, missing.revision))
}

/// When a consumer asked a pod of any pool for it.
fn asked(context: &Context, revision: &SequenceRevision) -> Option<Timestamp> {
    let (namespace, feature) = (revision.namespace().unwrap_or_default(), revision.spec.feature.as_str());
    let (name, pinned) = (format!("{namespace}/{feature}"), pool::pinned(revision));
    let platform = context.platform.now();
    let pools = platform.pools.keys().map(|pool| hear(context, (&namespace, pool), Some(feature)));
    let now = context.clock.now();
    pools.filter_map(|pods| Heard { pods: &pods, feature: &name, now }.asked(&pinned)).max()
}

/// What an attempt brings, and what it came from.
fn named(rollout: &SequenceRollout) -> Vec<Key> {
    let namespace = rollout.namespace().unwrap_or_default();
    let revisions = rollout.spec.previous.iter().chain([&rollout.spec.target]);
    revisions.map(|revision| Key::new(namespace.as_str(), revision.revision.as_str())).collect()
}

fn of_feature(context: &Context, feature: &Key) -> Vec<Key> {
    let revisions = context.cluster.sequence_revisions.made_for(&feature.namespace, &feature.name);
    revisions.iter().map(|revision| Key::of(&**revision)).collect()
}

fn of_pool(context: &Context, namespace: &str, pool: &str) -> Vec<Key> {
    features_of(context, namespace, pool).iter().flat_map(|feature| of_feature(context, feature)).collect()
}
