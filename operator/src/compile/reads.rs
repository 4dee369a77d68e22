//! What a feature reads: of each signal that it names the definition, and the revision that counts.

use std::sync::Arc;

use kube::ResourceExt;
use tress_configs::definition::{SignalUse, Update};
use tress_configs::name::QualifiedName;
use tress_crds::revision::PinnedSignal;
use tress_crds::{SequenceFeature, SignalDefinition, SignalRevision};

use crate::cluster::Cluster;

/// A signal as a feature reads it.
#[derive(Debug, Clone)]
pub struct Read {
    pub signal: QualifiedName,
    /// `None` = there is none.
    pub definition: Option<Arc<SignalDefinition>>,
    /// The revision that is read; `None` = there is none of the schema version that the feature names.
    pub revision: Option<Arc<SignalRevision>>,
}

/// Of each signal that a feature names what there is, as the caches have it. `live`: what its live revision reads.
#[must_use]
pub fn reads_of(cluster: &Cluster, feature: &SequenceFeature, live: &[PinnedSignal]) -> Vec<Read> {
    let definition = |signal: &QualifiedName| cluster.signals.get(&signal.namespace, &signal.name);
    read_of(feature, live, definition, |signal| cluster.signal_revisions.made_for(&signal.namespace, &signal.name))
}

/// The same, where `definition` and `revisions` look it up, the latter with all revisions of a
/// signal. `live`: what the live revision of the feature reads; `update: Hold` stays on it.
#[must_use]
pub fn read_of(
    feature: &SequenceFeature,
    live: &[PinnedSignal],
    definition: impl Fn(&QualifiedName) -> Option<Arc<SignalDefinition>>,
    revisions: impl Fn(&QualifiedName) -> Vec<Arc<SignalRevision>>,
) -> Vec<Read> {
    let own = feature.namespace().unwrap_or_default();
    let read = |used: &SignalUse| {
        let signal = QualifiedName::new(used.namespace.as_deref().unwrap_or(&own), &used.name);
        let definition = definition(&signal);
        let revision = definition.as_deref().and_then(|definition| choose(definition, &revisions(&signal), used, live));
        Read { signal, definition, revision }
    };
    feature.spec.definition.signals.iter().map(read).collect()
}

/// The revision of a signal that a feature reads: of the schema version that it names, the one that it holds, else the one that the
/// definition is. Of a schema version that the definition has left nothing more will come: who reads it stays on what it reads, and who
/// does not begins with the newest. One that is on its way out is none.
#[must_use]
pub fn choose(
    definition: &SignalDefinition,
    revisions: &[Arc<SignalRevision>],
    used: &SignalUse,
    live: &[PinnedSignal],
) -> Option<Arc<SignalRevision>> {
    let wanted = used.schema_version.unwrap_or(1);
    let signal = definition.name_any();
    let fits = |r: &&Arc<SignalRevision>| r.spec.signal == signal && r.spec.schema_version == wanted && !is_leaving(r);
    let fitting: Vec<&Arc<SignalRevision>> = revisions.iter().filter(fits).collect();
    let is_live = |r: &&&Arc<SignalRevision>| live.iter().any(|pin| r.uid().as_deref() == Some(pin.uid.as_str()));
    let read = fitting.iter().find(is_live);
    let held = read.filter(|_| used.update == Some(Update::Hold));
    let has_left = definition.spec.definition.schema_version.unwrap_or(1) != wanted;
    let accepted = definition.status.as_ref().and_then(|status| status.revision.as_deref());
    let is_accepted = |r: &&&Arc<SignalRevision>| Some(r.name_any().as_str()) == accepted;
    let age = |r: &&&Arc<SignalRevision>| (r.creation_timestamp(), r.name_any());
    let found = held.or_else(|| fitting.iter().find(is_accepted)).or(read.filter(|_| has_left)).or_else(|| fitting.iter().max_by_key(age));
    found.map(|r| Arc::clone(r))
}

/// The signals whose definitions changed and were not looked at yet: what they will be is not known.
#[must_use]
pub fn unobserved(reads: &[Read]) -> Vec<&QualifiedName> {
    let is_behind = |definition: &SignalDefinition| {
        let observed = definition.status.as_ref().and_then(|status| status.observed_generation);
        observed != definition.metadata.generation
    };
    reads.iter().filter(|read| read.definition.as_deref().is_some_and(is_behind)).map(|read| &read.signal).collect()
}

/// Whether it is deleted, or what belongs to it is being dropped.
fn is_leaving(revision: &SignalRevision) -> bool {
    revision.metadata.deletion_timestamp.is_some() || revision.status.as_ref().is_some_and(|status| status.dropping.is_some())
}
