//! Pods that are evicted, and an operator that is killed in the middle of its work.

use std::time::Duration;

use kube::ResourceExt;
use kube::api::EvictParams;
use tress_engine::entity::Entity;
use tress_engine::serve::Wanted;

use crate::definitions::{produce, signal_and_feature};
use crate::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn an_operator_that_is_killed_five_times_in_the_middle_makes_one_attempt_and_of_two_pods_one_may_be_evicted() {
    const SPACE: &str = "disruption";
    let site = Site::here().await;
    site.namespace(SPACE);
    let platform = site.platform();
    let log = platform.log("main").unwrap();
    log.create(SPACE, 2).await.unwrap();
    produce(&*log, SPACE, ("a", 1), "home").await;
    site.apply(SPACE, &signal_and_feature(SPACE));
    for _ in 0..5 {
        // Whoever leads next does a little.
        tokio::time::sleep(Duration::from_secs(4)).await;
        let killed = site.kill_leader().await;
        site.until("another one leads", async || {
            let leader = site.leader().await;
            !leader.is_empty() && leader != killed
        })
        .await;
    }
    site.wait(SPACE, "sequencefeature/recent");
    let attempts = site.get(SPACE, "sequencerollouts");
    assert_eq!(attempts["items"].as_array().map(Vec::len), Some(1), "{attempts}");
    let reader = site.reader(SPACE).await;
    let entity = Entity::String("a".to_owned());
    let rows = async || reader.get(&format!("{SPACE}/recent"), &entity, &Wanted::default()).await.map(|reply| reply.rows.num_rows());
    site.until("the event is read", async || rows().await.is_ok_and(|rows| rows == 1)).await;

    // A pod that is not ready may always go.
    let may_go = || site.get(SPACE, "poddisruptionbudget/tress-default")["status"]["disruptionsAllowed"] == 1;
    let ready = || site.get(SPACE, "deployment/tress-default")["status"]["readyReplicas"] == 2;
    site.until("both pods are ready, and the budget has seen it", async || ready() && may_go()).await;
    let pods = site.of_role(SPACE, "serve").await;
    assert_eq!(pods.len(), 2);
    let evict = async |n: usize| site.pods(SPACE).evict(&pods[n].name_any(), &EvictParams::default()).await;
    evict(0).await.expect("one may go");
    match evict(1).await {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 429, "{status:?}"),
        other => panic!("the budget lets a second one go: {other:?}"),
    }
    site.until("the event is read on", async || rows().await.is_ok_and(|rows| rows == 1)).await;
    site.until("two pods are ready again", async || site.get(SPACE, "deployment/tress-default")["status"]["readyReplicas"] == 2).await;
    site.leave(SPACE);
}
