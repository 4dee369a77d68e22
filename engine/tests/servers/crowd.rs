//! A serving process that follows many signals: what each costs it beside its rows.

use std::path::Path;
use std::time::Duration;

use tress_engine::clock::SystemClock;
use tress_engine::platform::Platform;
use tress_engine::serve::{self, Pinned, Route, RouteFile};

use crate::broker::name;
use crate::engine::{Engine, free_address, get, until};
use crate::pool::{numbered, written};
use crate::whole::{event, mount};

const SIGNALS: usize = 24;
/// Of one signal with an empty or a small tail, in a build for tests. A tail that reserved what it might need took 50 MB.
const EACH_KIB: usize = 4 << 10;
/// Of all clients, the runtime, and calls that block.
const THREADS: usize = 96;

/// What `/proc` says of a process: KiB of memory of its own, threads.
fn size(pid: u32) -> [usize; 2] {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let of = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    [of("RssAnon:"), of("Threads:")]
}

async fn route(folder: &Path, live: &[Pinned]) {
    let one = |(n, live): (usize, &Pinned)| (format!("movies/rated{n}"), Route { live: Some(live.clone()), epoch: 1, ..Route::default() });
    let file = RouteFile { features: live.iter().enumerate().map(one).collect(), ..RouteFile::default() };
    serve::write_routes(&folder.join("routes.json"), &file).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_signal_that_a_serving_process_follows_costs_it_little_memory_and_no_thread() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, file) = (name("crowd"), mount(folder.path(), &name("crowd-lake")));
    let (platform, _) = Platform::open(&file, std::sync::Arc::new(SystemClock)).unwrap();
    let log = platform.log("main").unwrap();
    log.create(&topic, 1).await.unwrap();
    log.append(&topic, 0, (0..200).map(event).collect()).await.unwrap();
    let engine = Engine::new(&file, folder.path());
    let (mut revisions, mut first) = (Vec::new(), None);
    for number in 0..SIGNALS {
        let (signal, feature) = numbered(&topic, number);
        let (uid, pinned) = (name("sig"), Pinned { uid: name("feature"), digest: feature.digest() });
        let [signal, feature] = [signal, feature].map(|plan| written(folder.path(), &plan));
        engine.done(&["prepare", "--plan", &signal, "--uid", &uid]);
        engine.done(&["prepare", "--plan", &feature, "--uid", &pinned.uid, "--signal", &uid]);
        revisions.push(pinned);
        first.get_or_insert(uid);
    }
    // One has rows.
    let stream = engine.start(&["stream", "--uid", &first.unwrap()]);
    route(folder.path(), &revisions[..1]).await;
    let http = free_address();
    let (routes, state) = (folder.path().join("routes.json"), folder.path().join("state"));
    let [routes, state] = [routes, state].map(|path| path.display().to_string());
    let [grpc, at] = [free_address(), http].map(|address| address.to_string());
    let serving = engine.start(&["serve", "--routes", &routes, "--state", &state, "--grpc", &grpc, "--http", &at]);
    let reads = |n: usize, rows: usize| {
        let path = format!("/v1/sequences/movies/rated{n}/u3");
        get(http, &path).is_some_and(|(status, body)| status == 200 && body.matches("item_id").count() >= rows)
    };
    until("the one with rows is read", async || reads(0, 1)).await;
    // What was needed once to begin, and upkeep of the tail, are behind it.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let [one, _] = size(serving.pid());
    route(folder.path(), &revisions).await;
    until("all are read", async || (0..SIGNALS).all(|n| reads(n, 0))).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let [all, threads] = size(serving.pid());
    let each = all.saturating_sub(one) / (SIGNALS - 1);
    println!("{each} KiB each beside {one} KiB, {threads} threads");
    assert!(each < EACH_KIB, "{each} KiB for each signal");
    assert!(threads < THREADS, "{threads} threads for {SIGNALS} signals");
    assert_eq!((serving.stop().0, stream.stop().0), (0, 0));
}
