//! What stands in a namespace, by version: nothing was written where nothing has another one.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::site::Site;

/// What the operator makes and speaks of, with its status.
const KINDS: &str = "signaldefinitions,sequencefeatures,signalrevisions,sequencerevisions,sequencerollouts,backfills,deployments,services,\
configmaps,secrets,serviceaccounts,poddisruptionbudgets,networkpolicies,jobs";

/// By kind and name: UID and resource version.
pub type Versions = BTreeMap<String, String>;

pub fn versions(site: &Site, namespace: &str) -> Versions {
    let all = site.get(namespace, KINDS);
    let text = |object: &Value, at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let items = all["items"].as_array().expect("a list");
    items
        .iter()
        .map(|object| {
            let name = format!("{}/{}", text(object, "/kind"), text(object, "/metadata/name"));
            let version = format!("{} {}", text(object, "/metadata/uid"), text(object, "/metadata/resourceVersion"));
            (name, version)
        })
        .collect()
}

/// Waits until nothing has been written for a while. What stands there then.
pub async fn at_rest(site: &Site, namespace: &str) -> Versions {
    let (mut before, mut same) = (versions(site, namespace), 0);
    site.until("at rest", async || {
        let now = versions(site, namespace);
        same = if now == before { same + 1 } else { 0 };
        before = now;
        same >= 12
    })
    .await;
    before
}

/// Whether it is of what runs, in which a feature that is added has no part.
pub fn is_of_workload(name: &str) -> bool {
    ["Deployment/", "Service/", "Secret/", "ServiceAccount/", "PodDisruptionBudget/", "NetworkPolicy/"]
        .iter()
        .any(|kind| name.starts_with(kind))
}
