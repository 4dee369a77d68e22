//! A feature: from its definition to a revision, from the revision to an attempt, and what is said of all of it.
//!
//! ```text
//! observe ─▶ decide ─▶ revision made ─▶ status ─▶ attempt made
//!              ╰─ target: which revision it is    ╰─ report: conditions; contract: told late
//! ```
//! An invalid or breaking definition never disturbs what is read: the last good revision goes on.

mod contract;
mod decide;
mod limits;
mod memory;
mod observe;
mod report;
mod says;
mod seen;
pub mod target;

use tress_configs::definition::Contract;
use tress_crds::SequenceFeature;

use self::contract::Figures;
use self::decide::{First, decide};
pub use self::memory::Memory;
use self::observe::observe;
use self::seen::Observed;
use crate::attempt::Answer;
use crate::context::Context;
use crate::error::Result;
use crate::label;
use crate::pool::{self, told::Heard};
use crate::queue::{Key, Next, Triggers};

/// What wakes a feature: itself, what is made for it, the signals that it reads and what becomes of their revisions, and its pool's pods.
#[must_use]
pub fn triggers() -> Triggers {
    Triggers::each::<SequenceFeature>(|cluster| &cluster.features)
        .made(|cluster| &cluster.sequence_revisions)
        .made(|cluster| &cluster.rollouts)
        .when(
            |cluster| &cluster.signals,
            |context, signal| {
                let key = Key::of(signal);
                pool::readers_of(context, &key.namespace, &key.name)
            },
        )
        .when(
            |cluster| &cluster.signal_revisions,
            |context, revision| pool::readers_of(context, &Key::of(revision).namespace, &revision.spec.signal),
        )
        .when(
            |cluster| &cluster.deployments,
            |context, deployment| {
                let labels = deployment.metadata.labels.clone().unwrap_or_default();
                let is_stream = labels.get(label::ROLE).map(String::as_str) == Some(label::Role::Stream.as_str());
                let key = Key::of(deployment);
                let revision = is_stream.then(|| context.cluster.signal_revisions.get(&key.namespace, &key.name)).flatten();
                revision.map(|r| pool::readers_of(context, &key.namespace, &r.spec.signal)).unwrap_or_default()
            },
        )
        .when(
            |cluster| &cluster.maps,
            |context, map| {
                let key = Key::of(map);
                pool::of_routes(&key.name).map(|pool| pool::features_of(context, &key.namespace, pool)).unwrap_or_default()
            },
        )
        .when_said(pool::features_of)
}

/// Looks at one feature.
///
/// # Errors
/// When a read or a write fails.
pub async fn reconcile(context: &Context, key: &Key) -> Result<Next> {
    let now = context.clock.now();
    let Some(seen) = observe(context, key).await? else { return Ok(Next::Rest) };
    let decision = decide(&seen, now);
    match &decision.first {
        First::Nothing => {}
        First::Create(revision) => drop(context.writer.create(&**revision).await?),
        First::Remove(revision) => context.writer.delete(&**revision).await?,
        First::Renew { old, new } => {
            context.writer.delete(&**old).await?;
            context.writer.create(&**new).await?;
        }
    }
    let (contract, due) = told(context, &seen);
    let status = report::status(&seen, &decision, contract, now);
    context.writer.status(&*seen.feature, &status).await?;
    context.events.transition(&*seen.feature, &seen.before().conditions, &status.conditions);
    if let Some(rollout) = &decision.begin {
        context.writer.create(&**rollout).await?;
    }
    for rollout in &decision.forgotten {
        context.writer.delete(&**rollout).await?;
    }
    if !matches!(decision.first, First::Nothing) {
        return Ok(Next::At(now));
    }
    let waited = if let Answer::Wait { until, .. } = &decision.answer { *until } else { None };
    Ok([waited, due].into_iter().flatten().min().map_or(Next::Rest, Next::At))
}

/// What is told of its contract, and when that may change.
fn told(context: &Context, seen: &Observed) -> (Option<tress_crds::definition::ContractStatus>, Option<jiff::Timestamp>) {
    let now = context.clock.now();
    let Some(contract @ Contract { .. }) = &seen.feature.spec.definition.contract else { return (None, None) };
    let Some(live) = seen.live.as_deref().map(pool::pinned) else { return (None, None) };
    let heard = Heard { pods: &seen.pool().pods, feature: &seen.name(), now };
    let figures = Figures { freshness: heard.freshness(&live), sealed: contract::sealed(seen, now) };
    let uid = seen.feature.metadata.uid.clone().unwrap_or_default();
    let figured = contract::now(contract, figures);
    let (status, until) = context.features.contracts().tell(&uid, seen.before().contract.as_ref(), &figured, now);
    (Some(status), until.into_iter().chain(contract::lapses(contract, figures, now)).min())
}
