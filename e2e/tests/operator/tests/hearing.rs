//! What the operator is told is broken: watches end, and objects say what nobody understands. It goes on for all others.

use std::time::Duration;

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tress_e2e::apiserver::ApiServer;

use super::edits::live;
use crate::definitions::{feature, signal, wider};
use crate::fate::Mood;
use crate::kinds;
use crate::store::text;
use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_that_are_cut_or_told_that_they_are_too_old_begin_anew_and_nothing_is_missed_or_done_twice() {
    let (world, operator) = live("watches").await;
    let first = world.live("recent");
    for length in 1..=5 {
        operator.proxy.cut_watches();
        let next = format!("next-{length}");
        world.define_feature(crate::definitions::with(feature(&next, &["rating"]), "/spec/definition/length", json!(length))).await;
        operator.proxy.cut_watches();
        world.until(&format!("{next} is Ready"), |_| world.is_ready("SequenceFeature", &next)).await;
    }
    operator.proxy.expire_watches(Duration::from_secs(2));
    world.define_signal(wider(signal("rating"))).await;
    world.until("the change is live", |_| world.is_settled("recent") && world.live("recent") != first).await;
    assert!(operator.proxy.calls.all().iter().any(|call| call.status == Some(410)), "no watch was told so");
    let log = operator.log();
    assert!(log.contains("the watch begins anew") && log.contains("SequenceFeature"), "it does not say which watch");
    assert_eq!(world.attempts("recent").len(), 2);
    assert_eq!(world.repeated(), Vec::<String>::new());
    // What is gone while nothing is heard is known to be gone.
    operator.proxy.expire_watches(Duration::from_secs(2));
    world.delete("SequenceFeature", &world.at("movies"), "next-1").await;
    world.until("its route has gone", |_| !world.routes().contains_key("next-1")).await;
    world.rest(Duration::from_millis(700)).await;
    assert!(operator.is_running());
    world.finish().await;
}

/// Definitions may say anything, as if a looser version of the kind were there.
fn loosen(server: &ApiServer) {
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let patch = json!([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema", "value": anything}]);
    server.kubectl(&["patch", "crd", "sequencefeatures.tress.dev", "--type=json", "-p", &patch.to_string()]);
}

/// Puts a definition that today's schema refuses.
async fn put_odd(world: &World, object: Value) {
    let api = kinds::api(&world.client, "SequenceFeature", &world.at("movies"));
    let name = text(&object, "/metadata/name").to_owned();
    let whole = serde_json::from_value(object).unwrap();
    world
        .until_seen("the looser kind is in force", async || match api.get_opt(&name).await.unwrap() {
            None => api.create(&PostParams::default(), &whole).await.is_ok(),
            Some(_) => {
                let odd = Patch::Merge(json!({"spec": whole.data["spec"]}));
                api.patch(&name, &PatchParams::default(), &odd).await.is_ok()
            }
        })
        .await;
}

/// On a server of its own: the kinds are everybody's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_that_cannot_be_read_is_named_and_left_alone_and_all_others_are_looked_after() {
    let server = ApiServer::alone();
    let world = World::on(&server, "odd", Mood::CALM).await;
    let operator = world.operator().await;
    world.define_signal(signal("rating")).await;
    world.define_feature(feature("recent", &["rating"])).await;
    world.define_feature(feature("other", &["rating"])).await;
    world.until("both are Ready", |_| world.is_settled("recent") && world.is_settled("other")).await;
    let (route, live) = (world.routes()["recent"].clone(), world.live("recent"));
    let revision = world.get("SequenceRevision", &live).unwrap()["metadata"]["uid"].clone();
    // Of what is live, and of what is new.
    loosen(&server);
    let odd = |name: &str| {
        let meta = json!({"name": name});
        json!({"apiVersion": "tress.dev/v1alpha1", "kind": "SequenceFeature", "metadata": meta, "spec": {"definition": {"length": "ten", "signals": 7}}})
    };
    put_odd(&world, odd("recent")).await;
    put_odd(&world, odd("never")).await;
    server.kinds();
    world
        .until_seen("both are named", async || {
            let log = operator.log();
            ["recent", "never"].iter().all(|name| log.lines().any(|line| line.contains("is passed over") && line.contains(name)))
        })
        .await;
    let unharmed = async |world: &World, next: &str| {
        world.define_feature(feature(next, &["rating"])).await;
        world.until("the others are looked after", |_| world.is_settled(next) && world.is_settled("other")).await;
        world.rest(Duration::from_millis(700)).await;
        assert_eq!((world.routes().get("recent"), world.live("recent")), (Some(&route), live.clone()), "readers of it notice nothing");
        assert_eq!(world.get("SequenceRevision", &live).map(|r| r["metadata"]["uid"].clone()), Some(revision.clone()));
        assert!(!world.routes().contains_key("never"));
    };
    unharmed(&world, "next").await;
    // Who begins with it does not take it for gone, either.
    assert_eq!(operator.stop().await, Some(0));
    let again = world.operator().await;
    unharmed(&world, "third").await;
    assert!(again.is_running());
    // It can be read again, or is deleted.
    world.delete("SequenceFeature", &world.at("movies"), "never").await;
    let as_before = json!({"spec": feature("recent", &["rating"])["spec"]});
    world.merge("SequenceFeature", &world.at("movies"), "recent", as_before).await;
    world.until("it is looked after again", |_| world.is_settled("recent")).await;
    loosen(&server);
    put_odd(&world, odd("recent")).await;
    world.delete("SequenceFeature", &world.at("movies"), "recent").await;
    world.until("its route has gone", |_| !world.routes().contains_key("recent")).await;
    world.finish().await;
}
