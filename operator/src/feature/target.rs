//! The revision that a definition is: one that is there already, or a new one.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};
use tress_configs::Compiled;
use tress_configs::plan::canonical;
use tress_crds::revision::{CompiledSource, PinnedSignal, SequenceRevisionSpec};
use tress_crds::rollout::{ChangedSignal, SequenceRolloutSpec};
use tress_crds::{SequenceFeature, SequenceRevision, SequenceRollout};

use super::seen::{Observed, reference};
use crate::{label, name};

/// The annotation by which a person sends a behavioural change to readers without a comparison; its value is the target revision.
pub const FORCE: &str = "tress.dev/force";
/// The pool of features that name none.
pub const DEFAULT_POOL: &str = "default";

/// What is to be done so that the definition's revision is there.
#[derive(Debug, Clone)]
pub enum Revision {
    /// It is there.
    There(Arc<SequenceRevision>),
    Create(Box<SequenceRevision>),
    /// One of its name reads other signal revisions, and nothing reads it: it goes first.
    Replace(Arc<SequenceRevision>),
    /// One of its name is in the way and is read: a sentence.
    Blocked(String),
}

/// Finds the definition's revision among what is there. `named`: the one of its name; `live`: what is read.
#[must_use]
pub fn revision(
    feature: &SequenceFeature,
    (compiled, signals): (&Compiled, &[PinnedSignal]),
    named: Option<&Arc<SequenceRevision>>,
    live: Option<&Arc<SequenceRevision>>,
) -> Revision {
    let reads_the_same = |revision: &&Arc<SequenceRevision>| {
        let uids = |pins: &[PinnedSignal]| pins.iter().map(|pin| pin.uid.clone()).collect::<Vec<_>>();
        uids(&revision.spec.signals) == uids(signals)
    };
    // Another way to write the same.
    if let Some(live) = live.filter(|live| live.spec.compiled.digest == compiled.digest).filter(reads_the_same) {
        return Revision::There(Arc::clone(live));
    }
    let Some(named) = named else { return Revision::Create(Box::new(made(feature, compiled, signals))) };
    if named.spec.compiled.source_hash == compiled.source_hash && reads_the_same(&named) {
        return Revision::There(Arc::clone(named));
    }
    // Of what is read, only the way it was compiled may have changed.
    if live.is_some_and(|live| live.uid() == named.uid()) {
        let same = named.spec.compiled.source_hash == compiled.source_hash;
        let why = || format!("the revision {} is read and is not what is declared: give the feature a new name", named.name_any());
        return if same { Revision::There(Arc::clone(named)) } else { Revision::Blocked(why()) };
    }
    Revision::Replace(Arc::clone(named))
}

/// Whether a revision reads a signal revision that is no more: another one has its name. `signals`: what is read now.
#[must_use]
pub fn is_stranded(revision: &SequenceRevision, signals: &[PinnedSignal]) -> bool {
    let is_anew =
        |pin: &PinnedSignal, now: &PinnedSignal| (&pin.namespace, &pin.revision) == (&now.namespace, &now.revision) && pin.uid != now.uid;
    revision.spec.signals.iter().any(|pin| signals.iter().any(|now| is_anew(pin, now)))
}

/// The revision that a definition is.
pub(super) fn made(feature: &SequenceFeature, compiled: &Compiled, signals: &[PinnedSignal]) -> SequenceRevision {
    let definition = feature.name_any();
    let spec = SequenceRevisionSpec {
        feature: definition.clone(),
        semantics: compiled.plan.as_feature().and_then(|plan| i32::try_from(plan.semantics).ok()).unwrap_or(1),
        compiled: CompiledSource {
            source_hash: compiled.source_hash.clone(),
            digest: compiled.digest.clone(),
            plan: compiled.plan.canonical_json(),
            source: canonical(&serde_json::to_value(&feature.spec.definition).unwrap_or_default()),
        },
        signals: signals.to_vec(),
    };
    let mut revision = SequenceRevision::new(&name::revision(&definition, &compiled.source_hash), spec);
    revision.metadata = ObjectMeta { namespace: feature.namespace(), labels: Some(labels(&definition)), ..revision.metadata };
    revision
}

/// The attempt with this number to bring the feature to its declared revision.
#[must_use]
pub fn attempt(seen: &Observed, target: &SequenceRevision, number: i32) -> SequenceRollout {
    let feature = &seen.feature;
    let definition = feature.name_any();
    let live = seen.live.as_deref();
    let is_read = |pin: &PinnedSignal| live.is_some_and(|live| live.spec.signals.iter().any(|read| read.uid == pin.uid));
    let changed = target.spec.signals.iter().filter(|pin| !is_read(pin));
    let changed: Vec<ChangedSignal> = changed
        .map(|pin| ChangedSignal { namespace: pin.namespace.clone(), revision: pin.revision.clone(), uid: pin.uid.clone() })
        .collect();
    let spec = SequenceRolloutSpec {
        feature: definition.clone(),
        attempt: number,
        target: reference(target),
        previous: live.map(reference),
        changed: Some(changed).filter(|changed| !changed.is_empty()),
        class: live.and(seen.change.as_ref()).map(|change| change.class),
        lifecycle: feature.spec.definition.lifecycle,
        forced: is_forced(feature, &target.name_any()).then_some(true),
        pool: pool_of(feature).to_owned(),
        policy: feature.spec.rollout.clone(),
        intent: None,
    };
    let mut rollout = SequenceRollout::new(&name::attempt(&definition, number), spec);
    rollout.metadata = ObjectMeta {
        namespace: feature.namespace(),
        labels: Some(labels(&definition)),
        owner_references: Some(vec![owner(feature)]),
        ..rollout.metadata
    };
    rollout
}

/// Whether a person sends this very revision to readers without a comparison.
#[must_use]
pub fn is_forced(feature: &SequenceFeature, target: &str) -> bool {
    feature.annotations().get(FORCE).is_some_and(|forced| forced == target)
}

/// The pool that a feature is declared to be served by.
#[must_use]
pub fn pool_of(feature: &SequenceFeature) -> &str {
    let serving = feature.spec.runtime.as_ref().and_then(|runtime| runtime.serving.as_ref());
    serving.and_then(|serving| serving.pool.as_deref()).unwrap_or(DEFAULT_POOL)
}

/// Whether `object` was made for this very feature, and not for one of its name before.
#[must_use]
pub fn is_of(rollout: &SequenceRollout, feature: &SequenceFeature) -> bool {
    rollout.owner_references().iter().any(|owner| Some(owner.uid.as_str()) == feature.uid().as_deref())
}

/// When an object was made.
#[must_use]
pub fn made_at<K: Resource>(object: &K) -> Timestamp {
    object.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |at| at.0)
}

fn labels(feature: &str) -> std::collections::BTreeMap<String, String> {
    [(label::OF, feature), label::MANAGED].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

fn owner(feature: &SequenceFeature) -> OwnerReference {
    OwnerReference {
        api_version: SequenceFeature::api_version(&()).into_owned(),
        kind: SequenceFeature::kind(&()).into_owned(),
        name: feature.name_any(),
        uid: feature.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(false),
    }
}
