//! Writes of single objects: made once, put whole, spoken of, deleted.

use std::sync::Arc;

use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::core::object::HasStatus;
use kube::core::{Request, request};
use serde::Serialize;
use serde_json::json;

use super::call::Verb;
use super::{MANAGER, Writer};
use crate::cluster::Watched;
use crate::error::{Error, Result};
use crate::queue::Key;

impl Writer {
    /// Makes an object, once: one of its name that is there already is given back. What comes from the caches is lean (see
    /// [`crate::cluster`]).
    ///
    /// # Errors
    /// `NotLeader`, `Timeout`, `Api`.
    pub async fn create<K: Watched>(&self, object: &K) -> Result<Arc<K>> {
        let key = Key::of(object);
        if let Some((known, _)) = K::view(&self.0.cluster).item(&key) {
            return Ok(known);
        }
        match self.post(object).await {
            Err(Error::Api { code: 409, .. }) => {
                let found = self.fresh::<K>(&key.namespace, &key.name).await?.ok_or(Error::Conflict)?;
                self.0.cluster.wrote(&found);
                Ok(Arc::new(found))
            }
            made => made,
        }
    }

    /// Puts an object whole, if it is still of the version that it names. One that names none is made.
    ///
    /// # Errors
    /// `Conflict` when somebody else was first; `NotLeader`, `Timeout`, `Api`.
    pub async fn replace<K: Watched>(&self, object: &K) -> Result<Arc<K>> {
        if object.meta().resource_version.is_none() {
            return match self.post(object).await {
                Err(Error::Api { code: 409, .. }) => Err(Error::Conflict),
                made => made,
            };
        }
        let key = Key::of(object);
        let (api, how) = (self.api::<K>(&key), as_manager());
        let put = self.call::<K, _>(Verb::Replace, &key, api.replace(&key.name, &how, object)).await;
        // One that is gone is another one by now, or none.
        let put = put.map_err(|error| if error.is_not_found() { Error::Conflict } else { error })?;
        self.0.cluster.wrote(&put);
        Ok(Arc::new(put))
    }

    /// Says this of an object, if it is still of the version that was seen. Nothing is written when it is said already.
    ///
    /// # Errors
    /// `Conflict` when the object has changed or is gone; `NotLeader`, `Timeout`, `Api`.
    pub async fn status<K>(&self, object: &K, status: &K::Status) -> Result<()>
    where
        K: Watched + HasStatus,
        K::Status: Serialize + PartialEq,
    {
        if object.status() == Some(status) {
            return Ok(());
        }
        let key = Key::of(object);
        let meta = object.meta();
        // The server takes nothing from this but the status.
        let body = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid, "resourceVersion": meta.resource_version},
            "status": status,
        });
        let bytes = serde_json::to_vec(&body).map_err(|e| Error::invalid(format!("write the status of {key}: {e}")))?;
        let request = Request::new(K::url_path(&(), meta.namespace.as_deref()));
        let request = request.replace_subresource("status", &key.name, &as_manager(), bytes).map_err(|e| malformed(&key, &e))?;
        let client = self.client();
        let said = self.call::<K, K>(Verb::Status, &key, client.request(request)).await;
        let said = said.map_err(|error| if error.is_not_found() { Error::Conflict } else { error })?;
        self.0.cluster.wrote(&said);
        Ok(())
    }

    /// Deletes an object, and none that has its name by now; what belongs to it goes later. One that is gone already is fine.
    ///
    /// # Errors
    /// `NotLeader`, `Timeout`, `Api`.
    pub async fn delete<K: Watched>(&self, object: &K) -> Result<()> {
        let key = Key::of(object);
        let uid = object.meta().uid.clone().unwrap_or_default();
        let how = DeleteParams::background().preconditions(Preconditions { uid: Some(uid.clone()), resource_version: None });
        let api = self.api::<K>(&key);
        match self.call::<K, _>(Verb::Delete, &key, api.delete(&key.name, &how)).await {
            Ok(gone) => {
                match gone.left() {
                    // It ends in its own time, and is there until then.
                    Some(ending) if is_ending(&ending) => self.0.cluster.wrote(&ending),
                    _ => self.0.cluster.deleted::<K>(&key, &uid),
                }
                Ok(())
            }
            // Another one has the name: the one that was meant is gone.
            Err(Error::Conflict | Error::Api { code: 404, .. }) => {
                self.0.cluster.deleted::<K>(&key, &uid);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn post<K: Watched>(&self, object: &K) -> Result<Arc<K>> {
        let key = Key::of(object);
        let (api, how) = (self.api::<K>(&key), as_manager());
        let made = self.call::<K, _>(Verb::Create, &key, api.create(&how, object)).await?;
        self.0.cluster.wrote(&made);
        Ok(Arc::new(made))
    }
}

fn is_ending<K: Watched>(object: &K) -> bool {
    let meta = object.meta();
    let waits = meta.finalizers.as_ref().is_some_and(|f| !f.is_empty()) || meta.deletion_grace_period_seconds.is_some_and(|s| s > 0);
    meta.deletion_timestamp.is_some() && waits
}

fn as_manager() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

fn malformed(key: &Key, error: &request::Error) -> Error {
    Error::invalid(format!("write the status of {key}: {error}"))
}
