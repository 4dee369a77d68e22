//! Everything that is read of a feature, before anything is decided.

use std::sync::Arc;

use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use tress_crds::definition::{Change, FeatureStatus};
use tress_crds::revision::PinnedSignal;
use tress_crds::rollout::RevisionRef;
use tress_crds::{SequenceFeature, SequenceRevision, SequenceRollout, SignalRevision};

use crate::compile;
use crate::pool::entry::Entry;
use crate::pool::told::Told;

/// What there is.
#[derive(Debug, Clone)]
pub struct Observed {
    pub feature: Arc<SequenceFeature>,
    pub compiled: Arc<compile::Feature>,
    /// The revision that the definition is; `None` = it is not made yet, or the definition has mistakes.
    pub revision: Option<Arc<SequenceRevision>>,
    /// What is read.
    pub live: Option<Arc<SequenceRevision>>,
    /// Between what is read and the definition; `None` = nothing is read, or it is not known.
    pub change: Option<Change>,
    /// Of this object, by number.
    pub attempts: Vec<Arc<SequenceRollout>>,
    /// The greatest number of an attempt, also of an object of the same name before.
    pub greatest: i32,
    pub serving: Serving,
    /// The signals that are read, or that will be when nothing is.
    pub signals: Vec<Signal>,
    pub limits: Limits,
    /// How long definitions have to be left alone.
    pub quiet: SignedDuration,
}

/// A signal of what is read.
#[derive(Debug, Clone)]
pub struct Signal {
    pub pinned: PinnedSignal,
    pub revision: Option<Arc<SignalRevision>>,
    pub stream: Option<Arc<Deployment>>,
}

/// Where it is served.
#[derive(Debug, Clone)]
pub struct Serving {
    /// The pool that the spec names.
    pub declared: Pool,
    /// The pool that readers are sent to, or that the newest attempt is for; `None` = there is neither.
    pub current: Option<Pool>,
}

/// A pool, as this feature sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pool {
    pub name: String,
    pub entry: Option<Entry>,
    pub pods: Vec<Told>,
}

/// What the platform allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Why no feature more may be in its namespace; a sentence.
    pub features: Option<String>,
    /// Why no revision more may run in its namespace; a sentence.
    pub running: Option<String>,
    /// Who runs the revisions of a signal of which no more may run.
    pub crowded: Option<String>,
    /// Of what is read: which signal's definition is not accepted as it is now; a sentence.
    pub unsettled: Option<String>,
    /// Why no engine here runs what is declared; a sentence.
    pub semantics: Option<String>,
    /// The same of what is read.
    pub stranded: Option<String>,
    /// Why the pool that is named cannot serve; a sentence.
    pub pool: Option<String>,
}

impl Observed {
    /// The status as it was written last.
    pub fn before(&self) -> FeatureStatus {
        self.feature.status.clone().unwrap_or_default()
    }

    /// `namespace/name`
    pub fn name(&self) -> String {
        format!("{}/{}", self.feature.namespace().unwrap_or_default(), self.feature.name_any())
    }

    /// The pool that readers are sent to, or will be.
    pub fn pool(&self) -> &Pool {
        self.serving.current.as_ref().unwrap_or(&self.serving.declared)
    }
}

/// What names a revision in an attempt.
pub fn reference(revision: &SequenceRevision) -> RevisionRef {
    let compiled = &revision.spec.compiled;
    RevisionRef {
        revision: revision.name_any(),
        uid: revision.uid().unwrap_or_default(),
        digest: compiled.digest.clone(),
        source_hash: compiled.source_hash.clone(),
    }
}
