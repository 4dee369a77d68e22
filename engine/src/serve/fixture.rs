//! A feature in two revisions over a real store, and a server on real sockets, for tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tress_configs::column::Scalar;
use tress_configs::name::QualifiedName;
use tress_configs::plan::{ColumnPlan, ColumnRead, FeaturePlan, Origin, PLAN_VERSION, Plan, SEMANTICS, SignalRead, ViewPlan};

use super::*;
use crate::changelog::Published;
use crate::clock::FixedClock;
use crate::entity::shard_of;
use crate::error::Result;
use crate::history::fixture::{self as history, Event, event};
use crate::history::{Commit, History, NewFile, encode};
use crate::lake::Lake;
use crate::layout;
use crate::metrics::Metrics;
use crate::rows::col;
use crate::run::sort;
use crate::store::{BaseFacts, Installed, ServedFeature, SignalStore};
use crate::tail;

pub const FEATURE: &str = "movies/recent";
/// What the clock says, and how far the source is applied.
pub const NOW: i64 = 1_000_000_000;
pub const APPLIED: i64 = NOW - 5_000_000;

/// A process that serves: everything but its listeners.
pub struct Process {
    pub reader: Arc<Reader>,
    pub clock: Arc<FixedClock>,
    pub store: Arc<SignalStore>,
    /// What the lake is on: may be made slow.
    pub disk: Arc<ThrottledStore<InMemory>>,
    folder: TempDir,
}

/// A process that listens.
pub struct Running {
    pub process: Process,
    pub addresses: Addresses,
    pub shutdown: CancellationToken,
    pub task: JoinHandle<Result<()>>,
}

pub fn name() -> QualifiedName {
    QualifiedName::new("movies", "recent")
}

/// A feature over [`history::plan`]'s signal with these of its columns.
pub fn plan(columns: &[&str], length: u32) -> FeaturePlan {
    let signal = history::plan();
    let column = |name: &&str| signal.columns.iter().find(|c| c.name == **name).expect("a column of the signal").clone();
    FeaturePlan {
        version: PLAN_VERSION,
        semantics: SEMANTICS,
        name: name(),
        entity: Scalar::String,
        signals: vec![SignalRead {
            name: signal.name.clone(),
            schema_version: signal.schema_version,
            digest: Plan::Signal(signal.clone()).digest(),
            retention_ms: None,
            columns: columns.iter().map(|c| ColumnRead { source: (*c).to_owned(), output: (*c).to_owned() }).collect(),
            filter: None,
            filter_columns: Vec::new(),
            required_found: 0,
            length: None,
        }],
        length,
        window_ms: None,
        deduplicate: Vec::new(),
        view: ViewPlan::Events,
        columns: columns.iter().map(|name| ColumnPlan { origin: Origin::Signals, ..column(name) }).collect(),
        sunset: None,
    }
}

/// Entities `u0` to `u99`; `u<i>` has i % 7 events.
pub fn events() -> Vec<Event> {
    let of = |i: i64| (0..i % 7).map(move |n| event(&format!("u{i}"), 1_000 * n + i, 10 * i + n));
    (0..100).flat_map(of).collect()
}

impl Process {
    pub async fn start(budgets: Budgets) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Arc::new(ThrottledStore::new(InMemory::new(), ThrottleConfig::default()));
        let root = url::Url::parse("memory:///lake/").expect("an address");
        let lake = Lake::new(disk.clone(), root).expect("a lake");
        let history = History::new(lake, "s1", Arc::new(history::plan()));
        let store = Arc::new(SignalStore::new(history, &tail::Settings { memory: usize::MAX, spill_to: None }));
        let batch = history::rows(&events());
        let shards = store.plan().shards;
        for (index, shard) in (0..shards).zip(store.shards()) {
            let hashes = batch.column(col::ENTITY_HASH).as_primitive::<Int64Type>();
            let mine: BooleanArray = hashes.values().iter().map(|hash| Some(shard_of(*hash, shards) == index)).collect();
            shard.append(filter_record_batch(&batch, &mine).expect("a filter of its length"), 1).expect("rows");
            store.progress().heard(index as usize, &Published { partition: 0, offset: 1, timestamp: Some(APPLIED), at_end_as_of: None });
        }
        let clock = Arc::new(FixedClock::new(NOW));
        let reader = Reader {
            registry: Arc::default(),
            routes: Arc::new(Routes::open(None).await.expect("no file")),
            admission: Admission::new(budgets),
            clock: clock.clone(),
            metrics: Metrics::new(),
        };
        Self { reader: Arc::new(reader), clock, store, disk, folder }
    }

    /// Moves all events from the tail into history, where only reads as known at a time find them.
    pub async fn seal(&self) {
        // The table's log is on a real disk, because Delta's own threads have no timer; its files are in the store that may be slow.
        let history = history::history(self.folder.path());
        let empty = history.create().await.expect("a table");
        let (bytes, stats) = encode(&sort(history::rows(&events())).expect("rows")).expect("a file").expect("rows");
        let file = NewFile { path: layout::history_file("1970-01-01", 1, 0), bucket: "1970-01-01".into(), stats };
        let table = self.store.history().lake().table_store(&layout::history(history.uid()));
        table.put(&file.path.as_str().into(), bytes.into()).await.expect("written");
        let commit = Commit { backfill: 1, cut: 1, add: vec![file], at: NOW, ..Commit::default() };
        history.commit(&empty, commit).await.expect("committed");
        let snapshot = history.snapshot().await.expect("read").expect("a table");
        let facts = BaseFacts {
            manifest: 1,
            made_at: Some(NOW),
            sealed_through: snapshot.newest(),
            complete_through: Some(NOW + 1),
            changelog: Vec::new(),
        };
        let shards = vec![Vec::new(); self.store.shards().len()];
        self.store.install(Installed { facts, history: Arc::new(snapshot), cut: None, shards }).expect("installed");
    }

    /// Every read of the lake takes so long from now on.
    pub fn slow_lake(&self, wait: Duration) {
        self.disk.config_mut(|config| config.wait_get_per_call = wait);
    }

    /// A revision of the feature over this process's store.
    pub fn revision(&self, plan: FeaturePlan) -> Arc<ServedFeature> {
        let digest = Plan::Feature(plan.clone()).digest();
        Arc::new(ServedFeature::new(Arc::new(plan), digest, vec![self.store.clone()]).expect("a feature of the store"))
    }

    /// Loads a revision and gives its digest.
    pub fn load(&self, plan: FeaturePlan) -> String {
        let served = self.revision(plan);
        self.reader.registry.ready(served.clone(), about());
        served.digest.clone()
    }

    pub async fn route(&self, live: Option<&str>, trial: Option<(&str, u32)>, epoch: u64) {
        let pinned = |digest: &str| Pinned { uid: format!("uid-{digest}"), digest: digest.to_owned() };
        let route = Route {
            live: live.map(pinned),
            trial: trial.map(|(digest, _)| pinned(digest)),
            weight_bp: trial.map_or(0, |(_, weight)| weight),
            epoch,
            ..Route::default()
        };
        let file = RouteFile { features: [(FEATURE.to_owned(), route)].into(), ..RouteFile::default() };
        let applied = self.reader.routes.apply(&file, Absent::Remove).await.expect("routes");
        assert_eq!(applied.refused, []);
    }

    pub async fn listen(self, change: impl FnOnce(&mut Settings)) -> Running {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut settings = Settings {
            grpc: any,
            http: any,
            drain_delay: Duration::ZERO,
            health_interval: Duration::from_millis(5),
            ..Settings::default()
        };
        change(&mut settings);
        let server = Server::bind(settings, self.reader.clone()).await.expect("free ports");
        let (addresses, shutdown) = (server.addresses(), CancellationToken::new());
        let task = tokio::spawn(server.run(shutdown.clone()));
        Running { process: self, addresses, shutdown, task }
    }
}

impl Running {
    /// One live revision of `item` and `title`, length 5.
    pub async fn with_one_revision() -> Self {
        let process = Process::start(Budgets::default()).await;
        let live = process.load(plan(&["item", "title"], 5));
        process.route(Some(&live), None, 1).await;
        process.listen(|_| ()).await
    }

    pub async fn client(&self) -> Client {
        Client::connect(&format!("http://{}", self.addresses.grpc), Duration::from_secs(5)).await.expect("a connection")
    }

    pub async fn channel(&self) -> tonic::transport::Channel {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", self.addresses.grpc)).expect("an address");
        endpoint.connect().await.expect("a connection")
    }

    /// Status and body of a GET.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = tokio::net::TcpStream::connect(self.addresses.http).await.expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.expect("a reply");
        let (head, body) = reply.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        (status, body.to_owned())
    }

    pub async fn json(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.get(path).await;
        (status, serde_json::from_str(&body).expect("JSON"))
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        // Well before the time to drain is over: nothing that is idle holds a server up.
        let ended = tokio::time::timeout(Duration::from_secs(10), self.task).await.expect("it ends in time");
        ended.expect("no panic").expect("a clean end");
    }
}

pub fn about() -> About {
    About {
        description: "The last ratings of a user.".to_owned(),
        owners: vec!["team@example.com".to_owned()],
        freshness_p99: Some(tress_configs::duration::Duration::from_millis(10_000)),
        complete_within: None,
    }
}
