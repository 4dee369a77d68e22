//! The features of a pool, with what is known of each for its route.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use tress_configs::definition::Contract;
use tress_configs::route::Words;
use tress_crds::definition::SequenceFeature;
use tress_crds::rollout::Phase;
use tress_crds::{SequenceRevision, SequenceRollout};

use super::entry::{self, Entry, Pinned};
use super::follow::{Known, Wish};
use super::told::{Heard, Told};
use super::{hear, of_endpoint, pinned, route_of};
use crate::context::Context;
use crate::feature::target::{is_of, pool_of};
use crate::workload::pool_pods;

/// How long the pool that a feature came from goes on answering.
const STAYS: SignedDuration = SignedDuration::from_hours(24);

/// A feature of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What becomes of its entry when nobody wishes anything.
    pub wish: Wish,
    pub known: Known,
    /// When that is otherwise though nothing changes.
    pub until: Option<Timestamp>,
}

/// What is seen of a feature, for one pool.
#[derive(Debug, Clone, Copy)]
struct Seen<'a> {
    pool: &'a str,
    feature: &'a SequenceFeature,
    entry: Option<&'a Entry>,
    /// Of this object.
    attempts: &'a [Arc<SequenceRollout>],
    /// Of its name.
    revisions: &'a [Arc<SequenceRevision>],
    pods: &'a [Told],
    now: Timestamp,
}

/// Whether a pool is named by anything, or routes anything.
pub fn is_used(context: &Context, place: (&str, &str)) -> bool {
    let entries = route_of(context, place).map(|map| entry::entries(&map)).unwrap_or_default();
    !members(context, place, &entries).is_empty() || entries.keys().any(|feature| is_beyond(context, place.0, feature))
}

/// Whether a pool serves something, is about to, or did. Before that nothing is made for it: features that are refused have nothing to
/// be served.
pub fn is_begun(context: &Context, place @ (namespace, pool): (&str, &str)) -> bool {
    let cluster = &context.cluster;
    let is_made = route_of(context, place).is_some() || cluster.deployments.get(namespace, &pool_pods(pool)).is_some();
    let is_attempted = || cluster.rollouts.within(namespace).iter().any(|attempt| attempt.spec.pool == pool);
    // The route is lost, and made again from what was told.
    let is_read = || cluster.features.within(namespace).iter().any(|feature| is_endpoint(feature, pool));
    is_made || is_attempted() || is_read()
}

/// Whether a feature's readers are sent to this pool.
fn is_endpoint(feature: &SequenceFeature, pool: &str) -> bool {
    let endpoint = feature.status.as_ref().and_then(|status| status.endpoint.as_deref());
    endpoint.and_then(of_endpoint) == Some(pool)
}

/// Whether a feature is there and cannot be read: its entry stays as it is.
pub fn is_beyond(context: &Context, namespace: &str, feature: &str) -> bool {
    context.cluster.features.is_unreadable(namespace, feature)
}

/// The features of a pool, by name. Who has an entry and is not among them loses it.
pub fn members(context: &Context, (namespace, pool): (&str, &str), entries: &BTreeMap<String, Entry>) -> BTreeMap<String, Member> {
    let pods = hear(context, (namespace, pool), None);
    let mut members = BTreeMap::new();
    for feature in context.cluster.features.within(namespace) {
        let name = feature.name_any();
        if is_beyond(context, namespace, &name) {
            continue;
        }
        if let Some(member) = member(context, (pool, &feature), entries.get(&name), &pods) {
            members.insert(name, member);
        }
    }
    members
}

/// One feature of a pool; `None` = the pool has nothing to do with it.
pub fn member(context: &Context, (pool, feature): (&str, &SequenceFeature), entry: Option<&Entry>, pods: &[Told]) -> Option<Member> {
    let (namespace, name) = (feature.namespace().unwrap_or_default(), feature.name_any());
    // Most features of a namespace are of another pool: nothing is looked up for them.
    if feature.metadata.deletion_timestamp.is_some() || (pool_of(feature) != pool && entry.is_none()) {
        return None;
    }
    let mut attempts = context.cluster.rollouts.made_for(&namespace, &name);
    attempts.retain(|attempt| is_of(attempt, feature));
    let revisions = context.cluster.sequence_revisions.made_for(&namespace, &name);
    let now = context.clock.now();
    of(Seen { pool, feature, entry, attempts: &attempts, revisions: &revisions, pods, now })
}

fn of(seen: Seen<'_>) -> Option<Member> {
    let Seen { pool, feature, entry, attempts, revisions, pods, now } = seen;
    let status = feature.status.as_ref();
    let phase = |attempt: &SequenceRollout| attempt.status.as_ref().and_then(|status| status.phase);
    let here = || attempts.iter().filter(|attempt| attempt.spec.pool == pool);
    let going = here().rfind(|attempt| !phase(attempt).is_some_and(Phase::is_end));
    let is_endpoint = is_endpoint(feature, pool);
    let moved = status.and_then(|status| status.moved.as_ref()).filter(|moved| moved.from == pool);
    let leaves = moved.map(|moved| moved.since.0.saturating_add(STAYS).unwrap_or(Timestamp::MAX));
    let stays = going.is_some() || is_endpoint || leaves.is_some_and(|at| now < at);
    if pool_of(feature) != pool && !(entry.is_some() && stays) {
        return None;
    }
    let name = format!("{}/{}", feature.namespace().unwrap_or_default(), feature.name_any());
    let live = status.and_then(|status| status.live.as_ref());
    let read = live.and_then(|live| revisions.iter().find(|revision| revision.name_any() == live.revision));
    let written = here().filter_map(|attempt| attempt.status.as_ref()?.epoch).map(entry::heard).max().unwrap_or_default();
    let told = live.filter(|_| is_endpoint).map_or(0, |live| entry::heard(live.epoch));
    let baking = going.filter(|attempt| phase(attempt) == Some(Phase::CuttingOver)).and_then(|attempt| attempt.spec.previous.as_ref());
    let pins: Vec<(Pinned, Timestamp)> = revisions.iter().filter_map(|revision| asked(revision, now)).collect();
    let known = Known {
        feature_uid: feature.uid().unwrap_or_default(),
        live: read.map(|revision| pinned(revision)),
        baking: baking.map(Pinned::from),
        epoch: written.max(told).max(Heard { pods, feature: &name, now }.epoch()),
        attempt: None,
        contract: Some(feature.spec.definition.contract.clone().unwrap_or(Contract { freshness: None, complete_within: None })),
        about: Some(Words::of(&feature.spec.definition)),
        asked: pins.iter().map(|(pinned, _)| pinned.clone()).collect(),
    };
    // A trial of nobody: its attempt has ended, or is gone.
    let orphan = entry.and_then(|entry| entry.trial.as_ref()).filter(|trial| going.is_none_or(|a| a.spec.target.uid != trial.uid));
    let wish = orphan.map_or(Wish::Keep, |trial| Wish::DropTrial(trial.uid.clone()));
    let until = leaves.filter(|at| *at > now).into_iter().chain(pins.into_iter().map(|(_, until)| until)).min();
    Some(Member { wish, known, until })
}

/// A revision that a consumer asked for, and until when it stays.
fn asked(revision: &SequenceRevision, now: Timestamp) -> Option<(Pinned, Timestamp)> {
    let status = revision.status.as_ref()?;
    let until = status.pinned_until.as_ref()?.0;
    (until > now && status.prepared.is_some()).then(|| (pinned(revision), until))
}

#[cfg(test)]
mod tests;
