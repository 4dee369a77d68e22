//! Which changed objects wake which keys.

use std::fmt;
use std::sync::Arc;

use kube::ResourceExt;

use super::{Key, Queue};
use crate::cluster::{Cluster, View, Watched};
use crate::context::Context;
use crate::label;

/// Where a kind is shown: `|cluster| &cluster.signals`.
type Shown<K> = for<'a> fn(&'a Cluster) -> &'a View<K>;

/// What wakes the keys of a controller. Every object is told to it as it was before and as it is after a change, so that what no longer
/// refers to something wakes it too.
pub struct Triggers {
    bindings: Vec<Box<dyn Fn(&Arc<Context>, &Queue) + Send + Sync>>,
    all: Box<dyn Fn(&Context) -> Vec<Key> + Send + Sync>,
}

impl fmt::Debug for Triggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Triggers").field("bindings", &self.bindings.len()).finish_non_exhaustive()
    }
}

impl Triggers {
    /// A controller of this kind: each object wakes its own key; all are woken at the start, when the platform's configuration changes,
    /// and by the long resync.
    #[must_use]
    pub fn each<K: Watched>(of: Shown<K>) -> Self {
        let all = Box::new(move |context: &Context| of(&context.cluster).list().iter().map(|object| Key::of(&**object)).collect());
        Self { bindings: Vec::new(), all }.when(of, |_, object| vec![Key::of(object)])
    }

    /// A controller of keys that are no objects: `all` of them at the start, when the platform's configuration changes, and by the long
    /// resync.
    #[must_use]
    pub fn keys(all: impl Fn(&Context) -> Vec<Key> + Send + Sync + 'static) -> Self {
        Self { bindings: Vec::new(), all: Box::new(all) }
    }

    /// An object of this kind wakes what it is made for: its namespace and label `tress.dev/of`.
    #[must_use]
    pub fn made<K: Watched>(self, of: Shown<K>) -> Self {
        self.when(of, |_, object| {
            let made_for = object.labels().get(label::OF);
            made_for.map(|name| Key::new(object.namespace().unwrap_or_default(), name.as_str())).into_iter().collect()
        })
    }

    /// An object of this kind wakes these keys.
    #[must_use]
    pub fn when<K: Watched>(mut self, of: Shown<K>, wakes: impl Fn(&Context, &K) -> Vec<Key> + Send + Sync + 'static) -> Self {
        let wakes = Arc::new(wakes);
        self.bindings.push(Box::new(move |context, queue| {
            let (wakes, context, queue) = (Arc::clone(&wakes), Arc::clone(context), queue.clone());
            of(&context.cluster.clone()).observe(move |object| {
                if queue.is_open() {
                    queue.add(wakes(&context, object));
                }
            });
        }));
        self
    }

    /// What a pod of this pool says now and did not say before wakes these keys: `|context, namespace, pool| …`.
    #[must_use]
    pub fn when_said(mut self, wakes: impl Fn(&Context, &str, &str) -> Vec<Key> + Send + Sync + 'static) -> Self {
        let wakes = Arc::new(wakes);
        self.bindings.push(Box::new(move |context, queue| {
            let (wakes, inner, queue) = (Arc::clone(&wakes), Arc::clone(context), queue.clone());
            context.pods.observe(move |namespace, pool| {
                if queue.is_open() {
                    queue.add(wakes(&inner, namespace, pool));
                }
            });
        }));
        self
    }

    /// Has changes wake keys of `queue`, for as long as the process lives.
    pub(super) fn connect(&self, context: &Arc<Context>, queue: &Queue) {
        for bind in &self.bindings {
            bind(context, queue);
        }
    }

    /// Every key of the controller.
    pub(super) fn all(&self, context: &Context) -> Vec<Key> {
        (self.all)(context)
    }
}
