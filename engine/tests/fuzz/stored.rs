//! Files: of the local log, of the lake, and of a node.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::{Builder, Runtime};
use tress_configs::SignalPlan;
use tress_engine::backfill::{Report, WorkPlan};
use tress_engine::base::Manifest;
use tress_engine::clock::FixedClock;
use tress_engine::history::History;
use tress_engine::lake::Lake;
use tress_engine::log::segment::durable::Sync;
use tress_engine::log::{LocalLog, Log, MemoryLog, NewRecord, Position, segment};
use tress_engine::node::{Desired, Fold, Node, Settings};
use tress_engine::platform::Platform;
use tress_engine::serve::RouteFile;
use tress_engine::store::{self, SignalStore};
use tress_engine::{prepare, tail};

use crate::mutate::mutate;
use crate::run::Target;
use crate::scenario;

const TOPIC: &str = "t";

pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::new(scenario::NOW))
}

/// Every file below a folder, relative to it, with its bytes; sorted.
fn all(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else {
                let bytes = std::fs::read(&path).expect("a file");
                found.push((path.strip_prefix(folder).expect("below").to_owned(), bytes));
            }
        }
    }
    found.sort();
    found
}

fn write(folder: &Path, files: &[(PathBuf, Vec<u8>)]) {
    for (path, bytes) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, bytes).expect("written");
    }
}

fn open_log(folder: &Path) -> tress_engine::Result<LocalLog> {
    let settings = segment::Settings { sync: Sync::OnlyOrder, segment_bytes: 100, ..segment::Settings::default() };
    LocalLog::open_with(folder, clock(), settings)
}

pub fn logs() -> Target {
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a folder");
    runtime.block_on(async {
        let log = open_log(folder.path()).expect("a log");
        log.create(TOPIC, 1).await.expect("a topic");
        for i in 0..8 {
            let record = NewRecord { payload: format!("record {i}").into(), ..NewRecord::default() };
            log.append(TOPIC, 0, vec![record]).await.expect("appended");
        }
        log.commit("g", TOPIC, &[Position { partition: 0, offset: 3 }]).await.expect("committed");
    });
    let mut files = all(folder.path());
    files.retain(|(path, _)| !path.ends_with("lock"));
    Box::new(move |random, keep| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut files = files.clone();
        let which = random.below(files.len());
        let damaged = mutate(random, &[files[which].1.clone()]);
        keep(&damaged);
        files[which].1 = damaged;
        write(folder.path(), &files);
        runtime.block_on(async {
            let Ok(log) = open_log(folder.path()) else { return };
            drop(log.committed("g", TOPIC).await);
            let read = log.read(TOPIC, Position { partition: 0, offset: 0 }, 1 << 20, Duration::ZERO).await;
            if let (Ok(read), Some("segment")) = (read, files[which].0.extension().and_then(|e| e.to_str())) {
                let payloads: Vec<_> = read.records.iter().map(|r| r.payload.clone()).collect();
                let whole: Vec<_> = (0..8).map(|i| bytes::Bytes::from(format!("record {i}"))).collect();
                assert_eq!(payloads, whole, "a damaged segment is refused, or what it says is what was written");
            }
        });
    })
}

async fn open_node(folder: &Path) -> tress_engine::Result<Arc<Node>> {
    let settings = Settings { state: folder.join("state"), tables: folder.join("tables"), clock: clock(), listen: None };
    Node::open(settings).await
}

/// The files of a node that has run, small; and the plan and UID of its signal.
fn node_files(runtime: &Runtime, folds: bool) -> (Vec<(PathBuf, Vec<u8>)>, Arc<SignalPlan>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    scenario::write_titles(&folder.path().join("tables"));
    let (plan, uid) = runtime.block_on(async {
        let node = open_node(folder.path()).await.expect("opened");
        let desired = scenario::desired(3);
        let plan = Arc::clone(&desired.signals[0].plan);
        node.apply(desired).await.expect("applied");
        node.append(scenario::TOPIC, crate::serving::records(0)).await.expect("appended");
        node.settle().await.expect("settled");
        for signal in node.signals().await {
            signal.keep(node.platform().own_log().as_ref()).await.expect("kept");
        }
        if folds {
            node.backfill(&plan.name, Fold::New, &|_| {}).await.expect("folded");
        }
        let uid = node.signals().await[0].uid.clone();
        node.shutdown().await.expect("stopped");
        (plan, uid)
    });
    (all(folder.path()), plan, uid)
}

pub fn lake() -> Target {
    let runtime = runtime();
    let (files, plan, uid) = node_files(&runtime, true);
    // What is read as JSON, by its path in the lake.
    let files: Vec<(String, Vec<u8>)> =
        files.into_iter().filter_map(|(path, bytes)| Some((path.strip_prefix("state/lake").ok()?.to_str()?.to_owned(), bytes))).collect();
    let documents: Vec<usize> = (0..files.len()).filter(|i| files[*i].0.ends_with(".json")).collect();
    assert!(documents.len() > 8);
    let routes = RouteFile::from_json(br#"{"version":1,"features":{}}"#).expect("routes");
    drop(routes);
    Box::new(move |random, keep| {
        let which = documents[random.below(documents.len())];
        let (path, whole) = &files[which];
        let damaged = mutate(random, &[whole.clone()]);
        keep(&damaged);
        drop(RouteFile::from_json(&damaged));
        let store = Arc::new(InMemory::new());
        runtime.block_on(async {
            let near = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            for (other, bytes) in files.iter().filter(|(other, _)| other.starts_with(near)) {
                let bytes = if other == path { damaged.clone() } else { bytes.clone() };
                store.put(&object_store::path::Path::from(other.as_str()), bytes.into()).await.expect("put");
            }
            let store: Arc<dyn ObjectStore> = store;
            let lake = Lake::new(store, url::Url::parse("memory:///").expect("an address")).expect("a lake");
            let history = History::new(lake.clone(), &uid, Arc::clone(&plan));
            if path.contains("/backfills/") {
                drop(WorkPlan::read(&history, 1).await);
                drop(Report::read(&history, 1).await);
            } else if path.contains("/base/") {
                drop(Manifest::newest(&history).await);
            } else if path.contains("/tail/") {
                let store = SignalStore::new(history, &tail::Settings { memory: usize::MAX, spill_to: None });
                drop(store::restore(&store).await);
            } else if path.contains("_delta_log") {
                drop(history.snapshot().await);
            } else {
                let log: Arc<dyn Log> = Arc::new(MemoryLog::new(clock()));
                let platform = Platform::local(log, lake.clone(), lake, clock());
                drop(prepare::read(&platform, &uid).await);
                let digest = path.rsplit('/').next().and_then(|name| name.strip_suffix(".json")).expect("a digest");
                drop(prepare::plan(&platform, digest).await);
            }
        });
    })
}

pub fn nodes() -> Target {
    let runtime = runtime();
    let (files, _, _) = node_files(&runtime, false);
    let small: Vec<usize> = (0..files.len())
        .filter(|i| {
            let path = files[*i].0.to_string_lossy();
            path.ends_with("node.json") || path.ends_with("epochs.json") || path.contains("_tress") || path.contains("/tail/")
        })
        .collect();
    assert!(small.len() > 5);
    Box::new(move |random, keep| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut files = files.clone();
        let which = small[random.below(small.len())];
        files[which].1 = mutate(random, &[files[which].1.clone()]);
        keep(&files[which].1);
        write(folder.path(), &files);
        runtime.block_on(async {
            let Ok(node) = open_node(folder.path()).await else { return };
            node.apply(Desired::default()).await.ok();
            node.shutdown().await.expect("stopped");
        });
    })
}
