//! Reads everything that matters to a feature.

use std::sync::Arc;

use kube::ResourceExt;
use tress_configs::compatibility;
use tress_configs::plan::{FeaturePlan, SignalPlan};
use tress_configs::{Compiled, Plan};
use tress_crds::definition::{Change, Class};
use tress_crds::revision::PinnedSignal;
use tress_crds::{SequenceFeature, SequenceRevision, SequenceRollout};

use super::limits::limits;
use super::seen::{Observed, Pool, Serving, Signal};
use super::target::{is_of, pool_of};
use crate::compile;
use crate::context::Context;
use crate::error::Result;
use crate::name;
use crate::pool::{self, entry};
use crate::queue::Key;

/// The most paths of a change that are told.
const MAX_PATHS: usize = 20;

/// What there is; `None` = the feature is gone, or on its way, or what it says now cannot be read.
///
/// # Errors
/// When a revision cannot be read back.
pub async fn observe(context: &Context, key: &Key) -> Result<Option<Observed>> {
    let cluster = &context.cluster;
    let Some(feature) = cluster.features.get(&key.namespace, &key.name).filter(|f| f.metadata.deletion_timestamp.is_none()) else {
        return Ok(None);
    };
    if cluster.features.is_unreadable(&key.namespace, &key.name) {
        return Ok(None);
    }
    let before = feature.status.clone().unwrap_or_default();
    let serving = serving(context, &feature);
    let read = serving.current.as_ref().unwrap_or(&serving.declared).entry.as_ref().and_then(|entry| entry.live.clone());
    let revisions = cluster.sequence_revisions.made_for(&key.namespace, &key.name);
    let live = match (&read, &before.live) {
        (Some(read), _) => revisions.iter().find(|revision| revision.uid().as_deref() == Some(read.uid.as_str())).cloned(),
        // The route is lost, and made again from what was told.
        (None, Some(told)) => cluster.sequence_revisions.get(&key.namespace, &told.revision),
        (None, None) => None,
    };
    let pins = live.as_ref().map(|live| live.spec.signals.clone()).unwrap_or_default();
    let compiled = compile::feature(context, &feature, &pins).await?;
    let (mut revision, mut change, mut declared) = (None, None, None);
    if let compile::Feature::Compiled { compiled, signals } = &*compiled {
        let target = name::revision(&key.name, &compiled.source_hash);
        revision = cluster.sequence_revisions.get(&key.namespace, &target);
        declared = Some(signals.as_slice());
        let is_same = |live: &&Arc<SequenceRevision>| {
            live.spec.compiled.source_hash == compiled.source_hash || live.spec.compiled.digest == compiled.digest
        };
        if let Some(live) = live.as_ref().filter(|live| !is_same(live)) {
            change = classed(context, live, (compiled, signals)).await?;
        }
    }
    let attempts = cluster.rollouts.made_for(&key.namespace, &key.name);
    let routed = serving.current.iter().chain([&serving.declared]).filter_map(|pool| pool.entry.as_ref()?.attempt);
    let told = before.rollout.as_ref().and_then(|attempt| name::attempt_of(&key.name, &attempt.name));
    let numbers = attempts.iter().map(|a| a.spec.attempt).chain(routed.filter_map(|n| i32::try_from(n).ok())).chain(told);
    let greatest = numbers.max().unwrap_or_default();
    let mut attempts: Vec<Arc<SequenceRollout>> = attempts.into_iter().filter(|attempt| is_of(attempt, &feature)).collect();
    attempts.sort_by_key(|attempt| attempt.spec.attempt);
    let read = if pins.is_empty() { declared.unwrap_or_default() } else { &pins };
    let signals = read.iter().map(|pin| signal(context, pin)).collect();
    let limits = limits(context, &feature, &compiled, live.as_deref());
    let quiet = context.platform.now().quiet;
    Ok(Some(Observed { feature, compiled, revision, live, change, attempts, greatest, serving, signals, limits, quiet }))
}

fn serving(context: &Context, feature: &SequenceFeature) -> Serving {
    let (namespace, own) = (feature.namespace().unwrap_or_default(), feature.name_any());
    let named = |name: &str| Pool {
        name: name.to_owned(),
        entry: context.cluster.maps.get(&namespace, &crate::workload::routes_of(name)).and_then(|map| entry::of(&map, &own)),
        pods: pool::hear(context, (&namespace, name), Some(&own)),
    };
    let endpoint = feature.status.as_ref().and_then(|status| pool::of_endpoint(status.endpoint.as_deref()?)).map(str::to_owned);
    // The pool may have been declared anew while the first attempt went on.
    let attempts = context.cluster.rollouts.made_for(&namespace, &own);
    let first = attempts.iter().filter(|attempt| is_of(attempt, feature)).max_by_key(|attempt| attempt.spec.attempt);
    let current = endpoint.or_else(|| first.map(|attempt| attempt.spec.pool.clone()));
    Serving { declared: named(pool_of(feature)), current: current.as_deref().map(named) }
}

fn signal(context: &Context, pin: &PinnedSignal) -> Signal {
    let PinnedSignal { namespace, revision, uid, digest: _ } = pin;
    let of_it = context.cluster.signal_revisions.get(namespace, revision).filter(|r| r.uid().as_ref() == Some(uid));
    Signal { pinned: pin.clone(), revision: of_it, stream: context.cluster.deployments.get(namespace, revision) }
}

/// How far the change from what is read to what is declared reaches.
async fn classed(context: &Context, live: &SequenceRevision, (compiled, signals): (&Compiled, &[PinnedSignal])) -> Result<Option<Change>> {
    let of = format!("{} {}", live.uid().unwrap_or_default(), compiled.digest);
    if let Some(known) = context.features.change(&of) {
        return Ok(Some(known));
    }
    let namespace = live.namespace().unwrap_or_default();
    let Some(whole) = context.writer.fresh::<SequenceRevision>(&namespace, &live.name_any()).await? else { return Ok(None) };
    let Ok(before) = Plan::from_json(&whole.spec.compiled.plan) else {
        // Of a newer operator, or damaged: nothing is known to be less.
        return Ok(Some(Change { class: Class::Behavioural, paths: Vec::new() }));
    };
    let mut plans: Vec<(String, Arc<SignalPlan>)> = Vec::new();
    for pin in live.spec.signals.iter().chain(signals) {
        let is_read_otherwise = |plan: Option<&FeaturePlan>| plan.is_some_and(|plan| plan.signals.iter().all(|s| s.digest != pin.digest));
        if !is_read_otherwise(before.as_feature()) && !is_read_otherwise(compiled.plan.as_feature()) {
            continue;
        }
        if let Some(revision) = context.cluster.signal_revisions.get(&pin.namespace, &pin.revision) {
            plans.push((pin.digest.clone(), compile::plan(context, &revision).await?));
        }
    }
    let find = |digest: &str| plans.iter().find(|(of, _)| of == digest).map(|(_, plan)| Arc::clone(plan));
    let change = compatibility::classify_with(&before, &compiled.plan, &find);
    let worst = change.differences.iter().filter(|difference| difference.class == change.class);
    let paths = worst.map(|difference| difference.path.chars().take(512).collect()).filter(|path: &String| !path.is_empty());
    let change = Change { class: class(change.class), paths: paths.take(MAX_PATHS).collect() };
    context.features.remember(of, change.clone());
    Ok(Some(change))
}

const fn class(class: compatibility::Class) -> Class {
    match class {
        compatibility::Class::None => Class::None,
        compatibility::Class::Compatible => Class::Compatible,
        compatibility::Class::Behavioural => Class::Behavioural,
        compatibility::Class::Breaking => Class::Breaking,
    }
}
