//! The process that is killed: it does the steps from one on, and says after each what is done, on standard output.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use tress_configs::name::QualifiedName;
use tress_engine::clock::FixedClock;
use tress_engine::entity::Entity;
use tress_engine::log::NewRecord;
use tress_engine::node::{Change, Fold, Node, Settings};
use tress_engine::read::Query;
use tress_engine::serve::Encoder;
use tress_engine::vacuum::Spared;
use tress_engine::{ErrorKind, faults};
use xxhash_rust::xxh3::xxh3_64;

use crate::model::Rows;
use crate::scenario::{NOW, TOPIC, USERS, batch, desired, name};
use crate::steps::{FEATURES, Step, steps};

/// Set for the process: its folder.
pub const FOLDER: &str = "TRESS_TEST_KILLS";
/// Set for the process: the step to begin with.
pub const FROM: &str = "TRESS_TEST_KILLS_FROM";

pub async fn open(folder: &Path) -> tress_engine::Result<Arc<Node>> {
    let settings =
        Settings { state: folder.join("state"), tables: folder.join("tables"), clock: Arc::new(FixedClock::new(NOW)), listen: None };
    Node::open(settings).await
}

pub fn feature(name: &str) -> QualifiedName {
    QualifiedName::new("movies", name)
}

pub fn signal() -> QualifiedName {
    QualifiedName::new("movies", "rating")
}

pub fn records(number: u64) -> Vec<NewRecord> {
    batch(number).into_iter().map(|e| NewRecord { payload: e.payload().into(), ..NewRecord::default() }).collect()
}

/// A sequence as text, and a digest of its bytes as they are served; `None` when the feature is not live.
pub async fn read(node: &Node, of: &str, user: u64) -> Option<(Rows, u64)> {
    let served = match node.feature(&feature(of)).await {
        Ok(served) => served,
        Err(e) if e.kind() == ErrorKind::NotFound => return None,
        Err(e) => panic!("read {of}: {e}"),
    };
    let answer = served.read(&Query::new(Entity::String(name(user)), NOW)).await.expect("an answer");
    let rows = &answer.sequence.rows;
    let column = |name: &str| rows.column_by_name(name).unwrap_or_else(|| panic!("column {name}"));
    let times = column("event_time").as_primitive::<TimestampMicrosecondType>();
    let (items, ratings) = (column("item_id").as_primitive::<Int64Type>(), column("rating").as_primitive::<Float64Type>());
    let liked = column("liked").as_boolean();
    let titles = arrow::compute::cast(column("title"), &arrow::datatypes::DataType::Utf8).expect("text");
    let titles = titles.as_string::<i32>();
    let title = |row| if titles.is_null(row) { "-" } else { titles.value(row) };
    let row = |r| format!("{} {} {:?} {} {}", times.value(r) / 1_000_000, items.value(r), ratings.value(r), liked.value(r), title(r));
    let mut encoder = Encoder::new(served.feature.schema()).expect("an encoder");
    encoder.push(rows).expect("encoded");
    let bytes = prost::Message::encode_to_vec(&encoder.finish(""));
    Some(((0..rows.num_rows()).map(row).collect(), xxh3_64(&bytes)))
}

/// One line for the parent. Lines begin anew, because the harness writes there as well.
fn say(what: &str) {
    println!("\n@{what}");
}

async fn say_all(node: &Node, word: &str) {
    for of in FEATURES {
        for user in 0..USERS as u64 {
            match read(node, of, user).await {
                Some((rows, digest)) => say(&format!("{word}|{of}|{}|{digest:016x}|{}", name(user), rows.join(","))),
                None => say(&format!("absent|{of}")),
            }
        }
    }
    say_versions(node).await;
}

/// What may only go forward.
async fn say_versions(node: &Node) {
    for signal in node.signals().await {
        let snapshot = signal.store.history().snapshot().await.expect("a snapshot");
        let (version, backfill, cut) = snapshot.map_or((0, 0, 0), |s| (s.version, s.backfill, s.cut));
        let base = signal.store.base().map_or(0, |base| base.manifest);
        say(&format!("versions|{version}|{backfill}|{cut}|{base}"));
    }
}

/// Does one step; gives the node that runs after it.
async fn perform(node: Arc<Node>, folder: &Path, step: Step) -> Arc<Node> {
    match step {
        Step::Apply(length) => {
            for change in node.apply(desired(length)).await.expect("applied") {
                assert!(!matches!(change, Change::Failed { .. }), "{change:?}");
            }
        }
        Step::Append(number) => node.append(TOPIC, records(number)).await.expect("appended"),
        Step::Read => {
            node.settle().await.expect("settled");
            say_all(&node, "seen").await;
        }
        Step::Fold | Step::Restate => {
            let fold = if step == Step::Fold { Fold::New } else { Fold::Restate(Vec::new()) };
            node.backfill(&signal(), fold, &|_| {}).await.expect("folded");
            say_versions(&node).await;
        }
        Step::Keep => {
            for signal in node.signals().await {
                signal.keep(node.platform().own_log().as_ref()).await.expect("kept");
                // As little as can be spared: what reads and folds still need must be among it.
                signal.vacuum(node.platform(), Spared { versions: 1, manifests: 1 }).await.expect("vacuumed");
            }
        }
        Step::Restart => {
            node.shutdown().await.expect("stopped");
            drop(node);
            return open(folder).await.expect("opened again");
        }
    }
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that other tests kill"]
async fn steps_until_killed() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("only run by the tests that kill it"));
    let from: usize = std::env::var(FROM).ok().and_then(|f| f.parse().ok()).expect("the step to begin with");
    faults::arm_from_env().expect("a fault that can be armed");
    let mut node = open(&folder).await.expect("opened");
    say_all(&node, "after").await;
    for (index, step) in steps().into_iter().enumerate().skip(from) {
        say(&format!("begin|{index}"));
        node = perform(node, &folder, step).await;
        say(&format!("done|{index}"));
    }
    node.settle().await.expect("settled");
    say_all(&node, "final").await;
    node.shutdown().await.expect("stopped");
    say("end");
}
