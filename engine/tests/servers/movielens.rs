//! MovieLens 100k through Kafka and S3 in processes of their own, shuffled, with duplicates and late arrivals: byte for byte what one
//! process gives on one machine that gets each rating once and in order.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, ListBuilder, RecordBatch, StringBuilder, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use object_store::path::Path as Key;
use object_store::{ObjectStoreExt, PutPayload};
use parquet::arrow::ArrowWriter;
use tress_configs::name::QualifiedName;
use tress_configs::source::{Foreign, parse};
use tress_configs::{Pins, Plan, compile};
use tress_engine::clock::SystemClock;
use tress_engine::entity::Entity;
use tress_engine::log::NewRecord;
use tress_engine::node::{Desired, Listen, Node, Settings};
use tress_engine::platform::Platform;
use tress_engine::serve::{Client, Pinned, Route, RouteFile, Wanted, encode_ipc};

use crate::broker::name;
use crate::engine::{Engine, free_address, get, until};
use crate::whole::mount;

const RATING: &str = include_str!("../../../examples/movielens/rating.yaml");
const RECENT: &str = include_str!("../../../examples/movielens/recent-movies.yaml");
const SESSIONS: &str = include_str!("../../../examples/movielens/movie-sessions.yaml");
const FEATURES: [&str; 2] = ["movies/recent-movies", "movies/movie-sessions"];
/// After everything that happens here, µs.
const AS_OF: i64 = 900_000_000_000_000;

/// A rating, or its deletion, as the site stored it.
#[derive(Debug, Clone)]
struct Stored {
    user: i64,
    json: String,
}

/// MovieLens 100k, fetched once.
fn data() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/movielens");
    let done = Command::new(script).stderr(std::process::Stdio::inherit()).output().expect("scripts/movielens can be run");
    assert!(done.status.success(), "MovieLens 100k cannot be had; what the script said is above");
    PathBuf::from(String::from_utf8(done.stdout).expect("text").trim())
}

/// Every rating in order; of every 17th a later state, and of every 41st its deletion.
fn ratings(folder: &Path) -> Vec<Stored> {
    let text = std::fs::read_to_string(folder.join("ml-100k.inter")).expect("ratings");
    let number = |cell: &str| cell.parse::<f64>().expect("a number") as i64;
    let mut rows: Vec<[i64; 4]> = text
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<i64> = line.split('\t').map(number).collect();
            [cells[3], cells[0], cells[1], cells[2]]
        })
        .collect();
    rows.sort_unstable();
    let mut stored = Vec::new();
    for (n, [ts, user, item, rating]) in rows.into_iter().enumerate() {
        let state = |op: &str, rating: i64, after: i64| Stored {
            user,
            json: format!(
                r#"{{"kind":"rating","user_id":{user},"item_id":{item},"rating":{rating},"ts":{ts},"stored_at":{},"op":{op}}}"#,
                ts + after
            ),
        };
        stored.push(state("null", rating, 60));
        if n % 17 == 0 {
            stored.push(state("null", 6 - rating, 86_400));
        }
        if n % 41 == 0 {
            stored.push(state("\"d\"", rating, 2 * 86_400));
        }
    }
    stored
}

/// The table of movies.
fn movies(folder: &Path) -> Bytes {
    let text = std::fs::read_to_string(folder.join("ml-100k.item")).expect("movies");
    let (mut ids, mut titles, mut genres) = (Vec::new(), StringBuilder::new(), ListBuilder::new(StringBuilder::new()));
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        ids.push(cells[0].parse::<i64>().expect("a number"));
        titles.append_value(cells[1]);
        cells[3].split(' ').filter(|genre| !genre.is_empty()).for_each(|genre| genres.values().append_value(genre));
        genres.append(true);
    }
    let loaded = TimestampMicrosecondArray::from_value(873_072_000_000_000, ids.len()).with_timezone("UTC");
    let genres = genres.finish();
    let fields = vec![
        Field::new("movie_id", DataType::Int64, false),
        Field::new("loaded_at", loaded_type(&loaded), false),
        Field::new("title", DataType::Utf8, false),
        Field::new("genres", arrow::array::Array::data_type(&genres).clone(), false),
    ];
    let columns: Vec<arrow::array::ArrayRef> =
        vec![Arc::new(Int64Array::from(ids)), Arc::new(loaded), Arc::new(titles.finish()), Arc::new(genres)];
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a table");
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
    bytes.into()
}

fn loaded_type(loaded: &TimestampMicrosecondArray) -> DataType {
    arrow::array::Array::data_type(loaded).clone()
}

/// The definitions of the example, on this topic; without the embedding, which the table of the test does not have.
fn definitions(topic: &str) -> String {
    let rating = RATING
        .replace("topic: ratings", &format!("topic: {topic}"))
        .replace("          # One place for each of 19 genres.\n          - {name: embedding, type: float16, dim: 19}\n", "")
        .replace(", embedding]", "]");
    format!("{rating}---\n{}---\n{SESSIONS}", RECENT.replace(", embedding]", "]"))
}

fn compiled(topic: &str) -> (Desired, Vec<(String, Plan)>) {
    let parsed = parse("movielens.yaml", &definitions(topic), Foreign::Report);
    assert!(parsed.issues.is_empty(), "{:?}", parsed.issues);
    let objects: Vec<_> = parsed.objects.into_iter().map(|o| o.item).collect();
    let outcome = compile(&objects, &Pins::default());
    let plans = outcome.iter().map(|(object, c)| (object.to_string(), c.as_ref().expect("it compiles").plan.clone())).collect();
    (Desired::of(&outcome), plans)
}

/// A shuffle that every run repeats.
fn shuffle<T>(items: &mut [T]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for i in (1..items.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(i, usize::try_from(state >> 33).expect("31 bits") % (i + 1));
    }
}

/// The bytes of every sequence of every feature, in order of entity.
async fn read_all(client: &Client, users: &BTreeSet<i64>) -> Vec<Bytes> {
    let entities: Vec<Entity> = users.iter().map(|user| Entity::Int64(*user)).collect();
    let wanted = Wanted { as_of: Some(AS_OF), ..Wanted::default() };
    let mut all = Vec::new();
    for feature in FEATURES {
        for some in entities.chunks(100) {
            for rows in client.batch(feature, some, &wanted).await.expect("it is served").rows {
                all.push(encode_ipc(&rows.schema(), &[rows]).expect("encoded"));
            }
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn movielens_in_any_order_through_kafka_and_s3_is_byte_for_byte_the_local_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let from = data();
    let (stored, movies, topic, prefix) = (ratings(&from), movies(&from), name("ratings"), name("movielens"));
    let users: BTreeSet<i64> = stored.iter().map(|s| s.user).collect();
    let (desired, plans) = compiled(&topic);
    let local = local(folder.path(), &movies, (desired, &topic), &stored).await;
    let expected = read_all(&local.1, &users).await;
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
        let route =
            Route { feature_uid: None, live, trial: None, loaded: Vec::new(), weight_bp: 0, epoch: 1, attempt: None, contract: None };
        routes.features.insert(plan.name.to_string(), route);
    }
    let demands = folder.path().join("demands.json");
    let listed: Vec<&String> = digests.iter().map(|(_, digest, _)| digest).collect();
    std::fs::write(&demands, serde_json::json!({"version": 1, "number": 1, "features": listed}).to_string()).expect("demands");
    let route_file = folder.path().join("routes.json");
    routes.write(&route_file).await.expect("routes");

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
    until("every sequence as it is on one machine", async || read_all(&client, &users).await == expected).await;

    // With everything folded, and from a new process.
    let raw = tress_engine::archive::RawTable::new(platform.lake().clone(), "main", &topic, &log.id(&topic).await.expect("an id").topic);
    until("everything archived", async || raw.snapshot(None).await.expect("a raw table").is_some_and(|s| s.rows() == events.len() as u64))
        .await;
    engine.done(&fold);
    serve.kill();
    let again = engine.start(&["serve", "--routes", &routes, "--state", &state, "--grpc", &grpc_text, "--http", &http_text]);
    until("ready again", async || get(http, "/readyz").is_some_and(|(status, _)| status == 200)).await;
    let client = Client::connect(&format!("http://{grpc}"), Duration::from_secs(60)).await.expect("it answers");
    assert!(read_all(&client, &users).await == expected, "base and tail of a new process answer the same");
    for process in streams.into_iter().chain([archive, again]) {
        assert_eq!(process.stop().0, 0);
    }
    local.0.shutdown().await.expect("it stops");
}

/// One machine: every event once and in order, folded once.
async fn local(folder: &Path, movies: &Bytes, (desired, topic): (Desired, &str), stored: &[Stored]) -> (Arc<Node>, Client) {
    let tables = folder.join("tables");
    std::fs::create_dir_all(tables.join("movies")).expect("a folder");
    std::fs::write(tables.join("movies/part-0.parquet"), movies).expect("a table");
    let any = ([127, 0, 0, 1], 0).into();
    let listen = Some(Listen { http: any, grpc: any });
    let settings = Settings { state: folder.join("local"), tables, clock: Arc::new(SystemClock), listen };
    let node = Node::open(settings).await.expect("a node");
    let changes = node.apply(desired).await.expect("applied");
    assert_eq!(changes.len(), FEATURES.len(), "{changes:?}");
    for some in stored.chunks(5000) {
        let record = |s: &Stored| NewRecord { payload: s.json.clone().into(), ..NewRecord::default() };
        node.append(topic, some.iter().map(record).collect()).await.expect("appended");
    }
    node.settle().await.expect("settled");
    let signal = QualifiedName::new("movies", "rating");
    node.backfill(&signal, tress_engine::node::Fold::New, &|_| {}).await.expect("folded");
    let grpc = node.listening().expect("it listens").grpc;
    let client = Client::connect(&format!("http://{grpc}"), Duration::from_secs(60)).await.expect("it answers");
    (node, client)
}
