//! Objects that run the engine: pure builders, a file a role. Each gives the whole object as it is applied; equal inputs give equal bytes.
//!
//! The platform file is mounted at `/etc/tress`, secrets below `/var/run/secrets/tress`, what a role is given at `/etc/tress-given`.
//! Pods get no token, write nowhere but to `/tmp` and their report, and may be nobody.

mod archive;
mod backfill;
mod connections;
mod drop;
mod guard;
mod job;
mod pod;
mod prepare;
mod serving;
mod stream;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};
use tress_configs::definition::{API_VERSION, Resources};

pub use archive::{Archived, archive};
pub use backfill::{Filled, base, demands, plan, seal, work};
pub use connections::{ALL_CONNECTIONS, CONNECTIONS, all_connections, connections};
pub use drop::{drop, drop_elsewhere};
pub use guard::{SERVICE_ACCOUNT, disruption, network, service_account};
pub use prepare::{Revision, plan_of, prepare};
pub use serving::{GRPC, Pool, pool, pool_guards, pool_pods, pool_service, route, routes_of};
pub use stream::stream;

use crate::label::{self, Role};

/// What all workloads of a namespace have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub namespace: String,
    /// The engine's image.
    pub image: String,
    /// Secrets that the namespace's connections name.
    pub secrets: Vec<String>,
}

/// The object that a workload belongs to, and goes with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub kind: &'static str,
    pub name: String,
    pub uid: String,
}

impl Owner {
    /// Of what belongs to no object of ours: the operator itself removes it.
    #[must_use]
    pub const fn none(name: String) -> Self {
        Self { kind: "", name, uid: String::new() }
    }

    fn reference(&self) -> Value {
        let api_version = if self.kind == "ConfigMap" { "v1" } else { API_VERSION };
        json!([{"apiVersion": api_version, "kind": self.kind, "name": self.name, "uid": self.uid, "controller": true, "blockOwnerDeletion": false}])
    }
}

/// `metadata` of what is made for `owner`.
fn metadata(place: &Place, name: &str, role: Role, owner: &Owner) -> Value {
    let mut metadata = json!({
        "name": name,
        "namespace": place.namespace,
        "labels": label::labels(role, &owner.name),
    });
    if !owner.kind.is_empty() {
        metadata["ownerReferences"] = owner.reference();
    }
    metadata
}

/// Requests and limits: those that are given, over the role's own.
fn resources(given: Option<&Resources>, own: (&str, &str)) -> Value {
    let (cpu, memory) = own;
    let mut all = json!({"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}});
    let Some(Resources { requests, limits }) = given else { return all };
    for (part, given) in [("requests", requests), ("limits", limits)] {
        for (name, quantity) in given.iter().flatten() {
            all[part][name] = json!(quantity);
        }
    }
    // A limit below the role's own request lowers the request.
    if requests.as_ref().is_none_or(|r| !r.contains_key("memory"))
        && let Some(limit) = limits.as_ref().and_then(|l| l.get("memory"))
    {
        all["requests"]["memory"] = json!(limit);
    }
    all
}
