//! What the route map of a pool says of features, in the format of the engine's route files.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use tress_configs::route::RouteFile;

/// Of one feature: what is read, what is loaded beside it.
pub use tress_configs::route::{Pinned, Route as Entry};

/// The entries of a route map, by the feature's name without its namespace. A key that says something else is lost: what it held is
/// made again from what statuses say.
#[must_use]
pub fn entries(map: &ConfigMap) -> BTreeMap<String, Entry> {
    let keys = map.data.iter().flatten();
    let files = keys.filter_map(|(key, text)| match RouteFile::from_json(text.as_bytes()) {
        Ok(file) => Some(file.features),
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
    let file = RouteFile::from_json(text.as_bytes()).ok()?;
    file.features.into_iter().find(|(name, _)| name.split_once('/').is_some_and(|(_, name)| name == feature)).map(|(_, entry)| entry)
}

/// An epoch as statuses have it.
#[must_use]
pub fn told(epoch: u64) -> i64 {
    i64::try_from(epoch).unwrap_or(i64::MAX)
}

/// The epoch that a status tells; one that is none is older than all.
#[must_use]
pub fn heard(epoch: i64) -> u64 {
    u64::try_from(epoch).unwrap_or_default()
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
            epoch: 7,
            attempt: Some(3),
            contract: serde_json::from_str(r#"{"freshness": {"p99": "10s"}}"#).unwrap(),
            ..Entry::default()
        };
        let all = BTreeMap::from([("recent".to_owned(), entry.clone()), ("other".to_owned(), Entry { epoch: 1, ..Entry::default() })]);
        let place = Place { namespace: "movies".to_owned(), image: String::new(), secrets: Vec::new() };
        let mut map: ConfigMap = serde_json::from_value(route(&place, "default", &all)).unwrap();
        assert_eq!(entries(&map), all);
        assert_eq!((of(&map, "recent"), of(&map, "nobody")), (Some(entry), None));
        let data = map.data.as_mut().unwrap();
        data.insert("other.json".to_owned(), "{".to_owned());
        data.insert("newer.json".to_owned(), r#"{"version":2,"features":{}}"#.to_owned());
        assert_eq!(entries(&map).into_keys().collect::<Vec<_>>(), ["recent"]);
    }
}
