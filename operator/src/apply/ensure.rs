//! What is rendered: applied by the server's own merge, once for the same inputs, and repaired where it has drifted.

use std::sync::PoisonError;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::call::Verb;
use super::{INPUTS, MANAGER, MANIFEST, Writer, Wrote};
use crate::cluster::{Watched, projection};
use crate::error::{Error, Result};
use crate::label;
use crate::queue::Key;

/// Annotations of an object may take 256 KiB together.
const MAX_MANIFEST: usize = 200 << 10;

impl Writer {
    /// Sees to it that an object is there as it was rendered: applied as a whole, as manager `tress-operator/<role>`.
    ///
    /// `inputs`: a digest of what it was rendered from. One that has these inputs is left alone, however it would be rendered today, unless
    /// it has drifted: then the manifest that it carries is applied again. A Job is made once, whatever its inputs. A map that is immutable
    /// and a Secret carry no manifest.
    ///
    /// # Errors
    /// `Invalid` when somebody else's object has the name, or for a kind that is not rendered; `NotLeader`, `Timeout`, `Api`.
    pub async fn ensure(&self, object: Value, inputs: &str) -> Result<Wrote> {
        match object["kind"].as_str().unwrap_or_default() {
            "Deployment" => self.ensured::<Deployment>(object, inputs).await,
            "Job" => self.ensured::<Job>(object, inputs).await,
            "ConfigMap" => self.ensured::<ConfigMap>(object, inputs).await,
            "Secret" => self.ensured::<Secret>(object, inputs).await,
            "Service" => self.ensured::<Service>(object, inputs).await,
            "ServiceAccount" => self.ensured::<ServiceAccount>(object, inputs).await,
            "NetworkPolicy" => self.ensured::<NetworkPolicy>(object, inputs).await,
            "PodDisruptionBudget" => self.ensured::<PodDisruptionBudget>(object, inputs).await,
            other => Err(Error::invalid(format!("{other}: objects of this kind are not rendered"))),
        }
    }

    async fn ensured<K: Watched>(&self, object: Value, inputs: &str) -> Result<Wrote> {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let key = Key::new(text("namespace"), text("name"));
        let Some((known, drifted)) = K::view(&self.0.cluster).item(&key) else {
            return self.first::<K>(&key, object, inputs).await;
        };
        is_ours(&*known, &key)?;
        if is_job(&object) {
            return Ok(Wrote::Nothing);
        }
        if inputs_of(&*known) != Some(inputs) {
            self.apply::<K>(&key, with_manifest(object, inputs)).await?;
            return Ok(Wrote::Applied);
        }
        match drifted {
            Some(looks) if !self.is_settled(&*known, looks) => self.repair::<K>(&key, object, inputs).await,
            _ => Ok(Wrote::Nothing),
        }
    }

    /// The caches know no such object of ours: there may be somebody else's, or one that was made a moment ago.
    async fn first<K: Watched>(&self, key: &Key, object: Value, inputs: &str) -> Result<Wrote> {
        if let Some(found) = self.fresh::<K>(&key.namespace, &key.name).await? {
            is_ours(&found, key)?;
            self.0.cluster.wrote(&found);
            if is_job(&object) || inputs_of(&found) == Some(inputs) {
                return Ok(Wrote::Nothing);
            }
            self.apply::<K>(key, with_manifest(object, inputs)).await?;
            return Ok(Wrote::Applied);
        }
        if is_job(&object) {
            let job: K = serde_json::from_value(annotated(object, &[(INPUTS, inputs)]))
                .map_err(|e| Error::invalid(format!("Job {key} was rendered wrongly: {e}")))?;
            self.create(&job).await?;
        } else {
            self.apply::<K>(key, with_manifest(object, inputs)).await?;
        }
        Ok(Wrote::Created)
    }

    /// Applies the manifest that the object carries; one that is none, or of another object, gives way to a new rendering.
    async fn repair<K: Watched>(&self, key: &Key, object: Value, inputs: &str) -> Result<Wrote> {
        let Some(found) = self.fresh::<K>(&key.namespace, &key.name).await? else {
            self.apply::<K>(key, with_manifest(object, inputs)).await?;
            return Ok(Wrote::Created);
        };
        let text = found.annotations().get(MANIFEST).cloned().unwrap_or_default();
        let carried: Option<Value> = serde_json::from_str(&text).ok();
        let is_its_own = |carried: &Value| {
            ["/apiVersion", "/kind", "/metadata/namespace", "/metadata/name"].iter().all(|at| carried.pointer(at) == object.pointer(at))
        };
        let manifest = match carried.filter(is_its_own) {
            Some(carried) => annotated(carried, &[(MANIFEST, &text)]),
            None => with_manifest(object, inputs),
        };
        let applied = self.apply::<K>(key, manifest).await?;
        let is_other = applied.resource_version() != found.resource_version();
        if is_other {
            tracing::info!(kind = &*K::kind(&()), %key, "had drifted; its manifest was applied again");
        }
        Ok(if is_other { Wrote::Repaired } else { Wrote::Nothing })
    }

    async fn apply<K: Watched>(&self, key: &Key, manifest: Value) -> Result<K> {
        let role = manifest["metadata"]["labels"][label::ROLE].as_str().unwrap_or("operator");
        let how = PatchParams::apply(&format!("{MANAGER}/{role}")).force();
        let api = self.api::<K>(key);
        let applied = self.call::<K, K>(Verb::Apply, key, api.patch(&key.name, &how, &Patch::Apply(&manifest))).await?;
        if let Some(looks) = projection(&applied) {
            let mut settled = self.0.settled.lock().unwrap_or_else(PoisonError::into_inner);
            settled.insert(applied.uid().unwrap_or_default(), looks);
        }
        self.0.cluster.wrote(&applied);
        Ok(applied)
    }

    fn is_settled<K: Watched>(&self, object: &K, looks: u64) -> bool {
        let settled = self.0.settled.lock().unwrap_or_else(PoisonError::into_inner);
        object.meta().uid.as_ref().and_then(|uid| settled.get(uid)) == Some(&looks)
    }
}

/// Whoever made it, and whatever it is called, it is taken over only if it says that it is ours.
fn is_ours<K: Watched>(object: &K, key: &Key) -> Result<()> {
    if object.labels().get(label::MANAGED.0).map(String::as_str) == Some(label::MANAGED.1) {
        return Ok(());
    }
    Err(Error::invalid(format!("{} {key} is there and is not of Tress: rename or delete it", K::kind(&()))))
}

fn is_job(object: &Value) -> bool {
    object["kind"] == "Job"
}

fn inputs_of<K: Watched>(object: &K) -> Option<&str> {
    object.annotations().get(INPUTS).map(String::as_str)
}

/// The object with its inputs, and itself as text where it may drift and may be read by all who see it.
fn with_manifest(object: Value, inputs: &str) -> Value {
    let object = annotated(object, &[(INPUTS, inputs)]);
    let text = object.to_string();
    let carries = object["kind"] != "Secret" && object["immutable"] != true && text.len() <= MAX_MANIFEST;
    if carries { annotated(object, &[(MANIFEST, &text)]) } else { object }
}

fn annotated(mut object: Value, annotations: &[(&str, &str)]) -> Value {
    let place = &mut object["metadata"]["annotations"];
    if !place.is_object() {
        *place = json!({});
    }
    for (key, value) in annotations {
        place[*key] = json!(value);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_holds_everything_but_itself_and_no_secret() {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
        let made = with_manifest(map.clone(), "7");
        let text = made["metadata"]["annotations"][MANIFEST].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), annotated(map, &[(INPUTS, "7")]));
        for other in [json!({"kind": "Secret", "metadata": {}, "data": {}}), json!({"kind": "ConfigMap", "immutable": true})] {
            let made = with_manifest(other, "7");
            assert_eq!(made["metadata"]["annotations"], json!({INPUTS: "7"}));
        }
    }
}
