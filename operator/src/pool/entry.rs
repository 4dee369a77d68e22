//! What a pool's route says of one feature, in the format of the engine's route files.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tress_configs::definition::Contract;
use tress_crds::rollout::RevisionRef;

/// Of one feature: what is read, what is loaded beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_uid: Option<String>,
    /// `None` before the first revision is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Pinned>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Pinned>,
    /// Kept ready, but not routed: read until just now, or asked for by digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loaded: Vec<Pinned>,
    /// Share of entities that the trial answers, in basis points.
    #[serde(default)]
    pub weight_bp: u32,
    /// Goes up with every change.
    pub epoch: i64,
    /// The number of the attempt that made this route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    /// What the feature promises, so that pods say where they do not keep it. `None` = it is not known; an empty one promises nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
}

/// A sequence revision, exactly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pinned {
    pub uid: String,
    /// Of its plan.
    pub digest: String,
}

impl From<&RevisionRef> for Pinned {
    fn from(RevisionRef { revision: _, uid, digest, source_hash: _ }: &RevisionRef) -> Self {
        Self { uid: uid.clone(), digest: digest.clone() }
    }
}

impl Entry {
    /// Every revision that it names.
    pub fn revisions(&self) -> impl Iterator<Item = &Pinned> {
        self.live.iter().chain(&self.trial).chain(&self.loaded)
    }
}

/// A key of the map.
#[derive(Deserialize)]
struct File {
    version: u32,
    features: BTreeMap<String, Entry>,
}

/// The entries of a route map, by the feature's name without its namespace. A key that says something else is lost: what it held is
/// made again from what statuses say.
#[must_use]
pub fn entries(map: &ConfigMap) -> BTreeMap<String, Entry> {
    let keys = map.data.iter().flatten();
    let files = keys.filter_map(|(key, text)| match serde_json::from_str::<File>(text) {
        Ok(File { version: 1, features }) => Some(features),
        Ok(File { version, .. }) => {
            tracing::warn!(key, version, "a route of a newer operator");
            None
        }
        Err(error) => {
            tracing::warn!(key, %error, "not a route; it is made again");
            None
        }
    });
    files.flatten().filter_map(|(name, entry)| Some((name.split_once('/')?.1.to_owned(), entry))).collect()
}

/// The entry of one feature; `None` = there is none, or it is lost.
#[must_use]
pub fn of(map: &ConfigMap, feature: &str) -> Option<Entry> {
    let text = map.data.as_ref()?.get(&format!("{feature}.json"))?;
    let file: File = serde_json::from_str(text).ok().filter(|file: &File| file.version == 1)?;
    file.features.into_iter().find(|(name, _)| name.split_once('/').is_some_and(|(_, name)| name == feature)).map(|(_, entry)| entry)
}

/// As the map has them.
#[must_use]
pub fn values(entries: &BTreeMap<String, Entry>) -> BTreeMap<String, Value> {
    entries.iter().map(|(feature, entry)| (feature.clone(), serde_json::to_value(entry).unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Place, route};

    #[test]
    fn a_map_reads_back_as_it_was_written_and_what_is_broken_is_lost_alone() {
        let pinned = |uid: &str| Pinned { uid: uid.to_owned(), digest: "0".repeat(32) };
        let entry = Entry {
            feature_uid: Some("f".to_owned()),
            live: Some(pinned("a")),
            trial: Some(pinned("b")),
            loaded: vec![pinned("c")],
            weight_bp: 0,
            epoch: 7,
            attempt: Some(3),
            contract: serde_json::from_str(r#"{"freshness": {"p99": "10s"}}"#).unwrap(),
        };
        let all = BTreeMap::from([("recent".to_owned(), entry.clone()), ("other".to_owned(), Entry { epoch: 1, ..Entry::default() })]);
        let place = Place { namespace: "movies".to_owned(), image: String::new(), secrets: Vec::new() };
        let mut map: ConfigMap = serde_json::from_value(route(&place, "default", &values(&all))).unwrap();
        assert_eq!(entries(&map), all);
        assert_eq!((of(&map, "recent"), of(&map, "nobody")), (Some(entry.clone()), None));
        assert_eq!(entry.revisions().map(|p| p.uid.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        let data = map.data.as_mut().unwrap();
        data.insert("other.json".to_owned(), "{".to_owned());
        data.insert("newer.json".to_owned(), r#"{"version":2,"features":{}}"#.to_owned());
        assert_eq!(entries(&map).into_keys().collect::<Vec<_>>(), ["recent"]);
    }
}
