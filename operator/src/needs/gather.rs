//! What of the caches says how far a revision is needed.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use serde_json::Value;
use tress_configs::name::QualifiedName;
use tress_crds::revision::Use;
use tress_crds::rollout::{Phase, SequenceRollout};
use tress_crds::{SequenceFeature, SequenceRevision, SignalRevision};

use crate::cluster::Cluster;
use crate::label::{self, Role};
use crate::needed::{Declared, Sequence, Signal};

/// All that [`crate::needed::uses`] asks for, and what is said of its answers.
pub(super) struct Gathered {
    pub declared: Declared,
    pub sequences: Vec<Sequence>,
    pub signals: Vec<Signal>,
    /// Of sequence revisions by UID: the digest of the plan, and whether it is in the lake.
    pub digests: BTreeMap<String, (String, bool)>,
    /// Of signal revisions by UID: their signal, and their own name.
    pub names: BTreeMap<String, (QualifiedName, String)>,
}

/// How many revisions of a feature are kept beside those that run, unless it says.
const HISTORY: usize = 5;

pub(super) fn all(cluster: &Cluster) -> Gathered {
    let mut declared = Declared::default();
    let mut least: BTreeMap<(String, String), Use> = BTreeMap::new();
    let mut by_uid: BTreeMap<String, Use> = BTreeMap::new();
    let mut blind: BTreeSet<String> = BTreeSet::new();
    let mut routes: Vec<(String, String)> = Vec::new();
    for feature in cluster.features.list() {
        declared.features.insert(full_name(&*feature), history(&feature));
        let namespace = feature.namespace().unwrap_or_default();
        let Some(status) = &feature.status else { continue };
        let mut named = |revision: &str, needed| at_least(&mut least, (namespace.clone(), revision.to_owned()), needed);
        if let Some(live) = &status.live {
            named(&live.revision, Use::Running);
        }
        if let Some(target) = &status.target {
            named(&target.revision, Use::Kept);
        }
    }
    // What cannot be read is not gone: nothing of it may go.
    blind.extend(cluster.features.unreadable().iter().map(ToString::to_string));
    for rollout in cluster.rollouts.list() {
        for (uid, needed) in of_attempt(&rollout) {
            at_least(&mut by_uid, uid, needed);
        }
    }
    for map in cluster.maps.list() {
        if map.labels().get(label::ROLE).map(String::as_str) == Some(Role::Serve.as_str()) {
            routed(&map, &mut routes, &mut blind);
        }
    }
    by_uid.extend(routes.iter().map(|(_, uid)| (uid.clone(), Use::Running)));
    let mut accepted: BTreeSet<(String, String)> = BTreeSet::new();
    for signal in cluster.signals.list() {
        declared.signals.insert(full_name(&*signal));
        let revision = signal.status.as_ref().and_then(|status| status.revision.clone());
        accepted.extend(revision.map(|revision| (signal.namespace().unwrap_or_default(), revision)));
    }
    declared.signals.extend(cluster.signals.unreadable().iter().map(ToString::to_string));
    let (mut sequences, mut digests) = (Vec::new(), BTreeMap::new());
    for revision in cluster.sequence_revisions.list() {
        let (Some(uid), namespace) = (revision.uid(), revision.namespace().unwrap_or_default()) else { continue };
        let feature = format!("{namespace}/{}", revision.spec.feature);
        let unseen = if blind.contains(&feature) { Use::Kept } else { Use::Gone };
        let said = [least.get(&(namespace, revision.name_any())), by_uid.get(&uid)];
        let least = said.into_iter().flatten().copied().fold(unseen, Use::max);
        let prepared = revision.status.as_ref().is_some_and(|status| status.prepared.is_some());
        digests.insert(uid.clone(), (revision.spec.compiled.digest.clone(), prepared));
        sequences.push(sequence(&revision, uid, feature, least));
    }
    let lost = routes.into_iter().filter(|(_, uid)| !digests.contains_key(uid)).map(|(feature, _)| feature).collect();
    let unsure = named_by(cluster, &lost);
    let (mut signals, mut names) = (Vec::new(), BTreeMap::new());
    for revision in cluster.signal_revisions.list() {
        let (Some(uid), namespace) = (revision.uid(), revision.namespace().unwrap_or_default()) else { continue };
        if accepted.contains(&(namespace.clone(), revision.name_any())) {
            declared.accepted.insert(uid.clone());
        }
        let of = QualifiedName::new(&namespace, &revision.spec.signal);
        let before = revision.status.as_ref().and_then(|status| status.needed).unwrap_or(Use::Kept);
        let least = if unsure.contains(&of) { before.max(Use::Kept) } else { Use::Gone };
        names.insert(uid.clone(), (of, revision.name_any()));
        signals.push(Signal { least, ..signal(&revision, uid, &namespace) });
    }
    Gathered { declared, sequences, signals, digests, names }
}

/// The features that name each signal, as namespace/name.
pub(super) fn named(cluster: &Cluster) -> BTreeMap<QualifiedName, BTreeSet<String>> {
    let mut named: BTreeMap<QualifiedName, BTreeSet<String>> = BTreeMap::new();
    for feature in cluster.features.list() {
        let own = feature.namespace().unwrap_or_default();
        for used in &feature.spec.definition.signals {
            let signal = QualifiedName::new(used.namespace.as_deref().unwrap_or(&own), &used.name);
            named.entry(signal).or_default().insert(full_name(&*feature));
        }
    }
    named
}

/// What is read by a revision that is read and is gone from the cluster is known no more; it is of these signals.
fn named_by(cluster: &Cluster, features: &BTreeSet<String>) -> BTreeSet<QualifiedName> {
    if features.is_empty() {
        return BTreeSet::new();
    }
    named(cluster).into_iter().filter(|(_, by)| !by.is_disjoint(features)).map(|(signal, _)| signal).collect()
}

fn sequence(revision: &SequenceRevision, uid: String, feature: String, least: Use) -> Sequence {
    let pinned_until = revision.status.as_ref().and_then(|status| status.pinned_until.as_ref()).map(|until| until.0);
    let signals = revision.spec.signals.iter().map(|pin| pin.uid.clone()).collect();
    Sequence { uid, feature, least, pinned_until, made: made(revision), signals }
}

fn signal(revision: &SignalRevision, uid: String, namespace: &str) -> Signal {
    let signal = format!("{namespace}/{}", revision.spec.signal);
    Signal { uid, signal, schema_version: revision.spec.schema_version, made: made(revision), least: Use::Gone }
}

/// Of an attempt that has not ended: what it came from runs, what it brings runs from Shadowing on until it is given up.
fn of_attempt(rollout: &SequenceRollout) -> Vec<(String, Use)> {
    let phase = rollout.status.as_ref().and_then(|status| status.phase);
    if phase.is_some_and(Phase::is_end) {
        return Vec::new();
    }
    let target = match phase {
        None | Some(Phase::Pending | Phase::Preparing | Phase::Aborting) => Use::Kept,
        Some(_) => Use::Running,
    };
    let previous = rollout.spec.previous.iter().map(|previous| (previous.uid.clone(), Use::Running));
    [(rollout.spec.target.uid.clone(), target)].into_iter().chain(previous).collect()
}

/// What a pool's routes name, by feature: it runs. Of an entry that cannot be read nothing may go.
fn routed(map: &ConfigMap, routes: &mut Vec<(String, String)>, blind: &mut BTreeSet<String>) {
    let namespace = map.namespace().unwrap_or_default();
    for (key, text) in map.data.iter().flatten() {
        let Some(feature) = key.strip_suffix(".json") else { continue };
        let feature = format!("{namespace}/{feature}");
        let entry = serde_json::from_str::<Value>(text).ok().and_then(|file| file.get("features")?.get(&feature).cloned());
        let Some(entry) = entry else {
            blind.insert(feature);
            continue;
        };
        let loaded = entry.get("loaded").and_then(Value::as_array).into_iter().flatten();
        for revision in [entry.get("live"), entry.get("trial")].into_iter().flatten().chain(loaded) {
            if let Some(uid) = revision.get("uid").and_then(Value::as_str) {
                routes.push((feature.clone(), uid.to_owned()));
            }
        }
    }
}

fn history(feature: &SequenceFeature) -> usize {
    let said = feature.spec.rollout.as_ref().and_then(|rollout| rollout.revision_history);
    said.map_or(HISTORY, |history| usize::try_from(history).unwrap_or_default())
}

fn at_least<K: Ord>(all: &mut BTreeMap<K, Use>, key: K, needed: Use) {
    let known = all.entry(key).or_insert(needed);
    *known = (*known).max(needed);
}

fn full_name<K: ResourceExt>(object: &K) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

fn made<K: ResourceExt>(object: &K) -> jiff::Timestamp {
    object.creation_timestamp().map(|time| time.0).unwrap_or_default()
}
