//! Carries an attempt on: one phase at a time, each written down before anything is done for it.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::ObjectMeta;
use tress_crds::backfill::{BackfillSpec, Incremental, Mode};
use tress_crds::rollout::{Phase, RolloutStatus};
use tress_crds::{Backfill, SequenceRevision, SequenceRollout};

use super::observe::observe;
use super::seen::{Observed, Signal, facts, history, waits_for};
use super::{Decision, Effect, Progress, decide, report};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::Tone;
use crate::feature::target::FORCE;
use crate::label;
use crate::name::{self, Occasion};
use crate::pool::entry::{self, Pinned};
use crate::pool::follow::Wish;
use crate::pool::of_routes;
use crate::pool::routes::{self, Wished};
use crate::pool::told::Heard;
use crate::queue::{Key, Next, Triggers};

/// How soon an attempt is looked at again whose pods do something.
const SOON: SignedDuration = SignedDuration::from_secs(2);
/// How soon one is looked at again that waits for a window of its policy, or for the slot of somebody who is paused.
const LATER: SignedDuration = SignedDuration::from_secs(30);

/// The reason of the Event that tells of a forced attempt.
const FORCED: &str = "Forced";

/// What wakes an attempt: itself and others of its feature, its feature, revisions that it brings, backfills, streams, its pool.
#[must_use]
pub fn triggers() -> Triggers {
    Triggers::each::<SequenceRollout>(|cluster| &cluster.rollouts)
        // One that ends gives its slot to the next.
        .when(
            |cluster| &cluster.rollouts,
            |context, ended| {
                if ended.status.as_ref().is_some_and(|status| status.phase.is_some_and(frees)) { going(context, waits) } else { Vec::new() }
            },
        )
        .when(|cluster| &cluster.features, |context, feature| of_feature(context, &Key::of(feature)))
        .when(
            |cluster| &cluster.sequence_revisions,
            |context, revision| of_feature(context, &Key::new(revision.namespace().unwrap_or_default(), revision.spec.feature.as_str())),
        )
        .when(|cluster| &cluster.signal_revisions, |context, revision| reading(context, &Key::of(revision)))
        .when(|cluster| &cluster.deployments, |context, stream| reading(context, &Key::of(stream)))
        .when(
            |cluster| &cluster.backfills,
            |context, backfill| reading(context, &Key::new(backfill.namespace().unwrap_or_default(), backfill.spec.revision.as_str())),
        )
        .when(
            |cluster| &cluster.maps,
            |context, map| {
                let key = Key::of(map);
                match (of_routes(&key.name), map.labels().get(label::OF)) {
                    (Some(pool), _) => of_pool(context, &key.namespace, pool),
                    (None, Some(revision)) => reading(context, &Key::new(key.namespace, revision.as_str())),
                    (None, None) => Vec::new(),
                }
            },
        )
        .when_said(of_pool)
}

/// Looks at one attempt.
///
/// # Errors
/// When a write fails.
pub async fn reconcile(context: &Context, key: &Key) -> Result<Next> {
    let now = context.clock.now();
    let Some(seen) = observe(context, key) else { return Ok(Next::Rest) };
    if seen.target.is_none() && is_there(context, &seen).await? {
        // The caches are behind.
        return Err(Error::Conflict);
    }
    let status = seen.rollout.status.clone().unwrap_or_default();
    let is_held = seen.is_paused() && !status.phase.is_some_and(Phase::is_end);
    // Who pauses the feature pauses its attempt; an abort is heeded all the same.
    let looked_at = RolloutStatus { paused: if is_held { Some(true) } else { status.paused }, ..status.clone() };
    match decide(&seen.rollout.spec, &looked_at, &facts(&seen, now), now) {
        Decision::Rest => say(context, &seen, &status, None).await.map(|()| Next::Rest),
        Decision::Write(next) => {
            // What the feature's pause lent it is not its own; what an intent says is.
            let paused = if is_held && next.handled == status.handled { status.paused } else { next.paused };
            say(context, &seen, &RolloutStatus { paused, ..next }, None).await?;
            if status.phase.is_none() && seen.spec().forced == Some(true) {
                tell_forced(context, &seen);
            }
            Ok(Next::At(now))
        }
        Decision::Act { effect, waiting, until } => {
            let epoch = act(context, &seen, effect).await?;
            let waiting = waits_for(&seen, now).map_or_else(|| waiting.clone(), |exactly| format!("{waiting}: {exactly}"));
            let status = RolloutStatus { epoch: epoch.map(entry::told).or(status.epoch), ..status };
            say(context, &seen, &status, Some(&waiting)).await?;
            Ok(again(&status, until, now))
        }
    }
}

async fn say(context: &Context, seen: &Observed, status: &RolloutStatus, waiting: Option<&str>) -> Result<()> {
    let generation = seen.rollout.metadata.generation.unwrap_or_default();
    let told = report::told(status, waiting, generation, context.clock.now());
    context.writer.status(&*seen.rollout, &told).await?;
    let before = seen.rollout.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    context.events.transition(&*seen.rollout, &before, &told.conditions);
    Ok(())
}

/// Whether the target of an attempt that goes on is there, by an uncached read.
async fn is_there(context: &Context, seen: &Observed) -> Result<bool> {
    if seen.rollout.status.as_ref().is_some_and(|status| status.phase.is_some_and(Phase::is_end)) {
        return Ok(false);
    }
    let target = &seen.spec().target;
    let found: Option<SequenceRevision> = context.writer.fresh(&seen.rollout.namespace().unwrap_or_default(), &target.revision).await?;
    Ok(found.is_some_and(|found| found.uid().as_ref() == Some(&target.uid)))
}

/// A person sends a change to readers that nothing was compared for. Who it is the object does not say.
fn tell_forced(context: &Context, seen: &Observed) {
    let (attempt, target) = (seen.rollout.name_any(), &seen.spec().target.revision);
    let note = format!("the attempt {attempt} brings {target} to readers without a comparison, as the annotation {FORCE} asks");
    match &seen.feature {
        Some(feature) => context.events.say(&**feature, Tone::Normal, FORCED, &note),
        None => context.events.say(&*seen.rollout, Tone::Normal, FORCED, &note),
    }
}

/// When it is looked at again though nothing changes.
fn again(status: &RolloutStatus, until: Option<Timestamp>, now: Timestamp) -> Next {
    let after = |span: SignedDuration| now.checked_add(span).ok();
    let soon = match status.phase {
        Some(Phase::CuttingOver | Phase::Retiring | Phase::Aborting) => after(SOON),
        // While it waits for a window it has no deadline.
        Some(Phase::Loading) => after(if until.is_some() { SOON } else { LATER }),
        Some(Phase::Pending) => after(LATER),
        _ => None,
    };
    [soon, until].into_iter().flatten().min().map_or(Next::Rest, Next::At)
}

/// Brings an effect about, again and again. Gives back the epoch of the route that it wrote.
async fn act(context: &Context, seen: &Observed, effect: Effect) -> Result<Option<u64>> {
    let target = Pinned::from(&seen.spec().target);
    match effect {
        // Jobs and streams follow from the phase: they are made for whatever is needed.
        Effect::Nothing | Effect::Prepare | Effect::Shadow => Ok(None),
        Effect::Backfill => backfill(context, seen).await.map(|()| None),
        Effect::Load => wish(context, seen, Wish::Load(target)).await,
        Effect::CutOver => {
            let epoch = wish(context, seen, Wish::CutOver(target)).await?;
            remind(context, seen, epoch).await;
            replace(context, seen, epoch).await?;
            Ok(epoch)
        }
        Effect::Retire => {
            let epoch = wish(context, seen, Wish::Retire(target)).await?;
            remind(context, seen, epoch).await;
            Ok(epoch)
        }
        Effect::DropTrial => wish(context, seen, Wish::DropTrial(target.uid)).await,
    }
}

async fn wish(context: &Context, seen: &Observed, wish: Wish) -> Result<Option<u64>> {
    let (namespace, spec) = (seen.rollout.namespace().unwrap_or_default(), seen.spec());
    let place = (namespace.as_str(), spec.pool.as_str());
    let wished = Wished { feature: &spec.feature, wish, attempt: u64::try_from(spec.attempt).unwrap_or_default() };
    let entry = routes::wish(context, place, &wished).await?;
    context.pods.attend(place.0, place.1);
    Ok(entry.map(|entry| entry.epoch))
}

/// Tells pods once more that have not taken the route.
async fn remind(context: &Context, seen: &Observed, epoch: Option<u64>) {
    let (name, namespace) = (seen.name(), seen.rollout.namespace().unwrap_or_default());
    let heard = Heard { pods: &seen.pods, feature: &name, now: context.clock.now() };
    if epoch.is_some_and(|epoch| !heard.acknowledged(epoch)) {
        routes::push(context, (&namespace, &seen.spec().pool), &seen.spec().feature).await;
    }
}

/// A pod that does not take what is read from now on goes, and another comes in its place.
async fn replace(context: &Context, seen: &Observed, epoch: Option<u64>) -> Result<()> {
    let (name, namespace) = (seen.name(), seen.rollout.namespace().unwrap_or_default());
    let now = context.clock.now();
    let Some(epoch) = epoch else { return Ok(()) };
    // A phase may be older than its route: the process that entered it may have ended in between.
    let since = context.features.routed(&seen.rollout.uid().unwrap_or_default(), epoch, now);
    let heard = Heard { pods: &seen.pods, feature: &name, now };
    let Some(late) = heard.laggard(epoch, since) else { return Ok(()) };
    let pod = context.cluster.pods.get(&namespace, &late.name).filter(|pod| pod.uid().as_ref() == Some(&late.uid));
    if let Some(pod) = pod {
        tracing::warn!(attempt = seen.rollout.name_any(), pod = late.name, epoch, "a pod does not take the route: it is deleted");
        context.writer.delete(&*pod).await?;
    }
    Ok(())
}

/// The first backfills of signals that have no history; one that failed before this attempt is made anew.
async fn backfill(context: &Context, seen: &Observed) -> Result<()> {
    for signal in &seen.signals {
        match (history(signal), &signal.first) {
            (Progress::Going, None) => {
                if let Some(first) = first(signal) {
                    context.writer.create(&first).await?;
                }
            }
            (Progress::Failed(_), Some(failed)) => context.writer.delete(&**failed).await?,
            _ => {}
        }
    }
    Ok(())
}

/// Everything, once.
fn first(signal: &Signal) -> Option<Backfill> {
    let revision = signal.revision.as_ref()?;
    // Nothing is sealed yet: what is new is everything.
    let mode = Mode { incremental: Some(Incremental {}), restate: None };
    let spec = BackfillSpec { revision: signal.pinned.revision.clone(), mode, parallelism: None, suspend: None };
    let mut backfill = Backfill::new(&name::backfill(&revision.spec.signal, &signal.pinned.uid, &Occasion::First), spec);
    let labels = [(label::OF, signal.pinned.revision.as_str()), label::MANAGED].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let owner = kube::Resource::controller_owner_ref(&**revision, &()).map(|mut owner| {
        owner.block_owner_deletion = Some(false);
        owner
    });
    backfill.metadata = ObjectMeta {
        namespace: Some(signal.pinned.namespace.clone()),
        labels: Some(labels.into()),
        owner_references: owner.map(|owner| vec![owner]),
        ..backfill.metadata
    };
    Some(backfill)
}

fn frees(phase: Phase) -> bool {
    phase.is_end() || matches!(phase, Phase::CuttingOver | Phase::Aborting)
}

fn waits(rollout: &SequenceRollout) -> bool {
    rollout.status.as_ref().is_none_or(|status| status.phase.is_none_or(|phase| phase == Phase::Pending))
}

/// Attempts that have not ended, and of which `wanted` is true.
fn going(context: &Context, wanted: impl Fn(&SequenceRollout) -> bool) -> Vec<Key> {
    let is_going = |rollout: &SequenceRollout| !rollout.status.as_ref().is_some_and(|status| status.phase.is_some_and(Phase::is_end));
    let all = context.cluster.rollouts.list();
    all.iter().filter(|rollout| is_going(rollout) && wanted(rollout)).map(|rollout| Key::of(&**rollout)).collect()
}

fn of_feature(context: &Context, feature: &Key) -> Vec<Key> {
    context.cluster.rollouts.made_for(&feature.namespace, &feature.name).iter().map(|rollout| Key::of(&**rollout)).collect()
}

fn of_pool(context: &Context, namespace: &str, pool: &str) -> Vec<Key> {
    going(context, |rollout| rollout.spec.pool == pool && rollout.namespace().as_deref() == Some(namespace))
}

/// Attempts whose target reads a signal revision.
fn reading(context: &Context, revision: &Key) -> Vec<Key> {
    going(context, |rollout| {
        let namespace = rollout.namespace().unwrap_or_default();
        let target = context.cluster.sequence_revisions.get(&namespace, &rollout.spec.target.revision);
        target.is_some_and(|target| {
            target.spec.signals.iter().any(|pin| pin.namespace == revision.namespace && pin.revision == revision.name)
        })
    })
}
