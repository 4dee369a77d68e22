//! Who the connections of a revision are. A name that is pointed elsewhere would read as an empty table: it is refused instead.

use std::collections::{BTreeMap, BTreeSet};

use tress_configs::SignalPlan;
use tress_configs::plan::BatchPlan;

use super::{OwnTopics, Revision};
use crate::error::{Error, ErrorKind, Result};
use crate::platform::Platform;

/// The names of the connections to object stores that a plan reads, each once.
pub fn of_stores(plan: &SignalPlan) -> BTreeSet<&String> {
    let external = match &plan.source.batch {
        BatchPlan::External(log) => Some(&log.connection),
        BatchPlan::Archive => None,
    };
    plan.enrichments.iter().map(|e| &e.lookup.connection).chain(external).collect()
}

/// Of each object store that the plan reads, by connection.
pub fn stores(platform: &Platform, plan: &SignalPlan) -> Result<BTreeMap<String, String>> {
    let mut stores = BTreeMap::new();
    for name in of_stores(plan) {
        if let Some(identity) = platform.tables(name)?.identity() {
            stores.insert(name.clone(), identity.to_owned());
        }
    }
    Ok(stores)
}

/// Whether connections still lead where they led when the revision was prepared.
///
/// # Errors
/// `Invalid`, naming the connection, when one does not.
pub async fn check(platform: &Platform, plan: &SignalPlan, revision: &Revision) -> Result<()> {
    let moved = |name: &str, from: &str, to: &str| {
        Error::invalid(format!(
            "connection {name}: it led to {from} when the revision was prepared and leads to {to} now; point it back, or give the new place a name of its own"
        ))
    };
    let now = stores(platform, plan)?;
    for (name, was) in &revision.stores {
        match now.get(name) {
            Some(is) if is == was => {}
            is => return Err(moved(name, was, is.map_or("a folder", String::as_str))),
        }
    }
    if let Some(OwnTopics { cluster: Some(was), changelog, .. }) = &revision.topics {
        match platform.own_log().id(changelog).await {
            Ok(id) if id.cluster == *was => {}
            Ok(id) => return Err(moved("of outputs.changelog", &format!("cluster {was}"), &format!("cluster {}", id.cluster))),
            // Perhaps another cluster, and certainly nothing to go on with: who follows it says so.
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    let connection = &plan.source.stream.connection;
    if let (Some(reader), Some(now)) = (&revision.reader, platform.registry_identity(connection)?)
        && now != reader.registry
    {
        return Err(moved(connection, &format!("registry {}", reader.registry), &format!("registry {now}")));
    }
    match platform.log(connection)?.id(&revision.topic).await {
        Ok(id) if id.cluster == revision.cluster => Ok(()),
        Ok(id) => Err(moved(connection, &format!("cluster {}", revision.cluster), &format!("cluster {}", id.cluster))),
        // Who reads the topic says that it is gone.
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}
