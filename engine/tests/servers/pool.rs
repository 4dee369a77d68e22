//! Serving processes over secure Kafka and S3: a trial beside the live revision, cut over by a push to each of them, one killed and
//! begun anew before the mounted file says it, on what another one has kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tress_configs::source::{Foreign, parse};
use tress_configs::{Pins, Plan, compile};
use tress_engine::Result;
use tress_engine::clock::SystemClock;
use tress_engine::entity::Entity;
use tress_engine::platform::Platform;
use tress_engine::pool::{Addresses, Pace, Pool, Settings, control};
use tress_engine::serve::proto::revision_description::State;
use tress_engine::serve::tls::Trust;
use tress_engine::serve::{self, Client, Pinned, Route, RouteFile, Wanted};

use crate::broker::name;
use crate::engine::{Engine, PATIENCE, until};
use crate::whole::{Cloud, event, mount_in};

const FEATURE: &str = "movies/rated";
const SERVER: &str = "pool.test";
const DEFINITIONS: &str = r#"
apiVersion: tress.dev/v1alpha1
kind: SignalDefinition
metadata: {name: rating, namespace: movies}
spec:
  definition:
    entity: {field: user_id}
    event:
      time: {field: ts, unit: Seconds}
      availableAt: {recordTimestamp: {}}
      id: [item_id]
      fields:
        - {name: user_id, type: string}
        - {name: item_id, type: int64}
        - {name: rating, type: float64}
        - {name: ts, type: int64}
    source: {stream: {connection: main, topic: TOPIC, format: {json: {}}}, archive: true}
    executor: {declarative: {}}
---
apiVersion: tress.dev/v1alpha1
kind: SequenceFeature
metadata: {name: rated, namespace: movies}
spec: {definition: {signals: [{name: rating, columns: [item_id]}], length: LENGTH}}
"#;

/// The plans of a signal and of a feature that reads it.
fn compiled(definitions: &str) -> (Plan, Plan) {
    let parsed = parse("pool.yaml", definitions, Foreign::Report);
    assert!(parsed.issues.is_empty(), "{:?}", parsed.issues);
    let objects: Vec<_> = parsed.objects.into_iter().map(|o| o.item).collect();
    let (mut signal, mut feature) = (None, None);
    for compiled in compile(&objects, &Pins::default()).into_values() {
        let plan = compiled.unwrap().plan;
        let of_its_kind = if matches!(plan, Plan::Signal(_)) { &mut signal } else { &mut feature };
        *of_its_kind = Some(plan);
    }
    (signal.unwrap(), feature.unwrap())
}

/// The same as numbered objects, one of many.
pub fn numbered(topic: &str, number: usize) -> (Plan, Plan) {
    let text = DEFINITIONS.replace("TOPIC", topic).replace("LENGTH", "5");
    let names = ["name: rating, namespace", "name: rated, namespace", "name: rating, columns"];
    let numbered = names.iter().fold(text, |text, name| text.replace(name, &name.replace(',', &format!("{number},"))));
    compiled(&numbered)
}

/// A plan as a file.
pub fn written(folder: &Path, plan: &Plan) -> String {
    let path = folder.join(format!("{}.json", plan.digest()));
    std::fs::write(&path, plan.canonical_json()).unwrap();
    path.display().to_string()
}

/// The plans of the definitions as files: the signal's and the feature's, with its digest.
fn plans(folder: &Path, (topic, length): (&str, u32)) -> (String, String, String) {
    let (signal, feature) = compiled(&DEFINITIONS.replace("TOPIC", topic).replace("LENGTH", &length.to_string()));
    (written(folder, &signal), written(folder, &feature), feature.digest())
}

/// Puts a certificate that is good for both sides, and its authority.
fn certificates(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(vec![SERVER.to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("tls.crt"), params.signed_by(&key, &authority).unwrap().pem()).unwrap();
    std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("ca.crt"), authority.pem()).unwrap();
}

struct Running {
    addresses: Addresses,
    control: control::Client,
    task: JoinHandle<Result<()>>,
    shutdown: CancellationToken,
}

/// A pool of a platform of its own, as another pod has it.
async fn start(file: &Path, folder: &Path, state: &str) -> Running {
    let (platform, _) = Platform::open(file, Arc::new(SystemClock)).unwrap();
    let any = ([127, 0, 0, 1], 0).into();
    let tls: PathBuf = folder.join("control");
    let serve = serve::Settings { grpc: any, http: any, tls: Some(tls.clone()), drain_delay: Duration::ZERO, ..serve::Settings::default() };
    let settings = Settings {
        state: folder.join(state),
        routes: folder.join("routes.json"),
        memory: 64 << 20,
        control: Some(control::Settings { address: any, tls: tls.clone(), renewal: serve.renewal }),
        serve,
        pace: Pace { look: Duration::from_millis(100), ..Pace::default() },
    };
    let pool = Pool::bind(platform, settings).await.unwrap();
    let (addresses, shutdown) = (pool.addresses(), CancellationToken::new());
    let task = tokio::spawn(pool.run(shutdown.clone()));
    let trust = Trust::of_folder(&tls, SERVER).await.unwrap();
    let control = control::Client::connect(&format!("https://{}", addresses.control.unwrap()), PATIENCE, &trust).await.unwrap();
    Running { addresses, control, task, shutdown }
}

impl Running {
    /// The items of an entity's sequence, newest first, and the revision that gave them.
    async fn items(&self, tls: &Path) -> (Vec<i64>, String) {
        let trust = Trust::of_folder(tls, SERVER).await.unwrap();
        let client = Client::connect_tls(&format!("https://{}", self.addresses.grpc), PATIENCE, &trust).await.unwrap();
        let reply = client.get(FEATURE, &Entity::String("u3".into()), &Wanted::default()).await.unwrap();
        let items = reply.rows.column_by_name("item_id").unwrap().as_primitive::<Int64Type>().values().to_vec();
        (items, reply.profile.revision)
    }

    async fn is_ready(&self, revision: &Pinned) {
        until("the revision is ready", async || {
            let status = self.control.status().await.unwrap();
            let mut all = status.features.iter().flat_map(|f| &f.revisions);
            all.any(|r| r.state == i32::from(State::Ready) && r.revision.as_ref().is_some_and(|r| r.digest == revision.digest))
        })
        .await;
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}

fn route(live: &Pinned, trial: Option<&Pinned>, epoch: u64) -> RouteFile {
    let (live, trial) = (Some(live.clone()), trial.cloned());
    let route = Route { live, trial, epoch, ..Route::default() };
    RouteFile { features: [(FEATURE.to_owned(), route)].into(), ..RouteFile::default() }
}

/// The newest `count` of the items below `end` that are `u3`'s.
fn newest(count: usize, end: usize) -> Vec<i64> {
    (0..end).rev().filter(|n| n % 17 == 3).take(count).map(|n| n as i64).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cutover_reaches_every_process_at_once_and_outlives_a_restart_before_the_file_says_it() {
    a_cutover_reaches_every_process(Cloud::S3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_over_a_lake_in_azure_read_what_was_folded_and_are_cut_over() {
    a_cutover_reaches_every_process(Cloud::Azure).await;
}

async fn a_cutover_reaches_every_process(cloud: Cloud) {
    let folder = tempfile::tempdir().unwrap();
    let (topic, file, tls) = (name("pool"), mount_in(folder.path(), &name("pool-lake"), cloud), folder.path().join("control"));
    let (engine, uid) = (Engine::new(&file, folder.path()), name("sig"));
    certificates(&tls);
    let (platform, _) = Platform::open(&file, Arc::new(SystemClock)).unwrap();
    let log = platform.log("main").unwrap();
    log.create(&topic, 2).await.unwrap();
    let append = async |range: std::ops::Range<usize>| log.append(&topic, 0, range.map(event).collect()).await.unwrap();
    append(0..1000).await;
    let mut revisions = Vec::new();
    for length in [5, 50] {
        let (signal, feature, digest) = plans(folder.path(), (&topic, length));
        engine.done(&["prepare", "--plan", &signal, "--uid", &uid]);
        let pinned = Pinned { uid: format!("{uid}-{length}"), digest };
        engine.done(&["prepare", "--plan", &feature, "--uid", &pinned.uid, "--signal", &uid]);
        revisions.push(pinned);
    }
    let [five, fifty] = revisions.as_slice() else { panic!("two revisions") };
    let stream = engine.start(&["stream", "--uid", &uid]);
    serve::write_routes(&folder.path().join("routes.json"), &route(five, Some(fifty), 1)).await.unwrap();
    let (one, other) = (start(&file, folder.path(), "one").await, start(&file, folder.path(), "other").await);
    for pool in [&one, &other] {
        pool.is_ready(five).await;
        pool.is_ready(fifty).await;
        until("what was produced is read", async || pool.items(&tls).await == (newest(5, 1000), five.digest.clone())).await;
    }

    // Folded and announced: both show the base. And cut over, in both, by a push.
    let archive = engine.start(&["archive", "--connection", "main", "--topic", &topic, "--interval", "1"]);
    let raw = tress_engine::archive::RawTable::new(platform.lake().clone(), "main", &topic, &log.id(&topic).await.unwrap().topic);
    until("everything is archived", async || raw.snapshot(None).await.unwrap().is_some_and(|s| s.rows() == 1000)).await;
    engine.done(&["backfill", "run", "--uid", &uid]);
    for pool in [&one, &other] {
        until("the base is shown", async || {
            let signals = pool.control.status().await.unwrap().signals;
            signals.iter().any(|s| s.base.as_ref().is_some_and(|base| base.manifest == 1) && s.tail_rows == 0)
        })
        .await;
        let applied = pool.control.set_route(&route(fifty, None, 2)).await.unwrap();
        assert_eq!((applied.changed.len(), applied.refused.len()), (1, 0));
        assert_eq!(pool.items(&tls).await, (newest(50, 1000), fifty.digest.clone()));
    }

    // One goes, and comes back while the file is still the old one; the stream goes on meanwhile.
    one.stop().await;
    append(1000..1500).await;
    let again = start(&file, folder.path(), "one").await;
    again.is_ready(fifty).await;
    for pool in [&again, &other] {
        until("what came since is read", async || pool.items(&tls).await == (newest(50, 1500), fifty.digest.clone())).await;
    }
    for pool in [again, other] {
        pool.stop().await;
    }
    assert_eq!(archive.stop().0, 0);
    assert_eq!(stream.stop().0, 0);
}
