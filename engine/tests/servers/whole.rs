//! Prepare, stream and archive, with all they need behind one platform file: Kafka with TLS and a password, a lake in S3.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use tokio_util::sync::CancellationToken;
use tress_configs::source::{Foreign, parse};
use tress_configs::{Pins, Plan, SignalPlan, compile};
use tress_engine::archive::Archive;
use tress_engine::changelog::{Change, Codec};
use tress_engine::clock::SystemClock;
use tress_engine::dead_letters::{self, Selection};
use tress_engine::log::{Log, NewRecord, Position};
use tress_engine::pipeline::Pipeline;
use tress_engine::platform::Platform;
use tress_engine::stream::{DecodeAndRun, Source, Stream, Target, World};
use tress_engine::{Error, ErrorKind, prepare};

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
      time: {field: ts, unit: Seconds}
      availableAt: {recordTimestamp: {}}
      id: [item_id]
      fields:
        - {name: user_id, type: string}
        - {name: item_id, type: int64}
        - {name: rating, type: float64}
        - {name: ts, type: int64}
    source:
      stream: {connection: main, topic: TOPIC, format: {json: {}}}
      archive: true
    executor: {declarative: {filter: "rating >= 1.0"}}
    columns: [item_id, rating]
"#;

/// Where a lake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    S3,
    Azure,
}

/// What a pod has mounted: a folder a secret, and the platform file; its lake is in S3.
pub fn mount(folder: &Path, prefix: &str) -> std::path::PathBuf {
    mount_in(folder, prefix, Cloud::S3)
}

/// The same, with the lake elsewhere.
pub fn mount_in(folder: &Path, prefix: &str, cloud: Cloud) -> std::path::PathBuf {
    let kafka = Server::kafka();
    let secret = |secret: &str, key: &str, bytes: Vec<u8>| {
        let folder = folder.join("secrets").join(secret);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(key), bytes).unwrap();
    };
    let held = |path: &str| std::fs::read(path).unwrap();
    secret("kafka-auth", "username", b"tress".to_vec());
    secret("kafka-auth", "password", held(kafka.tell("password")));
    secret("kafka-ca", "ca.crt", held(kafka.tell("ca")));
    let (url, endpoint) = match cloud {
        Cloud::S3 => {
            let s3 = Server::s3();
            secret("lake", "accessKeyId", held(s3.tell("accessKeyId")));
            secret("lake", "secretAccessKey", held(s3.tell("secretAccessKey")));
            (format!("s3://{}/{prefix}", s3.tell("bucket")), s3.tell("endpoint"))
        }
        Cloud::Azure => {
            let azure = Server::azure();
            secret("lake", "accountKey", held(azure.tell("accountKey")));
            let (container, account) = (azure.tell("container"), azure.tell("account"));
            (format!("abfss://{container}@{account}.dfs.core.windows.net/{prefix}"), azure.tell("endpoint"))
        }
    };
    let text = format!(
        "connections:\n  main:\n    kafka:\n      bootstrap: [\"{}\"]\n      auth: {{saslSecret: kafka-auth, mechanism: PLAIN}}\n      \
         tls: {{caSecret: kafka-ca}}\n    namespaces: [movies]\n  lake: {{objectStore: {{url: \"{url}\", endpoint: \"{endpoint}\", \
         credentialsSecret: lake}}, namespaces: [\"*\"]}}\noutputs: {{lake: lake, changelog: main}}\nsecrets: {}/secrets\n",
        kafka.tell("secure"),
        folder.display(),
    );
    let path = folder.join("platform.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

pub fn plan(topic: &str) -> Arc<SignalPlan> {
    let parsed = parse("whole.yaml", &DEFINITION.replace("TOPIC", topic), Foreign::Report);
    assert!(parsed.issues.is_empty(), "{:?}", parsed.issues);
    let objects: Vec<_> = parsed.objects.into_iter().map(|o| o.item).collect();
    let outcome = compile(&objects, &Pins::default());
    let Some(Ok(compiled)) = outcome.into_values().next() else { panic!("it compiles") };
    let Plan::Signal(plan) = compiled.plan else { panic!("it is a signal") };
    Arc::new(plan)
}

pub fn event(n: usize) -> NewRecord {
    let json = format!(r#"{{"user_id":"u{}","item_id":{n},"rating":{}.5,"ts":{}}}"#, n % 17, n % 5, 1_704_067_200 + n);
    NewRecord { payload: json.into(), timestamp: Some((1_704_067_200 + n as i64) * 1000), ..NewRecord::default() }
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

/// Runs the stream until all that was appended is published, then stops it in good order.
async fn run_until_published(stream: Stream, partitions: usize, total: i64) {
    let (stop, mut published) = (CancellationToken::new(), stream.published());
    let running = tokio::spawn({
        let (stream, stop) = (stream.clone(), stop.clone());
        async move { stream.run(stop).await }
    });
    let all = published.wait_for(|p| p.len() == partitions && p.iter().map(|p| p.offset).sum::<i64>() == total);
    let done = tokio::time::timeout(Duration::from_secs(120), all).await.map(|found| found.map(|_| ()));
    assert!(matches!(done, Ok(Ok(()))), "not published in time: {:?} {:?}", stream.state(), stream.counts());
    stop.cancel();
    running.await.unwrap().unwrap();
}

/// The items of all rows in the changelog, as often as they are there.
pub async fn items(log: &dyn Log, topic: &str, plan: &SignalPlan) -> Vec<i64> {
    let codec = Codec::new(plan);
    let mut items = Vec::new();
    for (partition, ends) in (0..).zip(log.ends(topic).await.unwrap()) {
        let mut next = ends.start;
        while next < ends.end {
            let at = Position { partition, offset: next };
            let batch = log.read(topic, at, 1 << 20, Duration::from_secs(10)).await.unwrap();
            assert!(batch.next > next, "what is before the end comes in time");
            next = batch.next;
            for record in batch.records {
                if let Change::Rows(rows) = codec.decode(&record).unwrap() {
                    items.extend(rows.column_by_name("item_id").unwrap().as_primitive::<Int64Type>().values());
                }
            }
        }
    }
    items.sort_unstable();
    items
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_prepared_streamed_and_archived_over_secure_kafka_and_s3() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, prefix) = (name("ratings"), name("whole"));
    let (platform, _) = Platform::open(&mount(folder.path(), &prefix), Arc::new(SystemClock)).unwrap();
    let (log, plan, uid) = (platform.log("main").unwrap(), plan(&topic), "whole-1");
    log.create(&topic, 3).await.unwrap();
    let append = async |range: std::ops::Range<usize>| {
        for partition in 0..3 {
            let ours = range.clone().filter(|n| n % 3 == partition);
            log.append(&topic, i32::try_from(partition).unwrap(), ours.map(event).collect()).await.unwrap();
        }
    };
    append(0..3000).await;
    let revision = prepare::signal(&platform, &plan, uid).await.unwrap();
    assert_eq!(prepare::signal(&platform, &plan, uid).await.unwrap(), revision, "to prepare again changes nothing");
    run_until_published(stream(&platform, &plan, &revision).await, 3, 3000).await;
    append(3000..4500).await;
    // Another process: it goes on where the group left off.
    let (again, _) = Platform::open(&folder.path().join("platform.yaml"), Arc::new(SystemClock)).unwrap();
    let second = stream(&again, &plan, &revision).await;
    run_until_published(second.clone(), 3, 4500).await;
    assert_eq!(second.counts().raw, 1500, "what was committed is not read again");
    let expected: Vec<i64> = (0..4500).filter(|n| n % 5 != 0).collect();
    assert_eq!(second.counts().dead, 0);
    let found = items(again.own_log().as_ref(), &revision.topics().changelog, &plan).await;
    assert!(found == expected, "every row, each once: {} rows for {}", found.len(), expected.len());
    let archive = Archive::open((Arc::clone(&log), Arc::clone(platform.clock())), platform.lake().clone(), "main", &topic).await.unwrap();
    assert_eq!(archive.archive_now().await.unwrap().rows(), 4500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_leads_to_another_cluster_is_refused_not_read_as_empty() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, prefix) = (name("moved"), name("identity"));
    let path = mount(folder.path(), &prefix);
    let (platform, _) = Platform::open(&path, Arc::new(SystemClock)).unwrap();
    let plan = plan(&topic);
    platform.log("main").unwrap().create(&topic, 1).await.unwrap();
    prepare::signal(&platform, &plan, "identity-1").await.unwrap();
    let other = tokio::task::spawn_blocking(|| Server::start("kafka")).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap().replace(Server::kafka().tell("secure"), other.tell("secure"));
    std::fs::write(&path, text).unwrap();
    std::fs::copy(other.tell("password"), folder.path().join("secrets/kafka-auth/password")).unwrap();
    std::fs::copy(other.tell("ca"), folder.path().join("secrets/kafka-ca/ca.crt")).unwrap();
    let (moved, _) = Platform::open(&path, Arc::new(SystemClock)).unwrap();
    moved.log("main").unwrap().create(&topic, 1).await.unwrap();
    let error: Error = prepare::signal(&moved, &plan, "identity-1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("connection main") && error.to_string().contains("point it back"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_between_two_kafkas_writes_to_the_one_that_keeps_what_is_ours_under_the_names_that_were_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = mount(folder.path(), &name("two"));
    let second = tokio::task::spawn_blocking(|| Server::start("kafka")).await.unwrap();
    let other =
        |topics: &str| format!("connections:\n  other: {{kafka: {{bootstrap: [\"{}\"], topics: {topics}}}}}\n", second.tell("bootstrap"));
    let text = std::fs::read_to_string(&path).unwrap().replace("changelog: main", "changelog: other");
    let write = |topics: &str| std::fs::write(&path, text.replace("connections:\n", &other(topics))).unwrap();
    write(r#"{name: "acme.{signal}.{uid}", retention: 2d, replicas: 1}"#);
    let (platform, _) = Platform::open(&path, Arc::new(SystemClock)).unwrap();
    let (topic, uid) = (name("between"), "two-1");
    let (plan, raw, own) = (plan(&topic), platform.log("main").unwrap(), Arc::clone(platform.own_log()));
    raw.create(&topic, 2).await.unwrap();
    for partition in 0..2 {
        let mut records: Vec<_> = (0..600).filter(|n| n % 2 == partition).map(event).collect();
        records.push(NewRecord { payload: "no event".into(), ..NewRecord::default() });
        raw.append(&topic, i32::try_from(partition).unwrap(), records).await.unwrap();
    }
    let revision = prepare::signal(&platform, &plan, uid).await.unwrap();
    let topics = revision.topics();
    assert_eq!(topics.changelog, "acme.movies-rating.two-1.changelog");
    assert_eq!(topics.dead_letters, "acme.movies-rating.two-1.deadletters");
    let cluster = own.id(&topics.changelog).await.unwrap().cluster;
    assert_eq!(topics.cluster.as_ref(), Some(&cluster));
    assert_ne!(cluster, raw.id(&topic).await.unwrap().cluster, "they are two");
    assert_eq!(raw.id(&topics.changelog).await.unwrap_err().kind(), ErrorKind::NotFound);
    for made in [&topics.changelog, &topics.dead_letters] {
        assert_eq!(setting(second.tell("bootstrap"), made, "retention.ms").await, "172800000");
        assert_eq!(setting(second.tell("bootstrap"), made, "cleanup.policy").await, "delete");
    }
    run_until_published(stream(&platform, &plan, &revision).await, 2, 602).await;
    let expected: Vec<i64> = (0..600).filter(|n| n % 5 != 0).collect();
    assert_eq!(items(own.as_ref(), &topics.changelog, &plan).await, expected);
    let everything = Selection::first(10);
    assert_eq!(dead_letters::list(own.as_ref(), &topics.dead_letters, &everything).await.unwrap().len(), 2);
    let replayed = dead_letters::replay((own.as_ref(), &topics.dead_letters), &everything, (raw.as_ref(), &topic)).await.unwrap();
    assert_eq!(replayed.appended, 2, "letters go back to the Kafka that they came from");
    // Another template: what exists keeps its names, what is new has the new ones.
    write(r#"{name: "{uid}"}"#);
    let (later, _) = Platform::open(&path, Arc::new(SystemClock)).unwrap();
    assert_eq!(prepare::signal(&later, &plan, uid).await.unwrap(), revision);
    assert_eq!(prepare::signal(&later, &plan, "two-2").await.unwrap().topics().changelog, "two-2.changelog");
}

/// What a topic is set to.
async fn setting(bootstrap: &str, topic: &str, name: &str) -> String {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let told = admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    told.get(name).unwrap().value.clone().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_does_not_admit_a_namespace_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = mount(folder.path(), &name("admission"));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("namespaces: [movies]", "namespaces: [playback]")).unwrap();
    let (platform, _) = Platform::open(&path, Arc::new(SystemClock)).unwrap();
    let topic = name("admission");
    let error = prepare::signal(&platform, &plan(&topic), "admission-1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let told = error.to_string();
    assert!(told.contains("ConnectionNotAllowed") && told.contains("connection main") && told.contains("namespace movies"), "{told}");
    assert_eq!(platform.log("main").unwrap().id(&topic).await.unwrap_err().kind(), ErrorKind::NotFound, "nothing was made");
}
