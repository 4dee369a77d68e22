//! Avro on real parts: a real registry, a real Kafka, a stream, and a backfill of the archive that gives the same rows.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use futures::TryStreamExt;
use tokio_util::sync::CancellationToken;
use tress_configs::source::{Foreign, parse};
use tress_configs::{Pins, Plan, SignalPlan, compile};
use tress_engine::archive::Archive;
use tress_engine::backfill::{ArchivedTopic, Backfill, Mode, Outcome, Tables};
use tress_engine::changelog::{Change, Codec};
use tress_engine::clock::SystemClock;
use tress_engine::history::{History, Scan};
use tress_engine::log::{Log, NewRecord, Position};
use tress_engine::pipeline::Pipeline;
use tress_engine::platform::Platform;
use tress_engine::stream::{DecodeAndRun, Source, Stream, StreamState, Target, World};
use tress_engine::{ErrorKind, layout, prepare};

use crate::broker::name;
use crate::server::Server;

const DEFINITION: &str = r#"
apiVersion: tress.dev/v1alpha1
kind: SignalDefinition
metadata: {name: rating, namespace: movies}
spec:
  definition:
    entity: {field: user_id}
    event:
      time: {field: at, unit: Timestamp}
      availableAt: {recordTimestamp: {}}
      id: [item_id]
      fields:
        - {name: user_id, type: string}
        - {name: item_id, type: int64}
        - {name: rating, type: float64}
        - {name: at, type: timestamp}
        - {name: surface, type: string, path: context.surface, nullable: true}
    source:
      stream: {connection: main, topic: TOPIC, format: {avro: {subject: SUBJECT}}}
      archive: true
    columns: [item_id, rating, surface]
"#;

/// What producers write: the newest of three, and the reader's.
const NEWEST: &str = r#"{"type":"record","name":"Rating","namespace":"acme","fields":[
    {"name":"user_id","type":"string"},{"name":"item_id","type":"long"},{"name":"rating","type":"double","aliases":["stars"]},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"context","type":["null",{"type":"record","name":"Context","fields":[{"name":"surface","type":"string","default":"none"}]}],"default":null}]}"#;
const OLDER: &str = r#"{"type":"record","name":"Rating","namespace":"acme","fields":[
    {"name":"stars","type":"int"},{"name":"item_id","type":"int"},{"name":"user_id","type":"string"},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;
/// Refers to another subject.
const REFERRING: &str = r#"{"type":"record","name":"Rating","namespace":"acme","fields":[
    {"name":"user_id","type":"string"},{"name":"item_id","type":"long"},{"name":"rating","type":"float"},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"context","type":["null","acme.Context"],"default":null}]}"#;
const CONTEXT: &str = r#"{"type":"record","name":"Context","namespace":"acme","fields":[{"name":"version","type":"int"}]}"#;

/// Registers a schema; returns its id.
async fn register(registry: &Server, subject: &str, schema: &str, references: serde_json::Value) -> u32 {
    let body = serde_json::json!({"schema": schema, "references": references}).to_string();
    let url = format!("{}/subjects/{subject}/versions", registry.tell("url"));
    let request = reqwest::Client::builder().no_proxy().build().unwrap().post(url).header("content-type", "application/json").body(body);
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{text}");
    serde_json::from_str::<serde_json::Value>(&text).unwrap()["id"].as_u64().unwrap().try_into().unwrap()
}

/// The ids of the three schemas, registered under a subject of its own.
async fn register_all(registry: &Server, subject: &str) -> [u32; 3] {
    let none = || serde_json::json!([]);
    let older = register(registry, subject, OLDER, none()).await;
    let context = format!("{subject}-context");
    register(registry, &context, CONTEXT, none()).await;
    let reference = serde_json::json!([{"name": "acme.Context", "subject": context, "version": 1}]);
    let referring = register(registry, subject, REFERRING, reference).await;
    [older, referring, register(registry, subject, NEWEST, none()).await]
}

#[derive(Default)]
struct Written(Vec<u8>);

impl Written {
    fn long(mut self, value: i64) -> Self {
        let mut left = ((value << 1) ^ (value >> 63)) as u64;
        while left >= 0x80 {
            self.0.push(left as u8 | 0x80);
            left >>= 7;
        }
        self.0.push(left as u8);
        self
    }

    fn text(mut self, text: &str) -> Self {
        self = self.long(text.len() as i64);
        self.0.extend(text.as_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
}

const SECOND: i64 = 1_704_067_200;

/// Event `n`, as one of three producers writes it.
fn event(n: i64, [older, referring, newest]: [u32; 3]) -> NewRecord {
    let (user, at) = (format!("u{}", n % 17), (SECOND + n) * 1000);
    let frame = |id: u32| Written(vec![0]).bytes(&id.to_be_bytes());
    let whole = match n % 4 {
        0 => frame(older).long(n % 5).long(n).text(&user).long(at),
        1 => frame(referring).text(&user).long(n).bytes(&((n % 5) as f32).to_le_bytes()).long(at).long(1).long(3),
        2 => frame(newest).text(&user).long(n).bytes(&((n % 5) as f64).to_le_bytes()).long(at).long(1).text("home"),
        _ => frame(newest).text(&user).long(n).bytes(&((n % 5) as f64).to_le_bytes()).long(at).long(0),
    };
    NewRecord { payload: whole.0.into(), timestamp: Some(at), ..NewRecord::default() }
}

fn surface(n: i64) -> Option<&'static str> {
    match n % 4 {
        1 => Some("none"),
        2 => Some("home"),
        _ => None,
    }
}

fn plan(topic: &str, subject: &str) -> Arc<SignalPlan> {
    let parsed = parse("avro.yaml", &DEFINITION.replace("TOPIC", topic).replace("SUBJECT", subject), Foreign::Report);
    assert!(parsed.issues.is_empty(), "{:?}", parsed.issues);
    let objects: Vec<_> = parsed.objects.into_iter().map(|o| o.item).collect();
    match compile(&objects, &Pins::default()).into_values().next() {
        Some(Ok(compiled)) => match compiled.plan {
            Plan::Signal(plan) => Arc::new(plan),
            other => panic!("it is a signal: {other:?}"),
        },
        other => panic!("it compiles: {other:?}"),
    }
}

/// A platform with or without its registry; the secrets of the secure address are mounted.
fn platform(folder: &Path, registry: &str) -> Platform {
    let kafka = Server::kafka().tell("bootstrap");
    let at = folder.display();
    let text = format!(
        "connections:\n  main: {{kafka: {{bootstrap: [\"{kafka}\"]{registry}}}, namespaces: [\"*\"]}}\n  \
         lake: {{objectStore: {{url: \"file://{at}/lake\"}}, namespaces: [\"*\"]}}\n\
         outputs: {{lake: lake, changelog: main}}\nsecrets: {at}/secrets\n"
    );
    let path = folder.join("platform.yaml");
    std::fs::write(&path, text).unwrap();
    Platform::open(&path, Arc::new(SystemClock)).unwrap().0
}

async fn stream(platform: &Platform, plan: &Arc<SignalPlan>, revision: &prepare::Revision) -> Stream {
    let source = Source {
        topic: revision.topic.clone(),
        topic_id: Some(revision.topic_id.clone()),
        starts: revision.start.iter().map(|p| Position { partition: p.partition, offset: p.offset }).collect(),
    };
    let prepare::OwnTopics { changelog, dead_letters, .. } = revision.topics();
    let target = Target { changelog, dead_letters };
    let (raw, own) = (platform.log("main").unwrap(), Arc::clone(platform.own_log()));
    let world = World { raw, own, clock: Arc::clone(platform.clock()) };
    let decoder = prepare::decoder(platform, plan, revision).await.unwrap();
    let transform = DecodeAndRun::new(decoder, Pipeline::new(Arc::clone(plan), Vec::new()).unwrap());
    Stream::new(world, (&revision.uid, plan), (source, target), Arc::new(transform))
}

/// Runs until so many raw records are published; meanwhile `during` happens.
async fn run_until_published(stream: Stream, total: i64, during: impl Future<Output = ()>) {
    let (stop, mut published) = (CancellationToken::new(), stream.published());
    let running = tokio::spawn({
        let (stream, stop) = (stream.clone(), stop.clone());
        async move { stream.run(stop).await }
    });
    during.await;
    let all = published.wait_for(|p| p.iter().map(|p| p.offset).sum::<i64>() == total);
    let done = tokio::time::timeout(Duration::from_secs(60), all).await.map(|found| found.map(|_| ()));
    assert!(matches!(done, Ok(Ok(()))), "not published in time: {:?} {:?}", *stream.state().borrow(), stream.counts());
    stop.cancel();
    running.await.unwrap().unwrap();
}

type Row = (i64, u64, Option<String>);

/// Item, rating as bits, surface.
fn rows(batch: &RecordBatch) -> Vec<Row> {
    let items = batch.column_by_name("item_id").unwrap().as_primitive::<Int64Type>();
    let ratings = batch.column_by_name("rating").unwrap().as_primitive::<Float64Type>();
    let surfaces = batch.column_by_name("surface").unwrap().as_string::<i32>();
    let row = |at| (items.value(at), ratings.value(at).to_bits(), surfaces.iter().nth(at).flatten().map(str::to_owned));
    (0..batch.num_rows()).map(row).collect()
}

async fn streamed(log: &dyn Log, uid: &str, plan: &SignalPlan) -> Vec<Row> {
    let (topic, codec) = (layout::changelog(uid), Codec::new(plan));
    let mut found = Vec::new();
    for (partition, ends) in (0..).zip(log.ends(&topic).await.unwrap()) {
        let mut next = ends.start;
        while next < ends.end {
            let at = Position { partition, offset: next };
            let read = log.read(&topic, at, 1 << 20, Duration::from_secs(10)).await.unwrap();
            next = read.next;
            for record in read.records {
                if let Change::Rows(batch) = codec.decode(&record).unwrap() {
                    found.extend(rows(&batch));
                }
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Folds the archive into history; returns its rows.
async fn folded(platform: &Platform, plan: &Arc<SignalPlan>, revision: &prepare::Revision) -> Vec<Row> {
    let log = platform.log("main").unwrap();
    let world = (Arc::clone(&log), Arc::clone(platform.clock()));
    let archive = Archive::open(world, platform.lake().clone(), "main", &revision.topic).await.unwrap();
    archive.archive_now().await.unwrap();
    let decoder = prepare::decoder(platform, plan, revision).await.unwrap();
    let id = log.id(&revision.topic).await.unwrap();
    let history = History::new(platform.lake().clone(), &revision.uid, Arc::clone(plan));
    let backfill = Backfill {
        history: history.clone(),
        raw: Arc::new(ArchivedTopic::new(archive.table().clone(), id, Arc::clone(plan), decoder)),
        tables: Tables { plan: Arc::clone(plan), lakes: std::collections::BTreeMap::new() },
        clock: Arc::clone(platform.clock()),
        parallelism: 2,
        shutdown: CancellationToken::new(),
    };
    assert!(matches!(backfill.run(&Mode::Incremental, |_| {}).await.unwrap(), Outcome::Sealed(_)));
    let snapshot = history.snapshot().await.unwrap().unwrap();
    let batches: Vec<RecordBatch> = history.scan(snapshot.files, Scan::default()).try_collect().await.unwrap();
    let mut found: Vec<Row> = batches.iter().flat_map(rows).collect();
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_several_schemas_stream_as_they_are_folded_also_without_the_registry() {
    let (folder, registry) = (tempfile::tempdir().unwrap(), Server::registry());
    let (topic, subject, uid) = (name("avro"), name("avro-value"), name("avro-1"));
    let ca = folder.path().join("secrets/registry-ca");
    std::fs::create_dir_all(&ca).unwrap();
    std::fs::copy(registry.tell("ca"), ca.join("ca.crt")).unwrap();
    let platform_with =
        platform(folder.path(), &format!(", registry: {{url: \"{}\", tls: {{caSecret: registry-ca}}}}", registry.tell("secure")));
    let plan = plan(&topic, &subject);
    let log = platform_with.log("main").unwrap();
    log.create(&topic, 1).await.unwrap();

    // It may be registered yet.
    let error = prepare::signal(&platform_with, &plan, &uid).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(&format!("subject {subject}, version latest: there is none")), "{error}");
    let ids = register_all(registry, &subject).await;
    let revision = prepare::signal(&platform_with, &plan, &uid).await.unwrap();
    let reader = revision.reader.clone().unwrap();
    assert_eq!((reader.version, reader.id), (3, ids[2]));
    // A newer schema, without a field of ours: the revision stays what it is.
    register(registry, &subject, CONTEXT, serde_json::json!([])).await;
    assert_eq!(prepare::signal(&platform_with, &plan, &uid).await.unwrap(), revision);

    let bad = |payload: Vec<u8>| NewRecord { payload: payload.into(), timestamp: Some(SECOND * 1000), ..NewRecord::default() };
    let mut all: Vec<NewRecord> = (0..400).map(|n| event(n, ids)).collect();
    all.insert(100, bad([&[0][..], &u32::MAX.to_be_bytes()].concat()));
    all.insert(200, bad(b"{}".to_vec()));
    all.insert(300, bad(event(3, ids).payload[..12].to_vec()));
    log.append(&topic, 0, all).await.unwrap();
    let running = stream(&platform_with, &plan, &revision).await;
    run_until_published(running.clone(), 403, async {}).await;
    assert_eq!((running.counts().rows, running.counts().dead), (400, 3));
    let expected: Vec<Row> = (0..400).map(|n| (n, ((n % 5) as f64).to_bits(), surface(n).map(str::to_owned))).collect();
    let rows = streamed(log.as_ref(), &uid, &plan).await;
    assert_eq!(rows.len(), 400);
    assert_eq!(rows, expected);

    // The id that nobody knows needs the registry; all others are in the lake.
    let kept = ids.map(|id| layout::schema(&reader.registry, id).to_string());
    for path in kept {
        assert!(folder.path().join("lake").join(&path).is_file(), "{path}");
    }
    assert_eq!(folded(&platform_with, &plan, &revision).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_waits_for_a_registry_that_is_gone_and_history_does_without() {
    let folder = tempfile::tempdir().unwrap();
    let registry = tokio::task::spawn_blocking(|| Server::start("registry")).await.unwrap();
    let (topic, subject, uid) = (name("gone"), name("gone-value"), name("gone-1"));
    let ids = register_all(&registry, &subject).await;
    let with = platform(folder.path(), &format!(", registry: {{url: \"{}\"}}", registry.tell("url")));
    let plan = plan(&topic, &subject);
    let log = with.log("main").unwrap();
    log.create(&topic, 1).await.unwrap();
    let revision = prepare::signal(&with, &plan, &uid).await.unwrap();
    // Only the reader's own is in the lake by now.
    let only_newest = |range: std::ops::Range<i64>| range.filter(|n| n % 4 > 1).map(|n| event(n, ids)).collect::<Vec<_>>();
    log.append(&topic, 0, only_newest(0..40)).await.unwrap();
    registry.pause();
    let running = stream(&with, &plan, &revision).await;
    run_until_published(running.clone(), 20, async {}).await;

    log.append(&topic, 0, (40..80).map(|n| event(n, ids)).collect()).await.unwrap();
    let again = stream(&with, &plan, &revision).await;
    let mut state = again.state();
    run_until_published(again.clone(), 60, async {
        let waits = state.wait_for(|s| matches!(s, StreamState::Waiting { reason } if reason.contains("ask registry")));
        drop(tokio::time::timeout(Duration::from_secs(60), waits).await.expect("it says that it waits").expect("it runs"));
        registry.go_on();
    })
    .await;
    registry.kill();
    assert_eq!((again.counts().rows, again.counts().dead), (40, 0), "nothing is a dead letter because of it");

    // Nobody leads to the registry any more: the copies are enough.
    let without = platform(folder.path(), "");
    let rows = folded(&without, &plan, &revision).await;
    assert_eq!(rows, streamed(log.as_ref(), &uid, &plan).await);
    assert_eq!(rows.len(), 60);
}
