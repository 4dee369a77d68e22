//! An API server that goes away in the middle of a first deploy.

use std::process::Command;
use std::time::Duration;

use crate::deployed::Deployed;
use crate::reading::{Of, Reading};
use crate::site::{Site, run, script};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn an_api_server_that_is_killed_in_the_middle_of_a_first_deploy_delays_it_and_disturbs_no_reader() {
    const SPACE: &str = "outage";
    let site = Site::here().await;
    let deployed = Deployed::to(&site, SPACE).await;
    let reading = Reading::begin(deployed.of.clone(), 1);
    site.apply(SPACE, &deployed.beside());
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        run(Command::new(script("cluster")).args(["signal", "kube-apiserver", "KILL"]));
        let answers = async || site.client.apiserver_version().await.is_ok();
        site.until_without_it("the API server does not answer", async || !answers().await).await;
        site.until_without_it("the API server answers again", answers).await;
    }
    let read = reading.answered();
    // It may answer before it knows everybody's rights.
    site.until_without_it("the API server is ready", async || Site::is_ready()).await;
    site.wait(SPACE, "sequencefeature/later-recent");
    let attempts = site.get(SPACE, "sequencerollouts");
    assert_eq!(attempts["items"].as_array().map(Vec::len), Some(2), "{attempts}");
    let later = Of { feature: format!("{SPACE}/later-recent"), ..deployed.of };
    site.until("the second feature is read", async || later.rows().await == Ok(1)).await;
    assert!(read > 20, "only {read} reads while the API server was away");
    reading.end().await;
    site.leave(SPACE);
}
