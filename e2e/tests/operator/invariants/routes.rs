//! Routes: epochs go up, and readers are sent elsewhere only by an attempt that says so first.

use std::collections::BTreeMap;

use serde_json::Value;
use tress_engine::serve::{Pinned, Route, RouteFile};

use super::{Change, Invariant, Moment};
use crate::store::text;

#[derive(Default)]
pub struct Routes {
    /// The last route of a feature, by its name and the UID of its object, also of one that is gone.
    last: BTreeMap<(String, Option<String>), Route>,
}

/// The routes of a ConfigMap; `Err` = what is wrong with it.
pub fn read(map: &Value) -> Result<BTreeMap<String, Route>, String> {
    let mut all = BTreeMap::new();
    for (file, text) in map.get("data").and_then(Value::as_object).into_iter().flatten() {
        let text = text.as_str().unwrap_or_default();
        let routes = RouteFile::from_json(text.as_bytes()).map_err(|e| format!("{file}: {e}"))?;
        all.extend(routes.features);
    }
    Ok(all)
}

pub fn is_route(key: &crate::store::Key) -> bool {
    key.kind == "ConfigMap" && key.name.ends_with("-route")
}

impl Invariant for Routes {
    fn look(&mut self, moment: &Moment, change: &Change<'_>) -> Vec<String> {
        let version = change.version;
        if !is_route(&version.key) || version.is_gone {
            return Vec::new();
        }
        let routes = match read(&version.object) {
            Ok(routes) => routes,
            Err(wrong) => return vec![wrong],
        };
        let mut broken = Vec::new();
        let read_before = change.before.and_then(|before| read(before).ok()).unwrap_or_default();
        for (feature, before) in read_before {
            let is_read = routes.get(&feature).is_some_and(|route| route.live.is_some());
            if before.live.is_some() && !is_read && is_declared(moment, &feature, &before) {
                broken.push(format!("{feature}: nothing is live any more, and it is declared"));
            }
        }
        for (feature, route) in routes {
            let last = self.last.insert((feature.clone(), route.feature_uid.clone()), route.clone());
            if let Some(last) = &last {
                if route.epoch < last.epoch {
                    broken.push(format!("{feature}: the epoch goes from {} to {}", last.epoch, route.epoch));
                }
                if route.epoch == last.epoch && !route.reads_as(last) {
                    broken.push(format!("{feature}: readers are sent elsewhere under the epoch {}", route.epoch));
                }
            }
            let was = last.and_then(|last| last.live);
            if route.live != was
                && let Some(live) = &route.live
                && !is_told(moment, &version.key.namespace, &feature, live)
            {
                broken.push(format!("{feature}: readers are sent to {}, and no attempt says so", live.uid));
            }
        }
        broken
    }
}

/// Whether the feature that a route is for is there.
fn is_declared(moment: &Moment, feature: &str, route: &Route) -> bool {
    let Some((namespace, name)) = feature.split_once('/') else { return false };
    let declared = moment.get("SequenceFeature", namespace, name);
    declared.is_some_and(|declared| route.feature_uid.as_deref().is_none_or(|uid| uid == crate::store::uid(declared)))
}

/// Whether an attempt has said that readers go there.
fn is_told(moment: &Moment, namespace: &str, feature: &str, live: &Pinned) -> bool {
    moment.all("SequenceRollout").any(|(key, rollout)| {
        let is_of = key.namespace == namespace && feature == format!("{namespace}/{}", text(rollout, "/spec/feature"));
        let phases = ["CuttingOver", "Retiring", "Succeeded"];
        is_of && text(rollout, "/spec/target/uid") == live.uid && phases.contains(&text(rollout, "/status/phase"))
    })
}
