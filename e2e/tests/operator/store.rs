//! Everything that is there in the namespaces of a test, and every state that it was in before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::kinds;

/// An object among all others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub kind: &'static str,
    /// Empty = it is in none.
    pub namespace: String,
    pub name: String,
}

/// A state of an object.
#[derive(Debug, Clone)]
pub struct Version {
    pub key: Key,
    /// Etcd counts all changes of all objects: an order among all of them.
    pub revision: u64,
    /// As it was, for one that is gone as it was last.
    pub object: Arc<Value>,
    pub is_gone: bool,
    /// Nobody watched for a while: there may have been others before it.
    pub is_after_gap: bool,
}

/// What is there; shared by whoever looks.
#[derive(Debug, Clone)]
pub struct Store(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    now: BTreeMap<Key, Arc<Value>>,
    log: Vec<Version>,
}

/// `pointer` of an object as text; empty if it is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// `pointer` of an object as a whole number.
pub fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// What is listed at `pointer`.
pub fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

pub fn label<'a>(object: &'a Value, name: &str) -> &'a str {
    object.pointer("/metadata/labels").and_then(|labels| labels.get(name)).and_then(Value::as_str).unwrap_or_default()
}

pub fn is_going(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

impl Key {
    pub fn of(kind: &'static str, object: &Value) -> Self {
        let part = |pointer| text(object, pointer).to_owned();
        Self { kind, namespace: part("/metadata/namespace"), name: part("/metadata/name") }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

impl Store {
    /// Follows all kinds in the namespaces whose names begin with `prefix`, until the tasks are dropped.
    pub fn follow(client: &Client, prefix: &str) -> (Self, JoinSet<()>) {
        let store = Self(Arc::new(Shared { inner: Mutex::default(), changes: watch::Sender::new(0) }));
        let mut tasks = JoinSet::new();
        for kind in kinds::all() {
            let api: Api<DynamicObject> = Api::all_with(client.clone(), kind);
            let (store, prefix) = (store.clone(), prefix.to_owned());
            tasks.spawn(async move {
                let mut events = watcher(api, watcher::Config::default()).boxed();
                let mut listed = BTreeSet::new();
                while let Some(event) = events.next().await {
                    // A server that does not answer is asked again.
                    let Ok(event) = event else {
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                        continue;
                    };
                    store.heard(&kind.kind, &prefix, &mut listed, event);
                }
            });
        }
        (store, tasks)
    }

    fn heard(&self, kind: &'static str, prefix: &str, listed: &mut BTreeSet<Key>, event: Event<DynamicObject>) {
        let is_seen = |object: &DynamicObject| {
            let at = object.namespace().unwrap_or_else(|| object.name_any());
            at.starts_with(prefix)
        };
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) if is_seen(&object) => {
                let version = Version { is_after_gap: true, ..version(kind, &object, false) };
                listed.insert(version.key.clone());
                self.note(version);
            }
            Event::Apply(object) if is_seen(&object) => self.note(version(kind, &object, false)),
            Event::Delete(object) if is_seen(&object) => self.note(version(kind, &object, true)),
            Event::InitDone => {
                // What went while nobody watched.
                let gone: Vec<(Key, Arc<Value>)> = self.all(kind).into_iter().filter(|(key, _)| !listed.contains(key)).collect();
                for (key, object) in gone {
                    self.note(Version { revision: revision(&object), key, object, is_gone: true, is_after_gap: true });
                }
            }
            _ => {}
        }
    }

    fn note(&self, version: Version) {
        let mut inner = self.0.inner.lock().unwrap();
        let same = inner.now.get(&version.key).is_some_and(|now| revision(now) == version.revision) && !version.is_gone;
        if same {
            return;
        }
        if version.is_gone {
            inner.now.remove(&version.key);
        } else {
            inner.now.insert(version.key.clone(), Arc::clone(&version.object));
        }
        inner.log.push(version);
        drop(inner);
        self.0.changes.send_modify(|n| *n += 1);
    }

    /// Told after every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    pub fn get(&self, kind: &'static str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let key = Key { kind, namespace: namespace.to_owned(), name: name.to_owned() };
        self.0.inner.lock().unwrap().now.get(&key).cloned()
    }

    pub fn all(&self, kind: &str) -> Vec<(Key, Arc<Value>)> {
        let inner = self.0.inner.lock().unwrap();
        inner.now.iter().filter(|(key, _)| key.kind == kind).map(|(key, object)| (key.clone(), Arc::clone(object))).collect()
    }

    /// Everything, of all kinds.
    pub fn everything(&self) -> Vec<(Key, Arc<Value>)> {
        self.0.inner.lock().unwrap().now.iter().map(|(key, object)| (key.clone(), Arc::clone(object))).collect()
    }

    /// Every state that anything was in, in the order in which the server took them.
    pub fn history(&self) -> Vec<Version> {
        let mut log = self.0.inner.lock().unwrap().log.clone();
        log.sort_by_key(|version| version.revision);
        log
    }
}

fn revision(object: &Value) -> u64 {
    text(object, "/metadata/resourceVersion").parse().unwrap_or(0)
}

fn version(kind: &'static str, object: &DynamicObject, is_gone: bool) -> Version {
    let mut value = serde_json::to_value(object).unwrap();
    value["metadata"].as_object_mut().unwrap().remove("managedFields");
    Version { key: Key::of(kind, &value), revision: revision(&value), object: Arc::new(value), is_gone, is_after_gap: false }
}
