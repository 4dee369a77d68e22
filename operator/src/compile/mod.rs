//! Definitions to plans, as the caches hold them: compiled once, and remembered for as long as memory allows.
//!
//! ```text
//! SignalDefinition ─────────────────────────────────▶ Compiler::signal  ─▶ plan, or all issues
//! SequenceFeature ─▶ reads (definition, revision) ──▶ compile::feature  ─▶ plan and pins, or what is missing, or all issues
//! SignalRevision ─▶ read back once ─────────────────▶ compile::plan     ─▶ its plan, checked against its digest
//! ```
//! A feature is compiled against *revisions* of signals, never against their definitions: a signal's new spec that has mistakes, that
//! would break readers or that is not looked at yet changes nothing for the features that read it.

mod memo;
mod reads;
#[cfg(test)]
mod tests;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt;
use tress_configs::compile::{Pinned, QualifiedObject};
use tress_configs::definition::{API_VERSION, FeatureObject, Metadata, Object, SignalObject, Update};
use tress_configs::name::QualifiedName;
use tress_configs::plan::SignalPlan;
use tress_configs::{Compiled, Issue, Pins, Plan, compile};
use tress_crds::revision::PinnedSignal;
use tress_crds::{SequenceFeature, SignalDefinition, SignalRevision};
use xxhash_rust::xxh3::xxh3_128;

use self::memo::Memo;
pub use self::reads::{Read, choose, read_of, reads_of, unobserved};
pub use self::told::{message, warnings};
use crate::context::Context;
use crate::error::{Error, Result};

/// Compiles, and remembers by UID and generation; answers are the same whether they were remembered or not. Cheap to clone; clones share
/// what they remember.
#[derive(Debug, Clone, Default)]
pub struct Compiler(Arc<Remembered>);

#[derive(Debug)]
struct Remembered {
    signals: Memo<Result<Compiled, Vec<Issue>>>,
    features: Memo<Feature>,
    plans: Memo<SignalPlan>,
}

/// What became of a feature.
#[derive(Debug, Clone, PartialEq)]
pub enum Feature {
    Compiled {
        compiled: Compiled,
        /// The revisions that it reads, in the order of the plan.
        signals: Vec<PinnedSignal>,
    },
    /// A signal that it names is not there, or has no revision yet: nothing is known of the feature. A sentence for people.
    Missing(String),
    /// All its mistakes.
    Invalid(Vec<Issue>),
}

/// Bytes of plans' JSON that are remembered, of signals, of features and of revisions each; in memory a plan takes about three times
/// as much.
const BUDGET: usize = 6 << 20;
/// What a list of issues counts as.
const ISSUES: usize = 4096;

impl Default for Remembered {
    fn default() -> Self {
        Self { signals: Memo::new(BUDGET), features: Memo::new(BUDGET), plans: Memo::new(BUDGET) }
    }
}

/// Gives a revision with its plan, which the caches leave out.
pub trait ReadBack: Sync {
    /// `None` = it is gone.
    fn read_back(&self, revision: &SignalRevision) -> impl Future<Output = Result<Option<SignalRevision>>> + Send;
}

impl Compiler {
    /// What became of a signal's definition.
    #[must_use]
    pub fn signal(&self, definition: &SignalDefinition) -> Arc<Result<Compiled, Vec<Issue>>> {
        self.0.signals.get_or(stamp(definition), || {
            let object = definition.object();
            let compiled = one(&[object.clone()], &QualifiedObject::of(&object), &Pins::default());
            let weight = weight(compiled.as_ref().ok());
            (compiled, weight)
        })
    }

    /// What became of a feature that reads these: see [`reads_of`]. `read_back` gives a revision with its plan, which the caches leave out;
    /// `None` = it is gone.
    ///
    /// # Errors
    /// Those of `read_back`.
    pub async fn feature(&self, feature: &SequenceFeature, reads: &[Read], read_back: &impl ReadBack) -> Result<Arc<Feature>> {
        let mut key = stamp(feature);
        for Read { signal, definition, revision } in reads {
            let definition = definition.as_deref().map(stamp).unwrap_or_default();
            let revision = revision.as_deref().and_then(ResourceExt::uid).unwrap_or_default();
            key.push_str(&format!("|{signal} {definition} {revision}"));
        }
        if let Some(remembered) = self.0.features.find(&key) {
            return Ok(remembered);
        }
        let mut plans = BTreeMap::new();
        for read in reads {
            let Some(revision) = read.revision.as_deref() else { continue };
            match self.plan(revision, read_back).await {
                Ok(plan) => drop(plans.insert(read.signal.clone(), plan)),
                // Nothing is remembered of it: it may be another one soon.
                Err(Error::Invalid { message }) => return Ok(Arc::new(Feature::Missing(message))),
                Err(other) => return Err(other),
            }
        }
        Ok(self.0.features.get_or(key, || {
            let made = compiled(feature, reads, &plans);
            let compiled = if let Feature::Compiled { compiled, .. } = &made { Some(compiled) } else { None };
            let weight = weight(compiled);
            (made, weight)
        }))
    }

    /// The plan of a signal's revision.
    ///
    /// # Errors
    /// `Invalid` where it is gone, damaged or of a newer program; those of `read_back`.
    pub async fn plan(&self, revision: &SignalRevision, read_back: &impl ReadBack) -> Result<Arc<SignalPlan>> {
        let key = revision.uid().unwrap_or_default();
        if let Some(remembered) = self.0.plans.find(&key) {
            return Ok(remembered);
        }
        let about = |why: &str| Error::invalid(format!("the signal revision {}: {why}", revision.name_any()));
        let whole = read_back.read_back(revision).await?.filter(|whole| whole.uid() == revision.uid());
        let whole = whole.ok_or_else(|| about("it is gone"))?;
        let text = &whole.spec.compiled.plan;
        let plan = checked(text, &whole.spec.compiled.digest).map_err(|why| about(&why))?;
        Ok(self.0.plans.get_or(key, || (plan, text.len())))
    }
}

/// What became of a feature, as the caches have what it names. `live`: what its live revision reads; `update: Hold` stays on it.
///
/// # Errors
/// When a revision cannot be read back.
pub async fn feature(context: &Context, feature: &SequenceFeature, live: &[PinnedSignal]) -> Result<Arc<Feature>> {
    let reads = reads_of(&context.cluster, feature, live);
    context.compiled.feature(feature, &reads, context).await
}

/// The plan of a signal's revision.
///
/// # Errors
/// `Invalid` where it is gone, damaged or of a newer program; others when it cannot be read back.
pub async fn plan(context: &Context, revision: &SignalRevision) -> Result<Arc<SignalPlan>> {
    context.compiled.plan(revision, context).await
}

impl ReadBack for Context {
    async fn read_back(&self, revision: &SignalRevision) -> Result<Option<SignalRevision>> {
        self.writer.fresh(&revision.namespace().unwrap_or_default(), &revision.name_any()).await
    }
}

fn compiled(feature: &SequenceFeature, reads: &[Read], plans: &BTreeMap<QualifiedName, Arc<SignalPlan>>) -> Feature {
    let mut spec = feature.spec.0.clone();
    let metadata = Metadata { name: feature.name_any(), namespace: feature.namespace() };
    let named = metadata.qualified();
    let mut pins = Pins::default();
    let mut known: Vec<Object> = Vec::with_capacity(reads.len() + 1);
    for used in &mut spec.definition.signals {
        let signal = QualifiedName::new(used.namespace.as_deref().unwrap_or(&named.namespace), &used.name);
        let read = reads.iter().find(|read| read.signal == signal);
        let Some(definition) = read.and_then(|read| read.definition.as_deref()) else {
            return Feature::Missing(format!("there is no signal {signal}"));
        };
        let (Some(revision), Some(plan)) = (read.and_then(|read| read.revision.as_deref()), plans.get(&signal)) else {
            let wanted = used.schema_version.unwrap_or(1);
            return Feature::Missing(format!("the signal {signal} has no revision of schema version {wanted} yet: see its conditions"));
        };
        pins.insert(named.clone(), Pinned { plan: Arc::clone(plan), source_hash: revision.spec.compiled.source_hash.clone() });
        // Which revision is read was chosen before; compile is told to stay on it. Neither plan nor source hash knows of this.
        used.update = Some(Update::Hold);
        let outline = Object::SignalDefinition(outline(definition));
        if !known.contains(&outline) {
            known.push(outline);
        }
    }
    let object = Object::SequenceFeature(FeatureObject { api_version: API_VERSION.to_owned(), metadata, spec });
    let wanted = QualifiedObject::of(&object);
    known.push(object);
    let compiled = match one(&known, &wanted, &pins) {
        Ok(compiled) => compiled,
        Err(issues) => return Feature::Invalid(issues),
    };
    match pinned(&compiled, reads) {
        Some(signals) => Feature::Compiled { compiled, signals },
        None => Feature::Missing("a revision that it reads has another digest than its plan says".to_owned()),
    }
}

/// The revisions that a feature's plan reads, in its order.
fn pinned(compiled: &Compiled, reads: &[Read]) -> Option<Vec<PinnedSignal>> {
    let of = |name: &QualifiedName, digest: &str| {
        let revision = reads.iter().find(|read| read.signal == *name)?.revision.as_deref()?;
        let is_it = revision.spec.compiled.digest == digest;
        is_it.then(|| PinnedSignal {
            namespace: name.namespace.clone(),
            revision: revision.name_any(),
            uid: revision.uid().unwrap_or_default(),
            digest: digest.to_owned(),
        })
    };
    compiled.plan.as_feature()?.signals.iter().map(|read| of(&read.name, &read.digest)).collect()
}

/// What of a signal's definition matters to a feature that reads one of its revisions: that it is there, whom it is shared with, whether
/// it goes away. What costs time to compile is left out.
fn outline(signal: &SignalDefinition) -> SignalObject {
    let metadata = Metadata { name: signal.name_any(), namespace: signal.namespace() };
    let mut spec = signal.spec.0.clone();
    spec.runtime = None;
    let definition = &mut spec.definition;
    definition.executor = None;
    definition.enrichments = None;
    definition.columns = None;
    definition.source.filter = None;
    definition.event.delete = None;
    SignalObject { api_version: API_VERSION.to_owned(), metadata, spec }
}

fn one(objects: &[Object], wanted: &QualifiedObject, pins: &Pins) -> Result<Compiled, Vec<Issue>> {
    let mut outcome = compile(objects, pins);
    outcome.remove(wanted).unwrap_or_else(|| Err(Vec::new()))
}

fn checked(text: &str, digest: &str) -> Result<SignalPlan, String> {
    if format!("{:032x}", xxh3_128(text.as_bytes())) != *digest {
        return Err("its plan is not the one that its digest names; delete it, and it is made anew".to_owned());
    }
    match Plan::from_json(text)? {
        Plan::Signal(plan) => Ok(plan),
        Plan::Feature(_) => Err("its plan is a feature's; delete it, and it is made anew".to_owned()),
    }
}

/// Which state of which object it is.
fn stamp<K: ResourceExt>(object: &K) -> String {
    format!("{}@{}", object.uid().unwrap_or_default(), object.meta().generation.unwrap_or_default())
}

fn weight(compiled: Option<&Compiled>) -> usize {
    compiled.map_or(ISSUES, |compiled| compiled.plan.canonical_json().len())
}
