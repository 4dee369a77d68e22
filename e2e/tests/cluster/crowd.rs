//! One pool of five hundred features, over a few signals: all are served, by pods of the memory that any pool has. It takes long, most of it
//! the start of a pod for each revision: a line of the benchmarks (`scripts/bench --only crowd`), which reads what it prints as `measured`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use serde_json::{Value, json};

use crate::declared::{feature, with};
use crate::definitions::{file, rate, signal};
use crate::site::{Site, unused};

/// All are parts of one topic.
const SIGNALS: usize = 10;
/// Of these all sequences are read.
const READ: usize = 25;
const USER: &str = "a";
/// Of the user in each signal.
const EVENTS: i64 = 12;
/// Features that become Ready within the patience for one thing.
const STEP: usize = 25;

/// Five hundred, or as many as are asked for.
fn features() -> usize {
    std::env::var("TRESS_FEATURES").map_or(500, |asked| asked.parse().expect("TRESS_FEATURES is a number"))
}

fn kind(topic: &str, number: usize) -> Value {
    let mut signal = signal(&format!("s{number}"), topic);
    let field = json!({"name": "kind", "type": "string"});
    signal["spec"]["definition"]["event"]["fields"].as_array_mut().unwrap().push(field);
    with(signal, "/spec/definition/source/where", json!(format!("kind = 's{number}'")))
}

/// The signals that a feature reads, and its length: none is as another one.
fn reads(number: usize) -> ([usize; 2], usize) {
    let (first, rest) = (number % SIGNALS, number / SIGNALS);
    ([first, (first + 1 + rest % (SIGNALS - 1)) % SIGNALS], 1 + rest)
}

fn one(number: usize) -> Value {
    let (signals, length) = reads(number);
    let [first, second] = signals.map(|n| format!("s{n}"));
    with(feature(&format!("f{number}"), &[&first, &second]), "/spec/definition/length", json!(length))
}

/// Item and second of the user's events in a signal.
fn events(signal: usize) -> impl Iterator<Item = (i64, i64)> {
    let signal = i64::try_from(signal).unwrap();
    (0..EVENTS).map(move |n| (signal * 100 + n, n * 100 + signal))
}

/// What the user's sequence has to be.
fn expected(number: usize) -> Vec<i64> {
    let (signals, length) = reads(number);
    let mut all: Vec<(i64, i64)> = signals.into_iter().flat_map(events).collect();
    all.sort_by_key(|(_, second)| std::cmp::Reverse(*second));
    let mut items: Vec<i64> = all.into_iter().take(length).map(|(item, _)| item).collect();
    items.sort_unstable();
    items
}

/// How often it is said of a feature what `kubectl get` shows beside its name.
fn said(site: &Site, space: &str) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for line in site.kubectl(&["get", "seq", "--no-headers", "--namespace", space]).lines() {
        let cells: Vec<&str> = line.split_whitespace().skip(1).take(2).collect();
        *all.entry(cells.join(" ")).or_default() += 1;
    }
    all
}

/// By pod, what its node counts of it.
fn counted(site: &Site, space: &str) -> BTreeMap<String, Value> {
    let node = site.kubectl(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]);
    let told = site.kubectl(&["get", "--raw", &format!("/api/v1/nodes/{node}/proxy/stats/summary")]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let pods = told["pods"].as_array().into_iter().flatten().filter(|pod| pod["podRef"]["namespace"] == space);
    pods.map(|pod| (pod["podRef"]["name"].as_str().unwrap().to_owned(), pod.clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn one_pool_of_five_hundred_features_is_served_by_pods_that_never_begin_anew() {
    let (site, space, features) = (Site::here().await, unused("crowd"), features());
    site.namespace(&space);
    let platform = site.platform();
    let log = platform.log("main").unwrap();
    log.create(&space, 1).await.unwrap();
    for signal in 0..SIGNALS {
        rate(&*log, &space, (&format!("s{signal}"), USER), events(signal)).await;
    }
    let began = Instant::now();
    let all: Vec<Value> = (0..SIGNALS).map(|n| kind(&space, n)).chain((0..features).map(one)).collect();
    site.apply(&space, &file(&all));
    let applied = began.elapsed();
    for ready in (STEP..features).step_by(STEP).chain([features]) {
        site.until(&format!("{ready} features are as declared"), async || said(&site, &space).get("True AsDeclared") >= Some(&ready)).await;
        println!("{ready} of {features} are Ready after {:.0} s", began.elapsed().as_secs_f64());
    }
    let took = began.elapsed();
    assert_eq!(said(&site, &space), [("True AsDeclared".to_owned(), features)].into());

    // Each pod by itself has all of them.
    let readers = site.readers(&space).await;
    assert!(!readers.is_empty());
    for reader in &readers {
        for number in (0..features).step_by(features.div_ceil(READ)) {
            let (feature, expected) = (format!("{space}/f{number}"), expected(number));
            site.until(&format!("{feature} is {expected:?}"), async || {
                Site::items(reader, &feature, USER).await.is_ok_and(|items| items == expected)
            })
            .await;
        }
    }
    // What the node counts is of the last seconds: no more of what made them ready.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (counted, mut pods) = (counted(&site, &space), Vec::new());
    for pod in site.of_role(&space, "serve").await {
        let name = pod.name_any();
        let of = |at: &str| counted.get(&name).and_then(|pod| pod.pointer(at)).cloned();
        pods.push(json!({"bytes": of("/memory/workingSetBytes"), "nanoCores": of("/cpu/usageNanoCores")}));
        let containers = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
        assert!(containers.iter().all(|container| container.restart_count == 0), "{name} began anew: {containers:?}");
    }
    let seconds = json!({"applied": applied.as_secs_f64(), "ready": took.as_secs_f64()});
    println!("measured {}", json!({"features": features, "signals": SIGNALS, "seconds": seconds, "pods": pods}));
    site.leave(&space);
}
