//! The whole engine in one process: random definitions, random raw events in any order and batches, folded and restarted at any time.
//! Every read is what the definitions say of the raw events so far, and the bytes do not tell which way they came.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use tokio::runtime::Runtime;
use tress_engine::clock::FixedClock;
use tress_engine::log::NewRecord;
use tress_engine::node::{Fold, Node, Settings};
use tress_engine::read::{Order, Query, Sequence};
use tress_engine::serve::Encoder;

use crate::definitions::{Delivery, HOUR, START, Shape, deliveries, entities, shape};
use crate::oracle::{self, Answer, Question};
use crate::{cases, values, world};

/// What is done to the node between appends.
#[derive(Debug, Clone)]
enum Step {
    /// So many of the deliveries that are left.
    Append(usize),
    /// Everything so far is read, by this way of asking.
    Read,
    Fold {
        signal: usize,
        all: bool,
    },
    /// Stopped and opened again.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fold = (0usize..2, any::<bool>()).prop_map(|(signal, all)| Step::Fold { signal, all });
    vec(prop_oneof![4 => (1usize..12).prop_map(Step::Append), 2 => Just(Step::Read), 2 => fold, 1 => Just(Step::Restart)], 1..9)
}

fn questions() -> impl Strategy<Value = Vec<Question>> {
    let near = || (0i64..6, 0i64..2, -1i64..2).prop_map(|(halves, ms, us)| (START + halves * 12 * HOUR + ms) * 1000 + us);
    let now = Just(NOW);
    let question = (
        prop_oneof![3 => now, 2 => near()],
        weighted(0.3, near()),
        weighted(0.2, near()),
        weighted(0.2, near()),
        (weighted(0.4, 0usize..15), any::<bool>()),
    )
        .prop_map(|(as_of, known_by, since, until, (limit, oldest_first))| Question {
            entity: oracle::Value::Null,
            as_of,
            known_by,
            since,
            until,
            signals: None,
            columns: None,
            limit,
            oldest_first,
        });
    vec(question, 4)
}

/// Ten days after the first event.
const NOW: i64 = (START + 240 * HOUR) * 1000;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime"));

/// A node with the definitions of a shape, and what it was given.
struct Run<'a> {
    shape: &'a Shape,
    node: Arc<Node>,
    folder: &'a Path,
    given: Vec<Delivery>,
}

async fn open(folder: &Path) -> Arc<Node> {
    let settings =
        Settings { state: folder.join("state"), tables: folder.join("tables"), clock: Arc::new(FixedClock::new(NOW)), listen: None };
    Node::open(settings).await.expect("a node")
}

impl<'a> Run<'a> {
    async fn start(shape: &'a Shape, folder: &'a Path) -> Self {
        let node = open(folder).await;
        let changes = node.apply(shape.compile()).await.expect("definitions run");
        assert!(matches!(changes[..], [tress_engine::node::Change::Added { .. }]), "{changes:?}");
        Self { shape, node, folder, given: Vec::new() }
    }

    async fn append(&mut self, deliveries: &[Delivery]) {
        let record = |d: &Delivery| NewRecord {
            payload: d.payload(self.shape.strings).into(),
            timestamp: Some(d.record_timestamp),
            ..NewRecord::default()
        };
        self.node.append("events", deliveries.iter().map(record).collect()).await.expect("appended");
        self.given.extend_from_slice(deliveries);
    }

    async fn fold(&self, signal: usize, all: bool) {
        let names: Vec<_> = self.shape.compile().signals.iter().map(|s| s.plan.name.clone()).collect();
        let fold = if all { Fold::Restate(Vec::new()) } else { Fold::New };
        self.node.backfill(&names[signal % names.len()], fold, &|_| {}).await.expect("folded");
    }

    async fn restart(&mut self) {
        self.node.shutdown().await.expect("stopped");
        self.node = open(self.folder).await;
    }

    /// Asks every question of every entity, compares with the oracle, and gives the bytes of the replies.
    async fn ask(&self, questions: &[Question]) -> Vec<Vec<u8>> {
        self.node.settle().await.expect("all is read");
        let served = self.node.feature(&Shape::name()).await.expect("live");
        let meaning = self.shape.meaning(served.feature.plan());
        let signals = self.shape.signals(&self.given);
        let mut replies = Vec::new();
        for entity in entities(self.shape.strings) {
            for question in questions {
                // What retention has dropped by now cannot be asked for as of then.
                let question = Question { entity: entity.clone(), ..question.clone() };
                if question.as_of < NOW && self.shape.signals.iter().any(|(s, _)| s.retention_hours.is_some()) {
                    continue;
                }
                let answer = served.read(&query(&question)).await.expect("an answer");
                let expected = oracle::answer(&meaning, &signals, &question);
                assert_eq!(plain(&answer.sequence), expected, "{question:?}\n{}", self.shape.yaml());
                let mut encoder = Encoder::new(served.feature.schema()).expect("an encoder");
                encoder.push(&answer.sequence.rows).expect("encoded");
                replies.push(prost::Message::encode_to_vec(&encoder.finish("")));
            }
        }
        replies
    }
}

fn query(question: &Question) -> Query {
    Query {
        known_by: question.known_by,
        since: question.since,
        until: question.until,
        limit: question.limit.map(|l| u32::try_from(l).expect("a small limit")),
        order: if question.oldest_first { Order::OldestFirst } else { Order::NewestFirst },
        ..Query::new(world::entity(&question.entity), question.as_of)
    }
}

fn plain(sequence: &Sequence) -> Answer {
    Answer {
        rows: values::rows(&sequence.rows),
        events: sequence.events,
        newest: sequence.newest,
        oldest: sequence.oldest,
        coverage: Vec::new(),
    }
}

async fn stream_only(shape: &Shape, deliveries: &[Delivery], questions: &[Question]) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = Run::start(shape, folder.path()).await;
    run.append(deliveries).await;
    let replies = run.ask(questions).await;
    run.node.shutdown().await.expect("stopped");
    replies
}

async fn in_steps(shape: &Shape, deliveries: &[Delivery], questions: &[Question], steps: &[Step]) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = Run::start(shape, folder.path()).await;
    let mut left = deliveries;
    for step in steps {
        match step {
            Step::Append(number) => {
                let (now, later) = left.split_at((*number).min(left.len()));
                run.append(now).await;
                left = later;
            }
            Step::Read => drop(run.ask(questions).await),
            Step::Fold { signal, all } => run.fold(*signal, *all).await,
            Step::Restart => run.restart().await,
        }
    }
    run.append(left).await;
    let replies = run.ask(questions).await;
    run.node.shutdown().await.expect("stopped");
    replies
}

/// Everything is folded before it is read, and the process is a new one: base and history answer.
async fn folded(shape: &Shape, deliveries: &[Delivery], questions: &[Question]) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = Run::start(shape, folder.path()).await;
    run.append(deliveries).await;
    run.node.settle().await.expect("all is read");
    for signal in 0..shape.signals.len() {
        run.fold(signal, false).await;
    }
    run.restart().await;
    let replies = run.ask(questions).await;
    for signal in run.node.signals().await {
        assert_eq!(signal.store.tail_size().0, 0, "what base covers has left the tail");
    }
    run.node.shutdown().await.expect("stopped");
    replies
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn every_way_to_a_reader_gives_the_same_bytes_and_what_the_definitions_say(
        shape in shape(), deliveries in deliveries(30), mut shuffled in Just(()).prop_perturb(|(), rng| rng), questions in questions(), steps in steps(),
    ) {
        let mut other_order = deliveries.clone();
        for i in (1..other_order.len()).rev() {
            other_order.swap(i, shuffled.random_range(0..=i));
        }
        RUNTIME.block_on(async {
            let streamed = stream_only(&shape, &deliveries, &questions).await;
            assert_eq!(in_steps(&shape, &other_order, &questions, &steps).await, streamed, "in steps, and streamed");
            assert_eq!(folded(&shape, &deliveries, &questions).await, streamed, "folded, and streamed");
        });
    }
}
