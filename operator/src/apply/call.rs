//! One call: only while this process leads for long enough, never longer than that, counted.

use std::time::Duration;

use kube::Client;
use tokio::time::timeout;

use super::Writer;
use crate::cluster::Watched;
use crate::error::{Error, Result};
use crate::queue::Key;

/// The longest that one call may take; what is left of the lease must be more.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Read,
    Apply,
    Create,
    Replace,
    Status,
    Delete,
}

impl Verb {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Apply => "apply",
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Status => "status",
            Self::Delete => "delete",
        }
    }
}

impl Writer {
    /// The object as the API server has it now, whole: for what the caches do not keep, and where a moment ago is too long ago.
    ///
    /// # Errors
    /// `Api` or `Timeout`.
    pub async fn fresh<K: Watched>(&self, namespace: &str, name: &str) -> Result<Option<K>> {
        let key = Key::new(namespace, name);
        let api = self.api::<K>(&key);
        self.call::<K, _>(Verb::Read, &key, api.get_opt(name)).await
    }

    pub(super) fn api<K: Watched>(&self, key: &Key) -> kube::Api<K> {
        K::api(self.client(), (!key.namespace.is_empty()).then_some(key.namespace.as_str()))
    }

    /// Whether a namespace is known to be on its way out: nothing can be made in it.
    pub(crate) fn is_leaving(&self, namespace: &str) -> bool {
        let known = self.0.cluster.namespaces.get("", namespace);
        known.is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_some())
    }

    pub(crate) fn client(&self) -> Client {
        self.0.client.clone()
    }

    /// Makes one call; every one goes through here.
    pub(super) async fn call<K: Watched, T>(&self, verb: Verb, key: &Key, call: impl Future<Output = kube::Result<T>>) -> Result<T> {
        let kind = K::kind(&());
        self.guarded(verb, (&kind, key), call).await
    }

    /// The same for kinds that are not watched.
    pub(crate) async fn guarded<T>(&self, verb: Verb, (kind, key): (&str, &Key), call: impl Future<Output = kube::Result<T>>) -> Result<T> {
        if verb != Verb::Read && self.0.leadership.left() <= PATIENCE {
            self.0.metrics.called(kind, verb.as_str(), "refused");
            return Err(Error::NotLeader);
        }
        let doing = || format!("{} {kind} {key}", verb.as_str());
        let result = match timeout(PATIENCE, call).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(Error::of_api(&doing(), &error)),
            Err(_) => Err(Error::Timeout { doing: doing() }),
        };
        let outcome = match &result {
            Ok(_) => "done",
            Err(Error::Conflict) => "conflict",
            Err(Error::Timeout { .. }) => "timeout",
            Err(_) => "failed",
        };
        match verb {
            Verb::Read => self.0.metrics.read(kind, outcome),
            _ => self.0.metrics.called(kind, verb.as_str(), outcome),
        }
        if result.is_ok() && verb != Verb::Read {
            tracing::debug!(verb = verb.as_str(), kind, %key, "written");
        }
        result
    }
}
