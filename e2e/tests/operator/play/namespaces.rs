//! Namespaces that are deleted: first what is in them, then they.

use serde_json::json;

use super::Play;
use crate::store::is_going;

impl Play {
    pub(super) async fn namespaces(&mut self) {
        for (key, namespace) in self.store.all("Namespace").into_iter().filter(|(_, namespace)| is_going(namespace)) {
            let inside: Vec<_> = self.store.everything().into_iter().filter(|(other, _)| other.namespace == key.name).collect();
            for (other, object) in &inside {
                if !is_going(object) && self.soon(format!("empty {other} {}", crate::store::uid(object))) {
                    self.delete(other, object, None).await;
                }
            }
            if inside.is_empty() && self.soon(format!("finalize {}", crate::store::uid(&namespace))) {
                let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": key.name}, "spec": {"finalizers": []}});
                let request = axum::http::Request::put(format!("/api/v1/namespaces/{}/finalize", key.name))
                    .header("content-type", "application/json")
                    .body(serde_json::to_vec(&body).unwrap())
                    .unwrap();
                super::expected(self.client.request::<serde_json::Value>(request).await);
            }
        }
    }
}
