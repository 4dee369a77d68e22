//! The operator's own pods: which one leads, what they count, what the API server has of them.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use crate::site::{PATIENCE, Site, kubectl};

impl Site {
    /// Whoever leads, as it calls itself; empty if nobody does, or nobody can be asked.
    pub async fn leader(&self) -> String {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &self.space);
        let lease = leases.get("tress-operator").await.ok();
        lease.and_then(|lease| lease.spec?.holder_identity).unwrap_or_default()
    }

    /// A figure of a pod's metrics, by its name and labels as they are written there. `None` = it shows none.
    pub fn figure(&self, (namespace, pod, port): (&str, &str, u16), series: &str) -> Option<f64> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/metrics");
        let text = self.kubectl(&["get", "--raw", &path]);
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    /// The operator's pods that run.
    pub async fn operators(&self) -> Vec<String> {
        let selector = ListParams::default().labels("app.kubernetes.io/name=tress-operator");
        let pods = self.pods(&self.space).list(&selector).await.unwrap().items;
        pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).map(ResourceExt::name_any).collect()
    }
}

impl Site {
    /// As `until`, where the API server may be away.
    pub async fn until_without_it(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let limit = Instant::now() + PATIENCE;
        while !is_so().await {
            assert!(Instant::now() < limit, "not so in time: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether the API server says that it is ready.
    pub fn is_ready() -> bool {
        kubectl(&["get", "--raw", "/readyz"]).output().is_ok_and(|done| done.status.success())
    }
}
