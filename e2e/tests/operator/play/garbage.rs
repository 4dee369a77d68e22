//! What was owned by something that is gone goes, too.

use serde_json::Value;

use super::Play;
use crate::kinds;
use crate::store::{is_going, items, text, uid};

impl Play {
    pub(super) async fn garbage(&mut self) {
        let everything = self.store.everything();
        let there: std::collections::HashSet<&str> = everything.iter().map(|(_, object)| uid(object)).collect();
        for (key, object) in &everything {
            let owners = items(object, "/metadata/ownerReferences");
            let orphan = !owners.is_empty() && !owners.iter().any(|owner| there.contains(text(owner, "/uid")));
            if !orphan || is_going(object) || !self.soon(format!("garbage {}", uid(object))) {
                continue;
            }
            // The owner may only not have been heard of yet.
            let mut gone = true;
            for owner in owners {
                gone &= self.is_gone(&key.namespace, owner).await;
            }
            if gone {
                self.delete(key, object, None).await;
            }
        }
    }

    async fn is_gone(&self, namespace: &str, owner: &Value) -> bool {
        // There are no ReplicaSets here: pods name them, with their Deployments' UIDs.
        let kind = match text(owner, "/kind") {
            "ReplicaSet" => "Deployment",
            kind => kind,
        };
        let found = kinds::api(&self.client, kind, namespace).get_opt(text(owner, "/name")).await;
        found.is_ok_and(|found| found.is_none_or(|found| found.metadata.uid.as_deref() != Some(text(owner, "/uid"))))
    }
}
