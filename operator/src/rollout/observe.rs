//! Reads everything that matters to an attempt.

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use tress_crds::revision::PinnedSignal;
use tress_crds::{SequenceRevision, SequenceRollout};

use super::seen::{Observed, Signal};
use super::slots::{Attempt, may_work};
use crate::context::Context;
use crate::feature::target::{is_of, made_at};
use crate::jobs;
use crate::name::{self, Job, Occasion};
use crate::pool::entry::{self, Pinned};
use crate::pool::{self, hear};
use crate::queue::Key;
use crate::signal_revision::{covers, list_of};
use crate::workload::routes_of;

/// What there is; `None` = the attempt is gone, or on its way, or nothing is to be done about it.
pub fn observe(context: &Context, key: &Key) -> Option<Observed> {
    let cluster = &context.cluster;
    let rollout = cluster.rollouts.get(&key.namespace, &key.name).filter(|rollout| rollout.metadata.deletion_timestamp.is_none())?;
    let spec = &rollout.spec;
    // What its feature wants nobody knows: it is neither carried on nor given up.
    if cluster.features.is_unreadable(&key.namespace, &spec.feature) {
        return None;
    }
    let feature = cluster.features.get(&key.namespace, &spec.feature).filter(|feature| is_of(&rollout, feature));
    let named = cluster.sequence_revisions.get(&key.namespace, &spec.target.revision);
    let target = named.filter(|revision| revision.uid().as_ref() == Some(&spec.target.uid));
    let pins = target.as_ref().map(|target| target.spec.signals.clone()).unwrap_or_default();
    let changed = spec.changed.as_deref().unwrap_or_default();
    let is_changed = |pin: &PinnedSignal| changed.iter().any(|changed| changed.uid == pin.uid);
    let signals = pins.iter().map(|pin| Signal { is_changed: is_changed(pin), ..signal(context, pin, &spec.target.digest) }).collect();
    let map = cluster.maps.get(&key.namespace, &routes_of(&spec.pool));
    let now = context.clock.now();
    let is_asked = |revision: &SequenceRevision| {
        revision.status.as_ref().and_then(|status| status.pinned_until.as_ref()).is_some_and(|until| until.0 > now)
    };
    let revisions = cluster.sequence_revisions.made_for(&key.namespace, &spec.feature);
    let asked: Vec<Pinned> = revisions.iter().filter(|revision| is_asked(revision)).map(|revision| pool::pinned(revision)).collect();
    Some(Observed {
        slot: slot(context, &rollout),
        entry: map.and_then(|map| entry::of(&map, &spec.feature)),
        pods: hear(context, (&key.namespace, &spec.pool), Some(&spec.feature)),
        asked,
        refused: refused(context, &key.namespace, (&spec.target.revision, &spec.target.uid)),
        feature,
        target,
        signals,
        rollout,
    })
}

fn signal(context: &Context, pin: &PinnedSignal, target: &str) -> Signal {
    let (cluster, namespace) = (&context.cluster, pin.namespace.as_str());
    let revision = cluster.signal_revisions.get(namespace, &pin.revision).filter(|r| r.uid().as_deref() == Some(pin.uid.as_str()));
    let first = revision.as_ref().map(|revision| name::backfill(&revision.spec.signal, &pin.uid, &Occasion::First));
    let list = cluster.maps.get(namespace, &list_of(&pin.revision));
    Signal {
        first: first.and_then(|first| cluster.backfills.get(namespace, &first)),
        stream: cluster.deployments.get(namespace, &pin.revision),
        pinned: pin.clone(),
        is_changed: false,
        is_covered: revision.as_deref().is_some_and(|revision| covers(revision, list.as_deref(), target)),
        refused: refused(context, namespace, (&pin.revision, &pin.uid)),
        revision,
    }
}

/// When a revision's `prepare` job found that trying again changes nothing, and why.
fn refused(context: &Context, namespace: &str, (revision, uid): (&str, &str)) -> Option<(Timestamp, String)> {
    let job = jobs::observe(&context.cluster, (namespace, &name::job(revision, Job::Prepare)), uid);
    job.ended.filter(|_| job.is_contradicted()).map(|ended| (ended, job.reasons()))
}

/// Whether it may work: of the namespace's slots, and of all.
fn slot(context: &Context, rollout: &Arc<SequenceRollout>) -> bool {
    let limits = &context.platform.now().limits;
    let most = |count: i32| usize::try_from(count).unwrap_or_default();
    let namespace = rollout.namespace().unwrap_or_default();
    let own = own_name(rollout);
    let here: Vec<Attempt> = context.cluster.rollouts.within(&namespace).iter().map(|other| attempt(context, other)).collect();
    if !may_work(&own, &here, most(limits.per_namespace.rollout_slots)) {
        return false;
    }
    let all: Vec<Attempt> = context.cluster.rollouts.list().iter().map(|other| attempt(context, other)).collect();
    may_work(&own, &all, most(limits.rollout_slots))
}

fn attempt(context: &Context, rollout: &SequenceRollout) -> Attempt {
    let status = rollout.status.as_ref();
    let phase = status.and_then(|status| status.phase);
    let waits = phase.is_none_or(|phase| phase == tress_crds::rollout::Phase::Pending);
    let feature = waits.then(|| context.cluster.features.get(&rollout.namespace().unwrap_or_default(), &rollout.spec.feature)).flatten();
    let is_held = feature.is_some_and(|feature| feature.spec.paused == Some(true));
    Attempt {
        name: own_name(rollout),
        made: made_at(rollout).as_second(),
        phase,
        paused: is_held || status.is_some_and(|status| status.paused == Some(true)),
    }
}

/// Its name among all.
fn own_name(rollout: &SequenceRollout) -> String {
    format!("{}/{}", rollout.namespace().unwrap_or_default(), rollout.name_any())
}
