//! Objects of one kind, to be read from anywhere, without a call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use kube::Resource;
use tokio::sync::watch;

use super::shelf::{Change, Item, Scope, Shelf};
use crate::queue::Key;

/// What is told of a change: the object before, and after.
type Observer<K> = Box<dyn Fn(&K) + Send + Sync>;

/// All objects of a kind that are watched, with our own last writes. Cheap to clone; clones show the same.
pub struct View<K>(Arc<Shown<K>>);

struct Shown<K> {
    shelf: RwLock<Shelf<K>>,
    changes: AtomicU64,
    observers: RwLock<Vec<Observer<K>>>,
    /// How many first lists are still awaited.
    awaited: watch::Sender<usize>,
}

impl<K> Clone for View<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Resource> std::fmt::Debug for View<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("objects", &self.read().len()).field("changes", &self.changes()).finish()
    }
}

impl<K: Resource> View<K> {
    /// For tests: these, and no server.
    #[must_use]
    pub fn of(objects: Vec<K>) -> Self {
        let view = Self::awaiting(0);
        view.begin(None);
        for object in objects {
            view.listed(&None, Item { object: Arc::new(object), drifted: None });
        }
        view.done(&None);
        view
    }

    /// One that is filled by so many watches.
    pub(super) fn awaiting(lists: usize) -> Self {
        Self(Arc::new(Shown {
            shelf: RwLock::new(Shelf::default()),
            changes: AtomicU64::new(0),
            observers: RwLock::new(Vec::new()),
            awaited: watch::Sender::new(lists),
        }))
    }

    /// The object of this name. `namespace`: empty for a kind that has none.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.read().get(&Key::new(namespace, name)).map(|item| Arc::clone(&item.object))
    }

    /// All, by namespace and name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<K>> {
        self.read().all().cloned().collect()
    }

    /// Those of a namespace, by name.
    #[must_use]
    pub fn within(&self, namespace: &str) -> Vec<Arc<K>> {
        self.read().within(namespace).cloned().collect()
    }

    /// Those of a namespace whose label `tress.dev/of` is this, by name.
    #[must_use]
    pub fn made_for(&self, namespace: &str, of: &str) -> Vec<Arc<K>> {
        self.read().made_for(namespace, of).cloned().collect()
    }

    /// Rises with every change of what is shown: for memos.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Acquire)
    }

    /// Whether an object of this name is there that this operator cannot read: it is not gone, and nothing is to be done about it.
    #[must_use]
    pub fn is_unreadable(&self, namespace: &str, name: &str) -> bool {
        self.read().is_unreadable(&Key::new(namespace, name))
    }

    /// The names of objects that are there and cannot be read.
    #[must_use]
    pub fn unreadable(&self) -> Vec<Key> {
        self.read().unreadable().cloned().collect()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.read().len()
    }

    /// Waits until every watch has shown what was there when it began.
    pub async fn synced(&self) {
        let mut awaited = self.0.awaited.subscribe();
        // The sender is ours: it is there as long as we are.
        let _ = awaited.wait_for(|lists| *lists == 0).await;
    }

    /// Whether every watch has shown what was there when it began.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        *self.0.awaited.borrow() == 0
    }

    /// Has every change told from now on: the object before, and after. It must return soon.
    pub(crate) fn observe(&self, observer: impl Fn(&K) + Send + Sync + 'static) {
        self.0.observers.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(observer));
    }

    /// The object, and how it has drifted.
    pub(crate) fn item(&self, key: &Key) -> Option<(Arc<K>, Option<u64>)> {
        self.read().get(key).map(|item| (Arc::clone(&item.object), item.drifted))
    }

    pub(super) fn begin(&self, scope: Scope) {
        self.write().begin(scope);
    }

    pub(super) fn listed(&self, scope: &Scope, item: Item<K>) {
        self.write().listed(scope, item);
    }

    pub(super) fn done(&self, scope: &Scope) {
        let changes = self.write().done(scope);
        self.tell(changes);
    }

    /// The first list of one of the watches is whole.
    pub(super) fn arrived(&self) {
        self.0.awaited.send_modify(|lists| *lists = lists.saturating_sub(1));
    }

    pub(super) fn watched(&self, item: Item<K>) {
        let change = self.write().watched(item);
        self.tell(change);
    }

    pub(super) fn unwatched(&self, key: &Key, uid: &str) {
        let change = self.write().unwatched(key, uid);
        self.tell(change);
    }

    pub(super) fn unread(&self, key: Key) {
        self.write().unread(key);
        self.0.changes.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn listed_unread(&self, scope: &Scope, key: Key) {
        self.write().listed_unread(scope, key);
    }

    pub(super) fn own_write(&self, item: Item<K>) {
        let change = self.write().wrote(item);
        self.tell(change);
    }

    pub(super) fn own_delete(&self, key: &Key, uid: &str) {
        let change = self.write().deleted(key, uid);
        self.tell(change);
    }

    pub(super) fn doubtful(&self, age: Duration) -> Vec<Key> {
        self.read().doubtful(age)
    }

    pub(super) fn settle(&self, key: &Key, found: Option<Item<K>>) {
        let change = self.write().settle(key, found);
        self.tell(change);
    }

    /// Observers are called without the lock, so that they may read.
    fn tell(&self, changes: impl IntoIterator<Item = Change<K>>) {
        let observers = self.0.observers.read().unwrap_or_else(PoisonError::into_inner);
        for Change { before, after } in changes {
            self.0.changes.fetch_add(1, Ordering::AcqRel);
            for observer in observers.iter() {
                for object in before.iter().chain(&after) {
                    observer(object);
                }
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Shelf<K>> {
        self.0.shelf.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Shelf<K>> {
        self.0.shelf.write().unwrap_or_else(PoisonError::into_inner)
    }
}
