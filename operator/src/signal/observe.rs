//! Everything that is read of a signal's definition, before anything is decided.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt;
use tress_configs::name::QualifiedName;
use tress_configs::plan::SignalPlan;
use tress_configs::{Compiled, Issue};
use tress_crds::{SignalDefinition, SignalRevision};

use super::admit::{self, Refused};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::queue::Key;
use crate::{compile, name};

/// What there is.
#[derive(Debug, Clone)]
pub struct Facts {
    pub definition: Arc<SignalDefinition>,
    pub compiled: Arc<Result<Compiled, Vec<Issue>>>,
    /// What the platform does not allow, of a definition that compiled.
    pub refused: Vec<Refused>,
    /// The revision of the name that this definition's has; it may be another's.
    pub named: Option<Arc<SignalRevision>>,
    /// What was accepted last of this schema version; `None` = nothing was.
    pub last: Option<Last>,
    /// The features that read the signal, or will, as namespace/name.
    pub readers: BTreeSet<String>,
}

/// What was accepted last.
#[derive(Debug, Clone)]
pub struct Last {
    pub revision: Arc<SignalRevision>,
    /// A sentence instead, where it cannot be read: it is damaged or of a newer program.
    pub plan: Result<Arc<SignalPlan>, String>,
}

/// `None` = the definition is gone, or on its way.
pub(super) async fn observe(context: &Context, key: &Key) -> Result<Option<Facts>> {
    let cluster = &context.cluster;
    let found = cluster.signals.get(&key.namespace, &key.name);
    let Some(definition) = found.filter(|d| d.metadata.deletion_timestamp.is_none()) else { return Ok(None) };
    let compiled = context.compiled.signal(&definition);
    let (mut refused, mut named, mut last) = (Vec::new(), None, None);
    if let Ok(compiled) = &*compiled
        && let Some(plan) = compiled.plan.as_signal()
    {
        refused = admit::refused(&definition, plan, &context.platform.now().file);
        named = cluster.signal_revisions.get(&key.namespace, &name::revision(&key.name, &compiled.source_hash));
        let is_it = |r: &Arc<SignalRevision>| r.spec.compiled.source_hash == compiled.source_hash;
        if !named.as_ref().is_some_and(is_it) {
            last = accepted(context, &definition).await?;
        }
    }
    let mut readers = context.needs.named_by(cluster, &QualifiedName::new(&key.namespace, &key.name));
    readers.retain(|feature| may_read(context, &definition, feature));
    Ok(Some(Facts { definition, compiled, refused, named, last, readers }))
}

/// Whether a feature, as namespace/name, that names a signal reads it, or will. Who is not let in is nobody's reader; who was is one for
/// as long as it has something live.
fn may_read(context: &Context, signal: &SignalDefinition, feature: &str) -> bool {
    let Some((namespace, name)) = feature.split_once('/') else { return false };
    let is_let_in = signal.namespace().as_deref() == Some(namespace)
        || signal.spec.definition.shared_with.iter().flatten().any(|shared| shared == namespace);
    let reads = || context.cluster.features.get(namespace, name).is_some_and(|f| f.status.as_ref().is_some_and(|s| s.live.is_some()));
    is_let_in || reads()
}

/// Of the definition's schema version: the revision that its status names, else the newest.
async fn accepted(context: &Context, definition: &SignalDefinition) -> Result<Option<Last>> {
    let (namespace, signal) = (definition.namespace().unwrap_or_default(), definition.name_any());
    let wanted = definition.spec.definition.schema_version.unwrap_or(1);
    let mut all = context.cluster.signal_revisions.made_for(&namespace, &signal);
    all.retain(|r| r.spec.signal == signal && r.spec.schema_version == wanted && r.metadata.deletion_timestamp.is_none());
    let named = definition.status.as_ref().and_then(|status| status.revision.as_deref());
    let is_named = |r: &&Arc<SignalRevision>| Some(r.name_any().as_str()) == named;
    let newest = all.iter().max_by_key(|r| (r.creation_timestamp(), r.name_any()));
    let Some(revision) = all.iter().find(is_named).or(newest).cloned() else { return Ok(None) };
    let plan = match compile::plan(context, &revision).await {
        Ok(plan) => Ok(plan),
        Err(Error::Invalid { message }) => Err(message),
        Err(other) => return Err(other),
    };
    Ok(Some(Last { revision, plan }))
}
