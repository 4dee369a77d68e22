//! One recomputation of a signal's revision.
//!
//! ```text
//! observe (revision, jobs, who goes first, how many pods) ─▶ decide ─▶ status (intent) or effect ─▶ …
//! ```
//! One backfill of a revision goes on at a time; what its jobs reported is in its status before they go.

mod act;
mod decide;
mod observe;
mod report;
mod share;
#[cfg(test)]
mod tests;

use kube::ResourceExt;
use tress_crds::{Backfill, SignalRevision};

pub use self::decide::{Decision, Effect, Facts, Workers, covered, decide};
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::Result;
pub use crate::jobs::Seen;
use crate::queue::{Key, Next, Triggers};

/// What wakes a backfill: itself, its jobs, its revision, and others of its namespace that make room.
#[must_use]
pub fn triggers() -> Triggers {
    Triggers::each(|cluster| &cluster.backfills)
        .made(|cluster| &cluster.jobs)
        .made(|cluster| &cluster.pods)
        .when(
            |cluster| &cluster.signal_revisions,
            |context, revision: &SignalRevision| {
                let (namespace, name) = (revision.namespace().unwrap_or_default(), revision.name_any());
                going(&context.cluster, &namespace, |backfill| backfill.spec.revision == name)
            },
        )
        .when(
            |cluster| &cluster.backfills,
            |context, other: &Backfill| going(&context.cluster, &other.namespace().unwrap_or_default(), |_| true),
        )
}

/// Looks at one backfill.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn reconcile(context: &Context, key: &Key) -> Result<Next> {
    let now = context.clock.now();
    let Some(seen) = observe::observe(context, key, now) else { return Ok(Next::Rest) };
    let before = seen.backfill.status.clone().unwrap_or_default();
    let decision = decide(&seen.backfill.spec, &before, &seen.facts, now);
    let mut status = match &decision {
        Decision::Write(next) => next.clone(),
        Decision::Act(_) | Decision::Rest => before.clone(),
    };
    status.observed_generation = seen.backfill.metadata.generation;
    status.conditions = report::conditions_of(&seen, &status, now);
    context.writer.status(&*seen.backfill, &status).await?;
    context.events.transition(&*seen.backfill, &before.conditions, &status.conditions);
    if let Decision::Act(effect) = decision
        && !seen.is_held()
    {
        act::act(context, &seen, effect).await?;
    }
    Ok(seen.again.map_or(Next::Rest, Next::At))
}

fn going(cluster: &Cluster, namespace: &str, of: impl Fn(&Backfill) -> bool) -> Vec<Key> {
    let all = cluster.backfills.within(namespace);
    all.iter().filter(|backfill| observe::is_going(backfill) && of(backfill)).map(|backfill| Key::of(&**backfill)).collect()
}
