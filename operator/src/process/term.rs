//! What a leader does, from when it leads until it does not any more.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kube::Client;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::cluster::Scopes;
use crate::context::Context;
use crate::control::{Store, poll};
use crate::metrics::Metrics;
use crate::platform;
use crate::queue::Controller;

/// After a failure, how soon it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What a term needs.
pub(super) struct Term {
    pub client: Client,
    pub scopes: Scopes,
    /// The operator's own namespace.
    pub namespace: String,
    pub context: Arc<Context>,
    pub controllers: Vec<Controller>,
    pub metrics: Metrics,
}

impl Term {
    /// Works until `ended`.
    pub async fn serve(&self, ended: &CancellationToken) {
        let Context { writer, pods, platform, clock, .. } = &*self.context;
        let store = Store { namespace: self.namespace.clone(), writer: writer.clone(), clock: clock.clone() };
        let begun = async {
            // Another leader may have written a moment ago what the watch has not shown yet.
            self.confirm().await;
            store.begin(pods).await;
        };
        tokio::select! {
            () = ended.cancelled() => return,
            () = begun => {}
        }
        tracing::info!("the controllers begin");
        let controllers = join_all(self.controllers.iter().map(|c| c.run(Arc::clone(&self.context), &self.metrics, ended)));
        let beside = async {
            // A call that hangs must not hold up the next leader: what is done beside the controllers ends where it is.
            tokio::select! {
                () = ended.cancelled() => {}
                _ = async { tokio::join!(poll(pods), store.keep(pods), platform::keep(platform, writer, &self.namespace)) } => {}
            }
        };
        tokio::join!(controllers, beside);
    }

    async fn confirm(&self) {
        while let Err(error) = self.context.cluster.confirm(&self.client, &self.scopes).await {
            tracing::warn!(%error, "rollouts and routes cannot be read; it is tried again");
            sleep(AGAIN).await;
        }
    }
}
