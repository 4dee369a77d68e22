//! MovieLens 100k as records of a site, and what one machine makes of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, ListBuilder, RecordBatch, StringBuilder, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use tress_configs::name::QualifiedName;
use tress_configs::source::{Foreign, parse};
use tress_configs::{Pins, Plan, compile};
use tress_engine::Result;
use tress_engine::clock::SystemClock;
use tress_engine::entity::Entity;
use tress_engine::log::NewRecord;
use tress_engine::node::{Desired, Listen, Node, Settings};
use tress_engine::serve::{Client, Wanted, encode_ipc};

const RATING: &str = include_str!("../../../examples/movielens/rating.yaml");
const RECENT: &str = include_str!("../../../examples/movielens/recent-movies.yaml");
const SESSIONS: &str = include_str!("../../../examples/movielens/movie-sessions.yaml");
pub const FEATURES: [&str; 2] = ["movies/recent-movies", "movies/movie-sessions"];
/// After everything that happens here, µs.
const AS_OF: i64 = 900_000_000_000_000;

/// A rating, or its deletion, as the site stored it.
#[derive(Debug, Clone)]
pub struct Stored {
    pub user: i64,
    pub json: String,
}

/// MovieLens 100k, fetched once.
pub fn data() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/movielens");
    let done = Command::new(script).stderr(std::process::Stdio::inherit()).output().expect("scripts/movielens can be run");
    assert!(done.status.success(), "MovieLens 100k cannot be had; what the script said is above");
    PathBuf::from(String::from_utf8(done.stdout).expect("text").trim())
}

/// Every rating in order; of every 17th a later state, and of every 41st its deletion.
pub fn ratings(folder: &Path) -> Vec<Stored> {
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
pub fn movies(folder: &Path) -> Bytes {
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
pub fn definitions(topic: &str) -> String {
    let rating = RATING
        .replace("topic: ratings", &format!("topic: {topic}"))
        .replace("          # One place for each of 19 genres.\n          - {name: embedding, type: float16, dim: 19}\n", "")
        .replace(", embedding]", "]");
    format!("{rating}---\n{}---\n{SESSIONS}", RECENT.replace(", embedding]", "]"))
}

pub fn compiled(topic: &str) -> (Desired, Vec<(String, Plan)>) {
    let parsed = parse("movielens.yaml", &definitions(topic), Foreign::Report);
    assert!(parsed.issues.is_empty(), "{:?}", parsed.issues);
    let objects: Vec<_> = parsed.objects.into_iter().map(|o| o.item).collect();
    let outcome = compile(&objects, &Pins::default());
    let plans = outcome.iter().map(|(object, c)| (object.to_string(), c.as_ref().expect("it compiles").plan.clone())).collect();
    (Desired::of(&outcome), plans)
}

/// A shuffle that every run repeats.
pub fn shuffle<T>(items: &mut [T]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for i in (1..items.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(i, usize::try_from(state >> 33).expect("31 bits") % (i + 1));
    }
}

/// The bytes of every sequence of every feature, in order of entity.
pub async fn read_all(client: &Client, users: &BTreeSet<i64>) -> Result<Vec<Bytes>> {
    let entities: Vec<Entity> = users.iter().map(|user| Entity::Int64(*user)).collect();
    let wanted = Wanted { as_of: Some(AS_OF), ..Wanted::default() };
    let mut all = Vec::new();
    for feature in FEATURES {
        for some in entities.chunks(100) {
            for rows in client.batch(feature, some, &wanted).await?.rows {
                all.push(encode_ipc(&rows.schema(), &[rows]).expect("encoded"));
            }
        }
    }
    Ok(all)
}

/// One machine: every event once and in order, folded once.
pub async fn local(folder: &Path, movies: &Bytes, (desired, topic): (Desired, &str), stored: &[Stored]) -> (Arc<Node>, Client) {
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
