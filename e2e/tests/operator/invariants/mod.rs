//! What must hold at every moment, looked for in all that ever was, in the order in which the server took it.

mod jobs;
mod live;
mod rollouts;
mod routes;
mod status;
#[cfg(test)]
mod tests;

pub use self::routes::read as routes_of;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::store::{Key, Version, is_going};

/// Everything as it is after a change.
#[derive(Debug, Default)]
pub struct Moment {
    objects: BTreeMap<Key, Arc<Value>>,
    /// Namespaces that are being deleted: anything may go there in any order.
    ending: BTreeSet<String>,
}

/// A change.
pub struct Change<'a> {
    pub version: &'a Version,
    /// The object as it was, if it is the same one.
    pub before: Option<&'a Value>,
}

/// Looks at every change.
pub trait Invariant {
    /// What is wrong, a sentence each.
    fn look(&mut self, moment: &Moment, change: &Change<'_>) -> Vec<String>;
}

impl Moment {
    pub fn get(&self, kind: &'static str, namespace: &str, name: &str) -> Option<&Value> {
        let key = Key { kind, namespace: namespace.to_owned(), name: name.to_owned() };
        self.objects.get(&key).map(|object| &**object)
    }

    pub fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a Key, &'a Value)> {
        self.objects.iter().filter(move |(key, _)| key.kind == kind).map(|(key, object)| (key, &**object))
    }
}

/// What was broken in this history, with the change that broke it.
pub fn broken(history: &[Version]) -> Vec<String> {
    let mut all: Vec<Box<dyn Invariant>> = vec![
        Box::new(status::Kstatus),
        Box::new(rollouts::Rollouts::default()),
        Box::new(routes::Routes::default()),
        Box::new(jobs::Jobs),
        Box::new(live::Live),
    ];
    let mut moment = Moment::default();
    let mut found = Vec::new();
    for version in history {
        let before = moment.objects.get(&version.key).cloned();
        if version.is_gone {
            moment.objects.remove(&version.key);
        } else {
            moment.objects.insert(version.key.clone(), Arc::clone(&version.object));
        }
        if version.key.kind == "Namespace" && is_going(&version.object) {
            moment.ending.insert(version.key.name.clone());
        }
        if moment.ending.contains(&version.key.namespace) || version.is_after_gap {
            continue;
        }
        let is_same = |before: &&Value| crate::store::uid(before) == crate::store::uid(&version.object);
        let change = Change { version, before: before.as_deref().filter(is_same) };
        for invariant in &mut all {
            let told = invariant.look(&moment, &change);
            found.extend(told.into_iter().map(|what| format!("at {} {}: {what}", version.revision, version.key)));
        }
    }
    found
}
