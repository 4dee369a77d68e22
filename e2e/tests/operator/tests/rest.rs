//! When all is as declared, nothing is done; and a newer operator leaves alone what an older one made.

use std::time::Duration;

use serde_json::{Value, json};

use super::edits::live;
use crate::store::{Key, text};
use crate::world::World;

/// The state of everything that runs, or says how it comes to run.
fn running(world: &World) -> Vec<(Key, String)> {
    let kinds = [
        "Deployment",
        "Job",
        "SequenceRollout",
        "SignalRevision",
        "SequenceRevision",
        "Backfill",
        "Service",
        "PodDisruptionBudget",
        "NetworkPolicy",
    ];
    let all = kinds.iter().flat_map(|kind| world.store.all(kind));
    all.map(|(key, object)| (key, text(&object, "/metadata/resourceVersion").to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_rest_nothing_is_listed_and_nothing_written_but_the_lease() {
    let (world, operator) = live("rest").await;
    world.rest(Duration::from_secs(2)).await;
    let before = operator.proxy.calls.all().len();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let since: Vec<String> =
        operator.proxy.calls.all()[before..].iter().filter(|c| c.changes() || c.lists()).map(ToString::to_string).collect();
    assert_eq!(since, Vec::<String>::new());
    let leases = operator.proxy.calls.all()[before..].iter().filter(|c| c.is_of_lease()).count();
    assert!(leases >= 1, "the lease is kept");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_starts_again_writes_nothing() {
    let (world, operator) = live("restart").await;
    world.rest(Duration::from_secs(2)).await;
    assert_eq!(operator.stop().await, Some(0));
    let next = world.operator().await;
    world.until_seen("it leads", async || next.proxy.calls.all().iter().any(|c| c.is_of_lease() && c.writes())).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let written: Vec<String> = next.proxy.calls.changes().iter().map(ToString::to_string).collect();
    assert_eq!(written, Vec::<String>::new());
    world.finish().await;
}

/// What an older operator rendered differs from what this one would: it stays, and is what drift is measured by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_renders_otherwise_leaves_what_runs_alone_and_repairs_it_as_it_was() {
    let (world, operator) = live("upgrade").await;
    world.rest(Duration::from_secs(1)).await;
    assert_eq!(operator.stop().await, Some(0));
    // As if an older one had rendered it: with another argument, in the object and in the manifest that is kept with it.
    for kind in ["Deployment", "PodDisruptionBudget"] {
        for (key, object) in world.store.all(kind) {
            let kept = text(&object, "/metadata/annotations/tress.dev~1manifest").to_owned();
            assert!(!kept.is_empty(), "{key} keeps no manifest");
            let mut manifest: Value = serde_json::from_str(&kept).unwrap();
            manifest["metadata"]["labels"]["tress.dev/rendered-by"] = json!("an-older-one");
            let annotation = json!({"tress.dev/manifest": manifest.to_string()});
            let patch = json!({"metadata": {"labels": {"tress.dev/rendered-by": "an-older-one"}, "annotations": annotation}});
            world.merge(kind, &key.namespace, &key.name, patch).await;
        }
    }
    world.rest(Duration::from_secs(1)).await;
    let before = running(&world);
    let next = world.operator().await;
    world.until_seen("it leads", async || next.proxy.calls.all().iter().any(|c| c.is_of_lease() && c.writes())).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(running(&world), before);
    // Drift is repaired to what was rendered then.
    let pool = world.get("Deployment", "tress-default").unwrap();
    assert_eq!(text(&pool, "/metadata/labels/tress.dev~1rendered-by"), "an-older-one");
    world.merge("Deployment", &world.at("movies"), "tress-default", json!({"spec": {"replicas": 5}})).await;
    let now = || world.get("Deployment", "tress-default").unwrap();
    world.until("it is repaired", |_| now()["spec"]["replicas"] == 2).await;
    assert_eq!(text(&now(), "/metadata/labels/tress.dev~1rendered-by"), "an-older-one");
    world.finish().await;
}
