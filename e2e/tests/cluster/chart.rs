//! The chart is upgraded, taken away and brought back under the hands of those who read.

use crate::deployed::Deployed;
use crate::reading::Reading;
use crate::release::Release;
use crate::site::Site;
use crate::written::at_rest;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn a_chart_is_upgraded_uninstalled_and_installed_again_while_what_serves_goes_on_untouched() {
    const SPACE: &str = "chart";
    let site = Site::here().await;
    let release = Release::of(&site);
    let deployed = Deployed::to(&site, SPACE).await;
    let reading = Reading::begin(deployed.of.clone(), 1);
    let before = at_rest(&site, SPACE).await;

    // Other values of the operator, and of what is to come, are no matter of what runs.
    release.with("operator: {log: debug, podAnnotations: {rolled: again}}\nlimits: {perNamespace: {features: 77}}\nquiet: 3s");
    assert!(site.kubectl(&["get", "configmap", "tress-platform", "--namespace", &site.space, "-o", "yaml"]).contains("features: 77"));
    site.until("the upgraded operator leads", async || leads(&site).await).await;
    assert_eq!(at_rest(&site, SPACE).await, before);

    // Values of the pool are.
    release.with("pools: {default: {replicas: 1, disk: 1Gi, memory: 256Mi}}");
    let pods = || site.get(SPACE, "deployment/tress-default")["status"]["readyReplicas"].clone();
    site.until("the pool has one pod", async || pods() == 1 && site.of_role(SPACE, "serve").await.len() == 1).await;
    release.restore();
    site.until("the pool has two pods again", async || pods() == 2 && leads(&site).await).await;
    let before = at_rest(&site, SPACE).await;

    release.uninstall();
    assert_eq!(site.operators().await, Vec::<String>::new());
    assert_eq!(at_rest(&site, SPACE).await, before);
    deployed.produce(2).await;
    site.until("an event that comes without an operator is read", async || deployed.of.rows().await == Ok(2)).await;

    release.restore();
    site.until("an operator leads again", async || leads(&site).await).await;
    assert_eq!(at_rest(&site, SPACE).await, before);
    reading.end().await;
    site.leave(SPACE);
}

/// Whether one of the pods that are there leads.
async fn leads(site: &Site) -> bool {
    let leader = site.leader().await;
    site.operators().await.iter().any(|pod| leader.starts_with(pod.as_str()))
}
