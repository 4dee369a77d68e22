//! MovieLens 100k through Kafka and S3 in processes of their own, shuffled, with duplicates and late arrivals: byte for byte what one
//! process gives on one machine that gets each rating once and in order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path as Key;
use object_store::{ObjectStoreExt, PutPayload};
use tress_configs::Plan;
use tress_engine::clock::SystemClock;
use tress_engine::log::NewRecord;
use tress_engine::platform::Platform;
use tress_engine::serve::{Client, Pinned, Route, RouteFile, write_routes};

use crate::broker::name;
use crate::engine::{Engine, free_address, get, until};
use crate::ratings::{Stored, compiled, data, local, movies, ratings, read_all, shuffle};
use crate::whole::mount;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn movielens_in_any_order_through_kafka_and_s3_is_byte_for_byte_the_local_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let from = data();
    let (stored, movies, topic, prefix) = (ratings(&from), movies(&from), name("ratings"), name("movielens"));
    let users: BTreeSet<i64> = stored.iter().map(|s| s.user).collect();
    let (desired, plans) = compiled(&topic);
    let local = local(folder.path(), &movies, (desired, &topic), &stored).await;
    let expected = read_all(&local.1, &users).await.expect("it is served");
    assert!(expected.iter().map(Bytes::len).sum::<usize>() > 1 << 20, "there is something to compare");

    // The same events, shuffled, a fifth of them twice, in parts between which they are archived and folded.
    let file = mount(folder.path(), &prefix);
    let (platform, _) = Platform::open(&file, Arc::new(SystemClock)).expect("a platform");
    platform.lake().store().put(&Key::from("movies/part-0.parquet"), PutPayload::from(movies)).await.expect("a table");
    let log = platform.log("main").expect("a log");
    log.create(&topic, 4).await.expect("a topic");
    let mut events: Vec<&Stored> = stored.iter().chain(stored.iter().step_by(5)).collect();
    shuffle(&mut events);
    let parts: Vec<&[&Stored]> = events.chunks(events.len().div_ceil(3)).collect();
    let produce = async |part: &[&Stored]| {
        for (n, some) in part.chunks(2000).enumerate() {
            let records = some.iter().map(|s| NewRecord { payload: s.json.clone().into(), ..NewRecord::default() }).collect();
            log.append(&topic, i32::try_from(n % 4).expect("few"), records).await.expect("produced");
        }
    };

    let engine = Engine::new(&file, folder.path());
    let mut digests = Vec::new();
    for (object, plan) in &plans {
        let path = folder.path().join(object.replace('/', "."));
        std::fs::write(&path, plan.canonical_json()).expect("a plan");
        let path = path.display().to_string();
        match plan {
            Plan::Signal(_) => drop(engine.done(&["prepare", "--plan", &path, "--uid", "sig"])),
            Plan::Feature(_) => digests.push((object.clone(), plan.digest(), path)),
        }
    }
    let mut routes = RouteFile::default();
    for (n, (_, digest, path)) in digests.iter().enumerate() {
        let uid = format!("seq-{n}");
        engine.done(&["prepare", "--plan", path, "--uid", &uid, "--signal", "sig"]);
        let Some((_, Plan::Feature(plan))) = plans.iter().find(|(_, plan)| plan.digest() == *digest) else { panic!("a feature") };
        let live = Some(Pinned { uid, digest: digest.clone() });
        let route = Route { live, epoch: 1, ..Route::default() };
        routes.features.insert(plan.name.to_string(), route);
    }
    let demands = folder.path().join("demands.json");
    let listed: Vec<&String> = digests.iter().map(|(_, digest, _)| digest).collect();
    std::fs::write(&demands, serde_json::json!({"version": 1, "number": 1, "features": listed}).to_string()).expect("demands");
    let route_file = folder.path().join("routes.json");
    write_routes(&route_file, &routes).await.expect("routes");

    let streams = [(); 2].map(|()| engine.start(&["stream", "--uid", "sig"]));
    let archive = engine.start(&["archive", "--connection", "main", "--topic", &topic, "--interval", "1"]);
    produce(parts[0]).await;
    let (grpc, http) = (free_address(), free_address());
    let (state, routes) = (folder.path().join("serve").display().to_string(), route_file.display().to_string());
    let (grpc_text, http_text) = (grpc.to_string(), http.to_string());
    let serve = engine.start(&["serve", "--routes", &routes, "--state", &state, "--grpc", &grpc_text, "--http", &http_text]);
    until("ready", async || get(http, "/readyz").is_some_and(|(status, _)| status == 200)).await;
    let demands = demands.display().to_string();
    let fold = ["backfill", "run", "--uid", "sig", "--demands", demands.as_str()];
    engine.done(&fold);
    produce(parts[1]).await;
    produce(parts[2]).await;
    let client = Client::connect(&format!("http://{grpc}"), Duration::from_secs(60)).await.expect("it answers");
    until("every sequence as it is on one machine", async || read_all(&client, &users).await.expect("it is served") == expected).await;

    // With everything folded, and from a new process.
    let raw = tress_engine::archive::RawTable::new(platform.lake().clone(), "main", &topic, &log.id(&topic).await.expect("an id").topic);
    until("everything archived", async || raw.snapshot(None).await.expect("a raw table").is_some_and(|s| s.rows() == events.len() as u64))
        .await;
    engine.done(&fold);
    serve.kill();
    let again = engine.start(&["serve", "--routes", &routes, "--state", &state, "--grpc", &grpc_text, "--http", &http_text]);
    until("ready again", async || get(http, "/readyz").is_some_and(|(status, _)| status == 200)).await;
    let client = Client::connect(&format!("http://{grpc}"), Duration::from_secs(60)).await.expect("it answers");
    assert!(read_all(&client, &users).await.expect("it is served") == expected, "base and tail of a new process answer the same");
    for process in streams.into_iter().chain([archive, again]) {
        assert_eq!(process.stop().0, 0);
    }
    local.0.shutdown().await.expect("it stops");
}
