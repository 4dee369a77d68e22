//! Objects of one kind: what the watch has said, under what was written since.
//!
//! A write is seen at once, and stays until the watch has its version or a newer one; what was deleted is gone at once, by its UID. An own
//! write that the watch keeps silent about is doubtful after a while: somebody undid it while the watch was being begun anew.
//!
//! What is there and cannot be read stays as it was when it could; of what never could, at least the name is known: it is not gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kube::Resource;

use crate::clock::Stopwatch;
use crate::label;
use crate::queue::Key;

/// An object, as it is kept.
#[derive(Debug)]
pub(super) struct Item<K> {
    pub object: Arc<K>,
    /// What it looks like where it is not as its manifest says: a digest. `None` = it is, or has none.
    pub drifted: Option<u64>,
}

impl<K> Clone for Item<K> {
    fn clone(&self) -> Self {
        Self { object: Arc::clone(&self.object), drifted: self.drifted }
    }
}

/// An object before and after something changed.
#[derive(Debug)]
pub(super) struct Change<K> {
    pub before: Option<Arc<K>>,
    pub after: Option<Arc<K>>,
}

/// What we did that the watch has not shown yet.
#[derive(Debug)]
struct Own {
    did: Did,
    since: Stopwatch,
    /// Done before the list that is under way was asked for, and so in it.
    listed: bool,
}

#[derive(Debug)]
enum Did {
    Wrote { version: u64 },
    Deleted { uid: String },
}

/// Which objects a list is of: those of a namespace, or all.
pub(super) type Scope = Option<String>;

#[derive(Debug)]
pub(super) struct Shelf<K> {
    items: BTreeMap<Key, Item<K>>,
    /// By namespace and label `tress.dev/of`.
    made: BTreeMap<Key, BTreeSet<String>>,
    own: BTreeMap<Key, Own>,
    lists: BTreeMap<Scope, List<K>>,
    /// What is there and cannot be read.
    unreadable: BTreeSet<Key>,
}

/// What a list has that is under way.
#[derive(Debug)]
struct List<K> {
    items: BTreeMap<Key, Item<K>>,
    unreadable: BTreeSet<Key>,
}

impl<K> Default for List<K> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), unreadable: BTreeSet::new() }
    }
}

impl<K> Default for Shelf<K> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), made: BTreeMap::new(), own: BTreeMap::new(), lists: BTreeMap::new(), unreadable: BTreeSet::new() }
    }
}

impl<K: Resource> Shelf<K> {
    pub fn get(&self, key: &Key) -> Option<&Item<K>> {
        self.items.get(key)
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<K>> {
        self.items.values().map(|item| &item.object)
    }

    pub fn within(&self, namespace: &str) -> impl Iterator<Item = &Arc<K>> {
        let from = Key::new(namespace, "");
        self.items.range(from..).take_while(move |(key, _)| key.namespace == namespace).map(|(_, item)| &item.object)
    }

    pub fn made_for(&self, namespace: &str, of: &str) -> impl Iterator<Item = &Arc<K>> {
        let names = self.made.get(&Key::new(namespace, of)).into_iter().flatten();
        names.filter_map(move |name| self.items.get(&Key::new(namespace, name.as_str()))).map(|item| &item.object)
    }

    /// The watch says that this is there.
    pub fn watched(&mut self, item: Item<K>) -> Option<Change<K>> {
        let key = Key::of(&*item.object);
        match self.own.get(&key).map(|own| &own.did) {
            Some(Did::Wrote { version: ours }) if version(&*item.object) < *ours => return None,
            Some(Did::Deleted { uid: gone }) if uid(&*item.object) == *gone => return None,
            _ => {}
        }
        self.own.remove(&key);
        self.unreadable.remove(&key);
        self.put(key, item)
    }

    /// The watch says that the one with this UID is gone.
    pub fn unwatched(&mut self, key: &Key, gone: &str) -> Option<Change<K>> {
        self.unreadable.remove(key);
        if self.own.get(key).is_some_and(|own| matches!(&own.did, Did::Deleted { uid } if uid == gone)) {
            self.own.remove(key);
        }
        // Another of the same name may be there by now, by our own hand.
        if self.items.get(key).is_none_or(|item| uid(&*item.object) != gone) {
            return None;
        }
        self.own.remove(key);
        self.remove(key)
    }

    /// The watch says that this is there, and cannot be read.
    pub fn unread(&mut self, key: Key) {
        self.unreadable.insert(key);
    }

    /// Whether it is there and cannot be read.
    pub fn is_unreadable(&self, key: &Key) -> bool {
        self.unreadable.contains(key)
    }

    pub fn unreadable(&self) -> impl Iterator<Item = &Key> {
        self.unreadable.iter()
    }

    /// A list of all is asked for.
    pub fn begin(&mut self, scope: Scope) {
        for (key, own) in &mut self.own {
            own.listed |= covers(&scope, key);
        }
        self.lists.insert(scope, List::default());
    }

    /// One of the list.
    pub fn listed(&mut self, scope: &Scope, item: Item<K>) {
        self.lists.entry(scope.clone()).or_default().items.insert(Key::of(&*item.object), item);
    }

    /// One of the list that cannot be read.
    pub fn listed_unread(&mut self, scope: &Scope, key: Key) {
        self.lists.entry(scope.clone()).or_default().unreadable.insert(key);
    }

    /// The list is whole: what it has not is gone, but for what was written after it was asked for.
    pub fn done(&mut self, scope: &Scope) -> Vec<Change<K>> {
        let Some(List { items: list, unreadable }) = self.lists.remove(scope) else { return Vec::new() };
        self.unreadable.retain(|key| !covers(scope, key));
        self.unreadable.extend(unreadable);
        self.own.retain(|key, own| !(own.listed && covers(scope, key)));
        let missing: Vec<Key> = self
            .items
            .keys()
            .filter(|key| covers(scope, key) && !list.contains_key(*key) && !self.own.contains_key(*key))
            .filter(|key| !self.unreadable.contains(*key))
            .cloned()
            .collect();
        let mut changes: Vec<Change<K>> = missing.iter().filter_map(|key| self.remove(key)).collect();
        changes.extend(list.into_values().filter_map(|item| self.watched(item)));
        changes
    }

    /// We wrote this: it is what the API server answered.
    pub fn wrote(&mut self, item: Item<K>) -> Option<Change<K>> {
        let key = Key::of(&*item.object);
        let version = version(&*item.object);
        if self.items.get(&key).is_some_and(|known| self::version(&*known.object) >= version) {
            return None;
        }
        if self.own.get(&key).is_some_and(|own| matches!(&own.did, Did::Deleted { uid: gone } if *gone == uid(&*item.object))) {
            return None;
        }
        self.own.insert(key.clone(), Own { did: Did::Wrote { version }, since: Stopwatch::start(), listed: false });
        self.put(key, item)
    }

    /// We deleted the one with this UID.
    pub fn deleted(&mut self, key: &Key, gone: &str) -> Option<Change<K>> {
        match self.items.get(key) {
            Some(item) if uid(&*item.object) != gone => None,
            found => {
                let is_there = found.is_some();
                let own = Own { did: Did::Deleted { uid: gone.to_owned() }, since: Stopwatch::start(), listed: false };
                self.own.insert(key.clone(), own);
                if is_there { self.remove(key) } else { None }
            }
        }
    }

    /// Own writes that the watch has kept silent about for this long.
    pub fn doubtful(&self, age: Duration) -> Vec<Key> {
        self.own.iter().filter(|(_, own)| own.since.elapsed() >= age).map(|(key, _)| key.clone()).collect()
    }

    /// What the API server said of a doubtful one.
    pub fn settle(&mut self, key: &Key, found: Option<Item<K>>) -> Option<Change<K>> {
        match found {
            Some(item) => {
                self.own.remove(key);
                let is_older = self.items.get(key).is_some_and(|known| version(&*known.object) >= version(&*item.object));
                if is_older { None } else { self.put(key.clone(), item) }
            }
            None => {
                self.own.remove(key);
                self.remove(key)
            }
        }
    }

    fn put(&mut self, key: Key, item: Item<K>) -> Option<Change<K>> {
        let after = Arc::clone(&item.object);
        if let Some(of) = of(&*after) {
            self.made.entry(Key::new(key.namespace.as_str(), of)).or_default().insert(key.name.clone());
        }
        let before = self.items.insert(key.clone(), item).map(|item| item.object);
        if let Some(before) = &before
            && of(&**before) != of(&*after)
        {
            self.forget_maker(&key, before);
        }
        let is_same =
            before.as_ref().is_some_and(|b| uid(&**b) == uid(&*after) && version(&**b) == version(&*after) && version(&*after) > 0);
        (!is_same).then_some(Change { before, after: Some(after) })
    }

    fn remove(&mut self, key: &Key) -> Option<Change<K>> {
        let before = self.items.remove(key)?.object;
        self.forget_maker(key, &before);
        Some(Change { before: Some(before), after: None })
    }

    fn forget_maker(&mut self, key: &Key, object: &K) {
        let Some(of) = of(object) else { return };
        let made = Key::new(key.namespace.as_str(), of);
        if let Some(names) = self.made.get_mut(&made) {
            names.remove(&key.name);
            if names.is_empty() {
                self.made.remove(&made);
            }
        }
    }
}

fn covers(scope: &Scope, key: &Key) -> bool {
    scope.as_ref().is_none_or(|namespace| *namespace == key.namespace)
}

fn of<K: Resource>(object: &K) -> Option<&str> {
    object.meta().labels.as_ref()?.get(label::OF).map(String::as_str)
}

fn uid<K: Resource>(object: &K) -> &str {
    object.meta().uid.as_deref().unwrap_or_default()
}

/// Versions are decimal numbers that rise with every write of a kind: Kubernetes promises it. 0 = it has none, and is newer than nothing.
fn version<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0)
}
