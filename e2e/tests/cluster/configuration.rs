//! A platform configuration that cannot be used: what was good stays in force, and everybody is told.

use serde_json::{Value, json};

use crate::deployed::{Deployed, SHORTER};
use crate::site::Site;
use crate::written::{at_rest, is_of_workload};

/// Where the operator shows its metrics.
const MONITOR: u16 = 8080;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn a_configuration_that_cannot_be_used_is_told_and_changes_nothing_until_it_is_mended() {
    const SPACE: &str = "configuration";
    let site = Site::here().await;
    Deployed::to(&site, SPACE).await;
    let before = at_rest(&site, SPACE).await;
    let stands = site.get(&site.space, "configmap/tress-platform");
    let good = text(&stands);
    let bad = good.replacen("replicas: 2", "replicas: none", 1);
    assert_ne!(bad, good, "{good}");
    let put = |text: &str| {
        let patch = json!({"data": {"platform.yaml": text}}).to_string();
        site.kubectl(&["patch", "configmap", "tress-platform", "--namespace", &site.space, "--patch", &patch]);
    };
    let all_say = async |figure: f64| {
        let pods = site.operators().await;
        pods.iter().all(|pod| site.figure((&site.space, pod, MONITOR), "tress_operator_configuration_good") == Some(figure))
    };
    assert!(all_say(1.0).await);
    put(&bad);
    site.until("every operator counts it as bad", async || all_say(0.0).await).await;
    let events = || site.get(&site.space, "events.events.k8s.io");
    let uid = stands["metadata"]["uid"].as_str().expect("a UID").to_owned();
    site.until("an Event names the place", async || is_told(&events(), &uid, "pools.default.replicas")).await;
    assert_eq!(text(&site.get(&site.space, "configmap/tress-platform-good")), good);

    // One that begins now finds nothing but what was good last; and works by it.
    site.kill_leader().await;
    site.apply(SPACE, SHORTER);
    site.wait(SPACE, "sequencefeature/shorter");
    let now = at_rest(&site, SPACE).await;
    let touched: Vec<_> = before.iter().filter(|(name, version)| is_of_workload(name) && now.get(*name) != Some(*version)).collect();
    assert_eq!(touched, Vec::new());

    put(&good);
    site.until("every operator counts it as good", async || all_say(1.0).await).await;
    assert_eq!(at_rest(&site, SPACE).await, now);
    site.leave(SPACE);
}

fn text(map: &Value) -> String {
    map["data"]["platform.yaml"].as_str().expect("a configuration").to_owned()
}

fn is_told(events: &Value, uid: &str, what: &str) -> bool {
    let events = events["items"].as_array().expect("a list");
    events.iter().any(|event| {
        let is_about_it = event["regarding"]["uid"] == uid && event["type"] == "Warning";
        is_about_it && event["note"].as_str().is_some_and(|note| note.contains(what))
    })
}
