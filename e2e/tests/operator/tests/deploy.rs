//! From definitions to answers.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::definitions::{feature, mistaken, signal, with};
use crate::fate::Mood;
use crate::store::{items, label, number, text, uid};
use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_and_a_feature_become_ready_and_are_read() {
    let world = World::begin("first", Mood::CALM).await;
    let operator = world.operator().await;
    world.define_signal(signal("rating")).await;
    world.define_feature(feature("recent", &["rating"])).await;
    world.until("the feature is Ready", |_| world.is_settled("recent")).await;
    world.until("the signal is Ready", |_| world.is_ready("SignalDefinition", "rating")).await;

    let status = &world.get("SequenceFeature", "recent").unwrap()["status"];
    let live = text(status, "/live/revision").to_owned();
    let revision = world.get("SequenceRevision", &live).expect("what is live is there");
    assert_eq!(world.routes()["recent"].live.as_ref().map(|live| live.uid.as_str()), Some(uid(&revision)));
    assert_eq!(number(status, "/live/epoch"), i64::try_from(world.routes()["recent"].epoch).ok());
    assert_eq!((text(status, "/target/revision"), text(status, "/lastStable")), (live.as_str(), live.as_str()));
    let endpoint = text(status, "/endpoint").to_owned();
    assert!(endpoint.contains(&format!("tress-default.{}", world.at("movies"))) && endpoint.ends_with(":7400"), "{endpoint}");
    for what in ["Compiled", "SchemaCompatible", "StreamingAvailable", "ServingAvailable", "BackfillComplete", "Available", "Updated"] {
        assert_eq!(world.condition("SequenceFeature", "recent", what).0, "True", "{what}");
    }
    let attempts = world.attempts("recent");
    assert_eq!(attempts, [(1, "Succeeded".to_owned())]);
    let used = &world.get("SignalDefinition", "rating").unwrap()["status"]["usedBy"];
    assert_eq!(*used, json!({"count": 1, "names": [format!("{}/recent", world.at("movies"))]}));
    assert_eq!(world.condition("SignalDefinition", "rating", "Prepared").0, "True");
    // One of each: nothing was made twice.
    for (kind, wanted) in [("SignalRevision", 1), ("SequenceRevision", 1), ("SequenceRollout", 1), ("Backfill", 1)] {
        assert_eq!(world.store.all(kind).len(), wanted, "{kind}");
    }
    let roles: BTreeSet<String> = world.store.all("Deployment").iter().map(|(_, d)| label(d, "tress.dev/role").to_owned()).collect();
    assert_eq!(roles, BTreeSet::from(["archive", "serve", "stream"].map(str::to_owned)));
    assert_eq!(world.repeated(), Vec::<String>::new(), "every job did its work once");
    let pods = world.store.all("Pod");
    let listed = |condition: &str| {
        pods.iter().filter(|(_, pod)| items(pod, "/status/conditions").iter().any(|c| text(c, "/type") == condition)).count()
    };
    assert!(listed("Ready") >= 2);
    assert_eq!(operator.stop().await, Some(0));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_may_fail_now_and_then_fails_and_it_comes_to_its_end() {
    let world = World::begin("rough", Mood::ROUGH).await;
    let operator = world.operator_with(&world.start(), world.rough()).await;
    for name in ["rating", "watch"] {
        world.define_signal(signal(name)).await;
    }
    world.define_feature(feature("recent", &["rating"])).await;
    world.define_feature(feature("both", &["rating", "watch"])).await;
    world.until("both features are Ready", |_| ["recent", "both"].iter().all(|f| world.is_settled(f))).await;
    assert_eq!(world.attempts("recent"), [(1, "Succeeded".to_owned())]);
    assert_eq!(world.attempts("both"), [(1, "Succeeded".to_owned())]);
    assert!(operator.is_running());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_definitions_in_any_order_make_one_attempt_a_feature_and_those_with_mistakes_disturb_none() {
    let world = World::begin("fifty", Mood { slow: Duration::from_millis(5), ..Mood::CALM }).await;
    let operator = world.operator().await;
    let mut definitions = Vec::new();
    for n in 0..12 {
        let name = format!("s-{n}");
        definitions.push(("SignalDefinition", if n % 7 == 3 { mistaken(signal(&name)) } else { signal(&name) }));
    }
    let read_by = |n: usize| [n % 12, (n * 7 + 1) % 12];
    for n in 0..38 {
        let signals: BTreeSet<String> = read_by(n).iter().map(|s| format!("s-{s}")).collect();
        let signals: Vec<&str> = signals.iter().map(String::as_str).collect();
        definitions.push(("SequenceFeature", feature(&format!("f-{n}"), &signals)));
    }
    while !definitions.is_empty() {
        let (kind, definition) = definitions.swap_remove(world.fate.one_of(definitions.len(), "order"));
        world.apply(kind, &world.at("movies"), definition).await;
    }
    let broken = |n: usize| read_by(n).iter().any(|s| s % 7 == 3);
    let sound: Vec<String> = (0..38).filter(|n| !broken(*n)).map(|n| format!("f-{n}")).collect();
    assert!(sound.len() > 15, "{sound:?}");
    let settled = || sound.iter().filter(|name| world.is_settled(name)).count();
    // As many at a time as there are slots.
    for share in [sound.len() / 2, sound.len()] {
        world.until(&format!("{share} of those that can be are Ready"), |_| settled() >= share).await;
    }
    for name in &sound {
        assert_eq!(world.attempts(name), [(1, "Succeeded".to_owned())], "{name}");
    }
    for n in (0..12).filter(|n| n % 7 == 3) {
        let name = format!("s-{n}");
        assert_eq!(world.condition("SignalDefinition", &name, "Compiled"), ("False".to_owned(), "Invalid".to_owned()));
        assert_eq!(world.condition("SignalDefinition", &name, "Stalled").0, "True");
    }
    for n in (0..38).filter(|n| broken(*n)) {
        let name = format!("f-{n}");
        assert_ne!(world.condition("SequenceFeature", &name, "Compiled").0, "True", "{name}");
        assert!(world.attempts(&name).is_empty(), "{name}");
    }
    // What was wrong is corrected.
    for n in (0..12).filter(|n| n % 7 == 3) {
        world.define_signal(signal(&format!("s-{n}"))).await;
    }
    world.until("all are Ready", |_| (0..38).all(|n| world.is_ready("SequenceFeature", &format!("f-{n}")))).await;
    assert_eq!(world.repeated(), Vec::<String>::new());
    assert!(operator.is_running());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_whose_only_feature_is_refused_gets_no_serving_pods_before_it_is_corrected() {
    let world = World::begin("refused", Mood::CALM).await;
    let _operator = world.operator().await;
    world.define_signal(signal("rating")).await;
    world.define_feature(with(feature("recent", &["rating"]), "/spec/definition/signals/0/columns", json!(["nothing"]))).await;
    let compiled = || world.condition("SequenceFeature", "recent", "Compiled");
    world.until("it is refused", |_| compiled() == ("False".to_owned(), "Invalid".to_owned())).await;
    world.rest(Duration::from_millis(700)).await;
    for kind in ["Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "ConfigMap"] {
        let all = world.store.all(kind);
        let made: Vec<_> = all.iter().filter(|(_, object)| label(object, "tress.dev/role") == "serve").map(|(key, _)| key).collect();
        assert!(made.is_empty(), "{made:?}");
    }
    world.define_feature(feature("recent", &["rating"])).await;
    world.until("it is read", |_| world.is_settled("recent")).await;
    // Once it has pods, a mistake takes them from nobody.
    world.define_feature(with(feature("recent", &["rating"]), "/spec/definition/signals/0/columns", json!(["nothing"]))).await;
    world.until("it is refused again", |_| compiled() == ("False".to_owned(), "Invalid".to_owned())).await;
    world.rest(Duration::from_millis(700)).await;
    assert!(world.get("Deployment", "tress-default").is_some());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feature_waits_for_its_signal_and_goes_on_when_a_topic_that_was_missing_is_there() {
    let world = World::begin("waits", Mood::CALM).await;
    let _operator = world.operator().await;
    world.lake.lock().unwrap().missing.insert("rating".to_owned());
    world.define_feature(feature("recent", &["rating"])).await;
    world.until("the missing signal is told of", |_| world.condition("SequenceFeature", "recent", "Compiled").0 == "Unknown").await;
    assert_eq!(world.condition("SequenceFeature", "recent", "Ready").0, "False");
    assert_eq!(world.condition("SequenceFeature", "recent", "Stalled").0, "", "it is no mistake");
    world.define_signal(signal("rating")).await;
    world
        .until("the missing topic is told of", |_| world.condition_message("SignalDefinition", "rating", "Prepared").contains("rating"))
        .await;
    assert_ne!(world.condition("SequenceFeature", "recent", "Ready").0, "True");
    world.lake.lock().unwrap().missing.clear();
    world.until("it is Ready", |_| world.is_ready("SequenceFeature", "recent")).await;
    world.finish().await;
}
