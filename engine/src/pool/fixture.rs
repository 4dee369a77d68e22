//! A platform on one machine with signals that are streamed, and pools over it, for tests.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tress_configs::source::{Foreign, parse};
use tress_configs::{FeaturePlan, Pins, Plan, SignalPlan, compile};

use super::*;
use crate::base::{Demand, Demands};
use crate::clock::{Stopwatch, SystemClock};
use crate::entity::Entity;
use crate::history::History;
use crate::lake::Lake;
use crate::log::{Log, MemoryLog, NewRecord};
use crate::prepare;
use crate::roles::fold::{self, Fresh};
use crate::roles::{Streamed, Tasks};
use crate::serve::proto;
use crate::serve::tls::Trust;
use crate::serve::tls::fixture::{Authority, Purpose, SERVER, mount};
use crate::serve::{Client, Pinned, Reply, Route, RouteFile, Wanted};

const DEFINITIONS: &str = r#"
apiVersion: tress.dev/v1alpha1
kind: SignalDefinition
metadata: {name: rating, namespace: movies}
spec:
  definition:
    entity: {field: user}
    event:
      time: {field: ts, unit: Seconds}
      availableAt: {recordTimestamp: {}}
      id: [item]
      fields: [{name: user, type: string}, {name: item, type: int64}, {name: ts, type: int64}]
    source: {stream: {connection: main, topic: ratings, format: {json: {}}}, archive: true}
    executor: {declarative: {}}
---
apiVersion: tress.dev/v1alpha1
kind: SignalDefinition
metadata: {name: watch, namespace: movies}
spec:
  definition:
    entity: {field: user}
    event:
      time: {field: ts, unit: Seconds}
      availableAt: {recordTimestamp: {}}
      id: [item]
      fields: [{name: user, type: string}, {name: item, type: int64}, {name: ts, type: int64}]
    source: {stream: {connection: main, topic: watches, format: {json: {}}}, archive: true}
    executor: {declarative: {}}
---
apiVersion: tress.dev/v1alpha1
kind: SequenceFeature
metadata: {name: rated, namespace: movies}
spec: {definition: {signals: [{name: rating, columns: [item]}], length: LENGTH}}
---
apiVersion: tress.dev/v1alpha1
kind: SequenceFeature
metadata: {name: seen, namespace: movies}
spec: {definition: {signals: [{name: watch, columns: [item]}], length: LENGTH}}
---
apiVersion: tress.dev/v1alpha1
kind: SequenceFeature
metadata: {name: both, namespace: movies}
spec: {definition: {signals: [{name: rating, columns: [item]}, {name: watch, columns: [item]}], length: LENGTH}}
"#;

const WAIT: Duration = Duration::from_secs(60);

/// The signals' UIDs.
pub const RATING: &str = "rating-1";
pub const WATCH: &str = "watch-1";
/// What features may take for bases, unless a test says otherwise.
pub const MEMORY: u64 = 64 << 20;

/// The outside world of pools: two signals, prepared.
pub struct World {
    pub folder: TempDir,
    pub platform: Platform,
    pub authority: Authority,
    signals: Vec<Streaming>,
    revisions: std::sync::atomic::AtomicU32,
}

/// A signal whose stream runs as long as its world is there.
struct Streaming {
    plan: Arc<SignalPlan>,
    revision: prepare::Revision,
    streamed: Streamed,
    _tasks: Tasks,
}

/// A pool that runs.
pub struct Running {
    pub addresses: Addresses,
    pub shared: Arc<Shared>,
    pub state: PathBuf,
    pub control: control::Client,
    shutdown: CancellationToken,
    task: JoinHandle<Result<()>>,
}

fn plans(length: u32) -> Vec<Plan> {
    let parsed = parse("pool.yaml", &DEFINITIONS.replace("LENGTH", &length.to_string()), Foreign::Report);
    assert!(parsed.issues.is_empty(), "{:?}", parsed.issues);
    let objects: Vec<_> = parsed.objects.into_iter().map(|o| o.item).collect();
    compile(&objects, &Pins::default()).into_values().map(|compiled| compiled.expect("it compiles").plan).collect()
}

impl World {
    pub async fn new() -> Self {
        Self::over(|log| log).await
    }

    /// `wrap`: around the log that keeps changelogs and topics.
    pub async fn over(wrap: impl FnOnce(Arc<dyn Log>) -> Arc<dyn Log>) -> Self {
        let (folder, clock) = (tempfile::tempdir().expect("a folder"), Arc::new(SystemClock));
        let lake = Lake::local(&folder.path().join("lake")).expect("a lake");
        let log = wrap(Arc::new(MemoryLog::new(clock.clone())));
        let platform = Platform::local(log, lake.clone(), lake, clock);
        let mut signals = Vec::new();
        for plan in plans(1) {
            if let Plan::Signal(plan) = plan {
                let uid = if plan.name.name == "rating" { RATING } else { WATCH };
                let plan = Arc::new(plan);
                let revision = prepare::signal(&platform, &plan, uid).await.expect("prepared");
                let mut tasks = Tasks::new(CancellationToken::new());
                let streamed = Streamed::start(&platform, &revision, &plan, &mut tasks).await.expect("a stream");
                signals.push(Streaming { plan, revision, streamed, _tasks: tasks });
            }
        }
        let authority = Authority::new("control");
        Self { folder, platform, authority, signals, revisions: std::sync::atomic::AtomicU32::new(0) }
    }

    fn signal(&self, uid: &str) -> &Streaming {
        self.signals.iter().find(|signal| signal.revision.uid == uid).expect("a signal of this world")
    }

    pub fn feature(name: &str, length: u32) -> FeaturePlan {
        let of = |plan| if let Plan::Feature(plan) = plan { Some(plan) } else { None };
        plans(length).into_iter().filter_map(of).find(|plan| plan.name.name == name).expect("a feature of these definitions")
    }

    /// Prepares a new revision of a feature.
    pub async fn revision(&self, name: &str, length: u32) -> Pinned {
        let plan = Self::feature(name, length);
        let uid_of = |read: &tress_configs::plan::SignalRead| if read.name.name == "rating" { RATING } else { WATCH }.to_owned();
        let signals: Vec<String> = plan.signals.iter().map(uid_of).collect();
        let number = self.revisions.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let uid = format!("{name}-{number}");
        let revision = prepare::feature_revision(&self.platform, &plan, (&uid, &signals)).await.expect("prepared");
        Pinned { uid, digest: revision.digest }
    }

    /// Items `items` of `user` happen, one a second; returns when they are in the changelog.
    pub async fn happen(&self, uid: &str, user: &str, items: std::ops::Range<i64>) {
        let Streaming { revision, streamed, .. } = self.signal(uid);
        let log = self.platform.own_log();
        let event = |item: i64| NewRecord {
            payload: format!(r#"{{"user":"{user}","item":{item},"ts":{}}}"#, 1_700_000_000 + item).into(),
            timestamp: Some((1_700_000_000 + item) * 1000),
            ..NewRecord::default()
        };
        log.append(&revision.topic, 0, items.map(event).collect()).await.expect("appended");
        let ends = log.ends(&revision.topic).await.expect("a topic");
        until("the stream publishes", async || {
            let published = streamed.published();
            let all = ends.iter().zip(0..).all(|(end, n)| published.iter().any(|p| p.partition == n && p.offset >= end.end));
            all.then_some(())
        })
        .await;
    }

    pub fn history(&self, uid: &str) -> History {
        History::new(self.platform.lake().clone(), uid, Arc::clone(&self.signal(uid).plan))
    }

    /// Folds all that happened into history and base, and announces it; returns the bytes of the base.
    pub async fn fold(&self, uid: &str, features: &[FeaturePlan]) -> u64 {
        let history = self.history(uid);
        let backfill =
            fold::backfill(&self.platform, history.clone(), (Fresh::Archive, 1), CancellationToken::new()).await.expect("a backfill");
        backfill.run(&crate::backfill::Mode::Incremental, |_| {}).await.expect("sealed");
        let list: Vec<Demand> = features.iter().filter_map(|feature| Demand::of(feature, &self.signal(uid).plan.name)).collect();
        let demands = Demands { epoch: 1, list };
        fold::make_base(&self.platform, &history, &demands).await.expect("a base").expect("there is history").bytes()
    }

    pub fn routes(&self) -> PathBuf {
        self.folder.path().join("routes.json")
    }

    /// Puts the route file.
    pub async fn route(&self, routes: &[(&str, Route)]) {
        serve::write_routes(&self.routes(), &file(routes)).await.expect("written");
    }

    /// A pool with a state folder of this name.
    pub async fn pool(&self, state: &str) -> Running {
        self.pool_with(state, |_| ()).await
    }

    pub async fn pool_with(&self, state: &str, change: impl FnOnce(&mut Settings)) -> Running {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let tls = self.folder.path().join("control");
        if !tls.exists() {
            mount(&tls, &self.authority.leaf(Purpose::Both, 2999), &[&self.authority]);
        }
        let mut settings = Settings {
            state: self.folder.path().join(state),
            routes: self.routes(),
            memory: MEMORY,
            serve: serve::Settings {
                grpc: any,
                http: any,
                drain_delay: Duration::ZERO,
                health_interval: Duration::from_millis(5),
                ..serve::Settings::default()
            },
            control: Some(control::Settings { address: any, tls: tls.clone(), renewal: Duration::from_millis(20) }),
            pace: Pace {
                look: Duration::from_millis(20),
                grace: Duration::from_millis(200),
                asked: Duration::from_secs(60),
                again: Duration::from_millis(20),
                longest: Duration::from_millis(500),
            },
        };
        change(&mut settings);
        let state = settings.state.clone();
        // A process of its own has metrics of its own; here they share what the platform has.
        let pool = Pool::bind(self.platform.clone(), settings).await.expect("bound");
        let (addresses, shared, shutdown) = (pool.addresses(), Arc::clone(&pool.shared), CancellationToken::new());
        let task = tokio::spawn(pool.run(shutdown.clone()));
        let trust = Trust::of_folder(&tls, SERVER).await.expect("certificates");
        let address = format!("https://{}", addresses.control.expect("control is on"));
        let control = control::Client::connect(&address, WAIT, &trust).await.expect("a connection");
        Running { addresses, shared, state, control, shutdown, task }
    }
}

impl Running {
    pub async fn client(&self) -> Client {
        Client::connect(&format!("http://{}", self.addresses.grpc), WAIT).await.expect("a connection")
    }

    pub async fn ready(&self) {
        until("the pool is ready", async || self.control.status().await.expect("a status").ready.then_some(())).await;
    }

    /// What is said of a revision; `None` = nothing.
    pub async fn of(&self, feature: &str, pinned: &Pinned) -> Option<proto::RevisionStatus> {
        let status = self.control.status().await.expect("a status");
        let feature = status.features.into_iter().find(|f| f.feature == feature)?;
        feature.revisions.into_iter().find(|r| r.revision.as_ref().is_some_and(|r| (&r.uid, &r.digest) == (&pinned.uid, &pinned.digest)))
    }

    pub async fn is(&self, feature: &str, pinned: &Pinned, state: proto::revision_description::State) -> proto::RevisionStatus {
        until(&format!("{feature} {} is {state:?}", pinned.uid), async || {
            self.of(feature, pinned).await.filter(|revision| revision.state == i32::from(state))
        })
        .await
    }

    pub async fn signal(&self, uid: &str) -> Option<proto::SignalStatus> {
        self.control.status().await.expect("a status").signals.into_iter().find(|signal| signal.uid == uid)
    }

    pub async fn read(&self, feature: &str, user: &str) -> Result<Reply> {
        self.client().await.get(feature, &Entity::String(user.into()), &Wanted::default()).await
    }

    /// The items of a sequence, newest first, and the revision that gave them.
    pub async fn items(&self, feature: &str, user: &str) -> (Vec<i64>, String) {
        let reply = self.read(feature, user).await.expect("a reply");
        (items(&reply), reply.profile.revision)
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(WAIT, self.task).await.expect("it ends in time");
        ended.expect("no panic").expect("a clean end");
        until("nothing of it runs on", async || (Arc::strong_count(&self.shared) == 1).then_some(())).await;
    }
}

pub fn items(reply: &Reply) -> Vec<i64> {
    reply.rows.column_by_name("item").expect("a column").as_primitive::<Int64Type>().values().to_vec()
}

pub fn route(live: &Pinned, epoch: u64) -> Route {
    Route { live: Some(live.clone()), epoch, ..Route::default() }
}

pub fn file(routes: &[(&str, Route)]) -> RouteFile {
    RouteFile { features: routes.iter().map(|(name, route)| ((*name).to_owned(), route.clone())).collect(), ..RouteFile::default() }
}

/// Waits for what `look` finds.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Stopwatch::start();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(since.elapsed() < WAIT, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn folders(state: &Path, of: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(state.join(of)) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
