//! Everything that is read of a backfill, before anything is decided.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use tress_crds::backfill::BackfillPhase;
use tress_crds::revision::Use;
use tress_crds::{Backfill, SignalDefinition, SignalRevision};

use super::decide::{Facts, Workers};
use super::share;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::jobs::{self, Observed, Seen};
use crate::name::{self, Job};
use crate::queue::Key;
use crate::signal_revision::is_of;

/// What there is.
#[derive(Debug, Clone)]
pub(super) struct Looked {
    pub backfill: Arc<Backfill>,
    /// `None` = it is not there, or on its way out, or another one has its name.
    pub revision: Option<Arc<SignalRevision>>,
    pub definition: Option<Arc<SignalDefinition>>,
    /// Jobs that are waited for, because trying again may help, are shown as running or missing.
    pub facts: Facts,
    /// Why it does not start, where it may not.
    pub waits: Option<Waits>,
    /// The jobs as they are.
    pub plan: Observed,
    pub work: Observed,
    pub seal: Observed,
    /// How many of its pods may work at a time.
    pub share: i32,
    /// When a job is made anew.
    pub again: Option<Timestamp>,
}

/// What a backfill waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waits {
    /// Its revision is not there, or one that was made later has its name.
    Revision,
    /// Its revision is not prepared.
    Prepared,
    /// Nobody reads its revision.
    Unused,
    /// This one is first.
    Other(String),
    /// The definition is paused.
    Paused,
}

/// A job that failed for now is made anew so often.
const TRIES: u32 = 6;
/// How long one waits for a revision that is not there when it is made.
const PATIENCE: SignedDuration = SignedDuration::from_hours(1);

impl Looked {
    /// Whether nothing may be done.
    pub fn is_held(&self) -> bool {
        self.waits == Some(Waits::Paused) || (self.revision.is_none() && !self.facts.lost)
    }
}

/// `None` = the backfill is gone, or on its way.
pub(super) fn observe(context: &Context, key: &Key, now: Timestamp) -> Option<Looked> {
    let cluster = &context.cluster;
    let Key { namespace, name } = key;
    let backfill = cluster.backfills.get(namespace, name).filter(|b| b.metadata.deletion_timestamp.is_none())?;
    let revision = cluster.signal_revisions.get(namespace, &backfill.spec.revision);
    let revision = revision.filter(|r| r.metadata.deletion_timestamp.is_none() && is_of(&backfill, r));
    let definition = revision.as_ref().and_then(|revision| cluster.signals.get(namespace, &revision.spec.signal));
    let uid = backfill.uid().unwrap_or_default();
    let job = |job| jobs::observe(cluster, (namespace, &name::job(name, job)), &uid);
    let (plan, work, seal) = (job(Job::Plan), job(Job::Work), job(Job::Seal));
    let waits = waits(cluster, &backfill, revision.as_deref(), definition.as_deref());
    let (planned, plan_again) = patiently(&plan, now);
    let (worked, work_again) = patiently(&work, now);
    let (sealed, seal_again) = patiently(&seal, now);
    let is_beyond = cluster.signal_revisions.is_unreadable(namespace, &backfill.spec.revision);
    let gives_up = if revision.is_none() && !is_beyond { gives_up(&backfill) } else { None };
    let facts = Facts {
        may_start: waits.is_none(),
        lost: gives_up.is_some_and(|at| at <= now),
        plan: planned,
        work: Workers { job: worked, done: work.done, failed: work.failed.clone() },
        seal: sealed,
    };
    let limit = context.platform.now().limits.per_namespace.backfill_parallelism;
    let share = share::of(&cluster.backfills.within(namespace), &backfill, limit, |backfill| parallelism(cluster, backfill));
    let gives_up = gives_up.filter(|_| is_going(&backfill) && !facts.lost);
    let again = [plan_again, work_again, seal_again, gives_up].into_iter().flatten().min();
    Some(Looked { backfill, revision, definition, facts, waits, plan, work, seal, share, again })
}

/// When one without a revision has waited long enough: at once if it had one, for that does not come again.
pub(super) fn gives_up(backfill: &Backfill) -> Option<Timestamp> {
    let made = backfill.creation_timestamp().map(|made| made.0).unwrap_or_default();
    let had_one = backfill.status.as_ref().is_some_and(|status| status.started.is_some())
        || backfill.owner_references().iter().any(|owner| owner.kind == "SignalRevision");
    if had_one { Some(made) } else { made.checked_add(PATIENCE).ok() }
}

/// As the Backfill says, else the definition of its signal.
fn parallelism(cluster: &Cluster, backfill: &Backfill) -> i32 {
    let namespace = backfill.namespace().unwrap_or_default();
    let declared = || {
        let revision = cluster.signal_revisions.get(&namespace, &backfill.spec.revision)?;
        let definition = cluster.signals.get(&namespace, &revision.spec.signal)?;
        definition.spec.runtime.as_ref()?.backfill.as_ref()?.parallelism
    };
    backfill.spec.parallelism.or_else(declared).unwrap_or(share::PARALLELISM)
}

/// One that may succeed when it is tried again counts as running until then, and as missing from then on, for a number of times.
fn patiently(job: &Observed, now: Timestamp) -> (Seen, Option<Timestamp>) {
    let may_help = !job.is_contradicted() && job.attempt.saturating_add(1) < TRIES;
    match job.again().filter(|_| may_help) {
        Some(at) if at <= now => (Seen::Missing, None),
        Some(at) => (Seen::Running, Some(at)),
        None => (job.seen.clone(), None),
    }
}

fn waits(
    cluster: &Cluster,
    backfill: &Backfill,
    revision: Option<&SignalRevision>,
    definition: Option<&SignalDefinition>,
) -> Option<Waits> {
    let Some(status) = revision.map(|revision| revision.status.clone().unwrap_or_default()) else { return Some(Waits::Revision) };
    if definition.is_some_and(|definition| definition.spec.paused == Some(true)) {
        return Some(Waits::Paused);
    }
    if status.dropping.is_some() || status.needed != Some(Use::Running) {
        return Some(Waits::Unused);
    }
    // The list of features comes with it: seals read it.
    if status.prepared.is_none() || status.demands.is_none() {
        return Some(Waits::Prepared);
    }
    let all = cluster.backfills.within(&backfill.namespace().unwrap_or_default());
    let rank = |b: &Backfill| (!has_begun(b), b.creation_timestamp(), b.name_any());
    let others = all.iter().filter(|b| b.spec.revision == backfill.spec.revision && b.uid() != backfill.uid() && is_going(b));
    // One that is held up by a person is in nobody's way.
    let counts = |b: &&Arc<Backfill>| has_begun(b) || b.spec.suspend != Some(true);
    let first = others.filter(counts).min_by_key(|b| rank(b))?;
    (rank(first) < rank(backfill)).then(|| Waits::Other(first.name_any()))
}

/// Whether it has not ended.
pub(super) fn is_going(backfill: &Backfill) -> bool {
    let phase = backfill.status.as_ref().and_then(|status| status.phase);
    !matches!(phase, Some(BackfillPhase::Succeeded | BackfillPhase::Failed))
}

fn has_begun(backfill: &Backfill) -> bool {
    let phase = backfill.status.as_ref().and_then(|status| status.phase);
    matches!(phase, Some(BackfillPhase::Planning | BackfillPhase::Working | BackfillPhase::Sealing))
}
