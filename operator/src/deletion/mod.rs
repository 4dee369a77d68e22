//! What is left of revisions whose definitions said `deletionPolicy: Delete`. No finalizer holds anything up: a record in the operator's
//! namespace is there before the first topic or table is, and outlives definition, revision and namespace.
//!
//! ```text
//! record (namespace, revision, UID) ─▶ is the UID gone, by an uncached read? does nobody read it? ─▶ drop job here ─▶ the record goes
//! ```

mod act;
mod decide;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use serde_json::json;
use tress_crds::{SequenceRevision, SignalRevision};

use self::decide::{Decision, Facts, decide};
use crate::context::Context;
use crate::error::Result;
use crate::jobs;
use crate::label::{self, Role};
use crate::name::{self, Job};
use crate::queue::{Key, Next, Triggers};

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    namespace: String,
    revision: String,
    uid: String,
}

/// What wakes a record: itself, its job, its revision, and what reads it.
#[must_use]
pub fn triggers() -> Triggers {
    Triggers::keys(|context| {
        let maps = context.cluster.maps.within(&context.home);
        maps.iter().filter(|map| is_record(map)).map(|map| Key::of(&**map)).collect()
    })
    .when(
        |cluster| &cluster.maps,
        |context, map: &ConfigMap| {
            let is_one = map.namespace().as_deref() == Some(&*context.home) && is_record(map);
            if is_one { vec![Key::of(map)] } else { Vec::new() }
        },
    )
    .made(|cluster| &cluster.jobs)
    .made(|cluster| &cluster.pods)
    .when(
        |cluster| &cluster.signal_revisions,
        |context, revision: &SignalRevision| revision.uid().map(|uid| Key::new(&*context.home, name::record(&uid))).into_iter().collect(),
    )
    .when(
        |cluster| &cluster.sequence_revisions,
        |context, revision: &SequenceRevision| {
            revision.spec.signals.iter().map(|pin| Key::new(&*context.home, name::record(&pin.uid))).collect()
        },
    )
}

/// Looks at one record.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn reconcile(context: &Context, key: &Key) -> Result<Next> {
    if *key.namespace != *context.home {
        return Ok(Next::Rest);
    }
    let Some((map, record)) = context.cluster.maps.get(&key.namespace, &key.name).and_then(|map| Some((map.clone(), read(&map)?))) else {
        return Ok(Next::Rest);
    };
    let is_it = |revision: &SignalRevision| revision.uid().as_deref() == Some(record.uid.as_str());
    let seen = context.cluster.signal_revisions.get(&record.namespace, &record.revision).is_some_and(|r| is_it(&r));
    let look = context.needs.look(&context.cluster, context.clock.now());
    let mut facts = Facts {
        there: seen,
        read: !look.needed.readers(&record.uid).is_empty(),
        drop: jobs::observe(&context.cluster, (&key.namespace, &name::job(&key.name, Job::Drop)), &map.uid().unwrap_or_default()),
    };
    if !facts.there && !facts.read {
        // The caches may be behind, or may not show its namespace any more.
        facts.there = context.writer.fresh::<SignalRevision>(&record.namespace, &record.revision).await?.is_some_and(|r| is_it(&r));
    }
    let now = context.clock.now();
    let Decision { action, next } = decide(&facts, now);
    act::act(context, (&map, &record), action, &facts).await?;
    Ok([next, look.again].into_iter().flatten().min().map_or(Next::Rest, Next::At))
}

/// Says that what belongs to a revision goes with it.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn record(context: &Context, revision: &SignalRevision) -> Result<()> {
    let uid = revision.uid().unwrap_or_default();
    let name = name::record(&uid);
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": &*context.home, "labels": label::labels(Role::Drop, &name)},
        "data": {"namespace": revision.namespace(), "revision": revision.name_any(), "uid": uid},
    });
    context.writer.ensure(object, &uid).await?;
    Ok(())
}

/// Says so no more.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn forget(context: &Context, record: Option<&ConfigMap>) -> Result<()> {
    match record {
        Some(record) => context.writer.delete(record).await,
        None => Ok(()),
    }
}

/// Whether a map is a record.
#[must_use]
pub fn is_record(map: &ConfigMap) -> bool {
    read(map).is_some()
}

/// Whether there are records in a namespace: drop jobs need the account of our pods there.
#[must_use]
pub fn keeps_records(context: &Context, namespace: &str) -> bool {
    *context.home == *namespace && context.cluster.maps.within(namespace).iter().any(|map| is_record(map))
}

fn read(map: &ConfigMap) -> Option<Record> {
    let role = map.labels().get(label::ROLE).map(String::as_str);
    let data: &BTreeMap<String, String> = map.data.as_ref().filter(|_| role == Some(Role::Drop.as_str()))?;
    let [namespace, revision, uid] = ["namespace", "revision", "uid"].map(|key| data.get(key).cloned());
    Some(Record { namespace: namespace?, revision: revision?, uid: uid? })
}
