//! Where our authorities are kept: a Secret in the operator's namespace.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use tokio::time::sleep;

use super::{Authorities, Pods};
use crate::apply::Writer;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::label;

/// The Secret.
pub const CA: &str = "tress-ca";
/// Its only key.
const KEY: &str = "authorities.json";
/// How often it is looked at whether they have to be renewed.
const LOOK: Duration = Duration::from_secs(6 * 3600);
/// After a failure, how soon it is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// Keeps our authorities.
#[derive(Debug, Clone)]
pub struct Store {
    /// The operator's own namespace.
    pub namespace: String,
    pub writer: Writer,
    pub clock: Clock,
}

impl Store {
    /// The authorities as they have to be now; made or renewed where they have to.
    ///
    /// # Errors
    /// `Invalid` when what is kept cannot be read; `Conflict` when somebody else was first; `NotLeader`, `Timeout`, `Api`.
    pub async fn load(&self) -> Result<Authorities> {
        let now = self.clock.now();
        let Some(mut secret) = self.writer.fresh::<Secret>(&self.namespace, CA).await? else {
            let first = Authorities::first(now)?;
            self.writer.replace(&self.made(&first)).await?;
            tracing::info!("an authority for serving pods was made");
            return Ok(first);
        };
        let kept = secret.data.as_ref().and_then(|data| data.get(KEY)).map(|bytes| bytes.0.as_slice()).unwrap_or_default();
        let authorities = Authorities::from_json(kept)?;
        let Some(renewed) = authorities.renewed(now)? else { return Ok(authorities) };
        secret.data = Some(data(&renewed));
        secret.metadata.managed_fields = None;
        self.writer.replace(&secret).await?;
        tracing::info!("the authority for serving pods was renewed");
        Ok(renewed)
    }

    /// Loads them, tries again until they are there, and has them used.
    pub async fn begin(&self, pods: &Pods) {
        loop {
            match self.used(pods).await {
                Ok(()) => return,
                Err(Error::Conflict) => {}
                Err(error) => tracing::warn!(%error, "there is no authority for serving pods yet; it is tried again"),
            }
            sleep(AGAIN).await;
        }
    }

    /// Renews them in time, for as long as this runs.
    pub async fn keep(&self, pods: &Pods) {
        loop {
            sleep(LOOK).await;
            self.begin(pods).await;
        }
    }

    async fn used(&self, pods: &Pods) -> Result<()> {
        let authorities = self.load().await?;
        pods.trust(authorities)
    }

    fn made(&self, authorities: &Authorities) -> Secret {
        let labels = BTreeMap::from([(label::MANAGED.0.to_owned(), label::MANAGED.1.to_owned())]);
        let metadata = ObjectMeta {
            name: Some(CA.to_owned()),
            namespace: Some(self.namespace.clone()),
            labels: Some(labels),
            ..ObjectMeta::default()
        };
        Secret { metadata, data: Some(data(authorities)), type_: Some("Opaque".to_owned()), ..Secret::default() }
    }
}

fn data(authorities: &Authorities) -> BTreeMap<String, ByteString> {
    BTreeMap::from([(KEY.to_owned(), ByteString(authorities.to_json()))])
}
