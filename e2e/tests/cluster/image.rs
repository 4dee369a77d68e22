//! A new image of the engine: it comes to what runs, a pool at a time, and nobody who reads notices.

use serde_json::Value;

use crate::deployed::Deployed;
use crate::reading::Reading;
use crate::release::{Release, tag};
use crate::site::{Site, told};

const NEXT: &str = "localhost/tress-engine:next";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn a_new_engine_comes_to_a_pool_at_a_time_and_no_reader_is_refused_and_nothing_lost() {
    const SPACES: [&str; 2] = ["image-one", "image-two"];
    let site = Site::here().await;
    let release = Release::of(&site);
    let (one, two) = (Deployed::to(&site, SPACES[0]).await, Deployed::to(&site, SPACES[1]).await);
    let both = SPACES.into_iter().zip([&one, &two]);
    let attempts = || SPACES.map(|space| site.get(space, "sequencerollouts,signalrevisions,sequencerevisions,backfills")["items"].clone());
    let names =
        |all: [Value; 2]| all.map(|all| all.as_array().expect("a list").iter().map(|o| o["metadata"]["uid"].clone()).collect::<Vec<_>>());
    let before = names(attempts());
    let readings = [&one, &two].map(|deployed| Reading::begin(deployed.of.clone(), 1));
    tag(&told("TRESS_IMAGE"), NEXT);
    release.with(&format!("engine: {{image: {NEXT}}}"));

    // Events come meanwhile.
    let (mut item, mut at_once) = (1, 0);
    site.until("every pod of both namespaces runs the new engine, and no other", async || {
        item += 1;
        for deployed in [&one, &two] {
            deployed.produce(item.min(9)).await;
        }
        // One answer: both as they were at the same moment.
        let all = site.kubectl(&[
            "get",
            "deployments",
            "--all-namespaces",
            "--selector",
            "tress.dev/role in (serve,stream,archive)",
            "-o",
            "json",
        ]);
        let all: Value = serde_json::from_str(&all).unwrap();
        let all: Vec<&Value> =
            all["items"].as_array().expect("a list").iter().filter(|d| SPACES.iter().any(|s| d["metadata"]["namespace"] == *s)).collect();
        assert_eq!(all.len(), 6, "{all:?}");
        let pools = all.iter().filter(|d| d["metadata"]["name"] == "tress-default" && is_new(d));
        at_once = at_once.max(pools.filter(|d| !is_settled(d)).count());
        all.iter().all(|d| is_new(d) && is_settled(d))
    })
    .await;
    assert_eq!(at_once, 1, "pools that brought up new pods at the same time");
    for (space, deployed) in both {
        site.until("no pod is left of the old engine", async || {
            site.get(space, "pods")["items"].as_array().expect("a list").iter().all(|pod| !stays(pod) || image_of(&pod["spec"]) == NEXT)
        })
        .await;
        let all = item.min(9);
        site.until("every event is read", async || deployed.of.rows().await == Ok(all)).await;
    }
    assert_eq!(names(attempts()), before, "a new engine is no change of what is read");
    for reading in readings {
        reading.end().await;
    }
    for space in SPACES {
        site.leave(space);
    }
    release.restore();
}

fn image_of(pod: &Value) -> &str {
    pod.pointer("/containers/0/image").and_then(Value::as_str).unwrap_or_default()
}

fn is_new(deployment: &Value) -> bool {
    image_of(&deployment["spec"]["template"]["spec"]) == NEXT
}

/// Whether it has all its pods, and all of them are of its present template.
fn is_settled(deployment: &Value) -> bool {
    let (wanted, status) = (&deployment["spec"]["replicas"], &deployment["status"]);
    let is_observed = status["observedGeneration"] == deployment["metadata"]["generation"];
    is_observed && ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|count| status[count] == *wanted)
}

/// Whether a pod is of a role that stays.
fn stays(pod: &Value) -> bool {
    ["serve", "stream", "archive"].iter().any(|role| pod["metadata"]["labels"]["tress.dev/role"] == *role)
}
