//! The whole engine in one process: random definitions, random raw events in any order and batches, folded and restarted at any time.
//! Every read is what the definitions say of the raw events so far, and the bytes do not tell which way they came.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::test_runner::Config;
use tokio::runtime::Runtime;
use tress_configs::column::Scalar;
use tress_engine::clock::FixedClock;
use tress_engine::dataset::{Dataset, Edge, Labels, Moment, Target, TimeUnit};
use tress_engine::log::NewRecord;
use tress_engine::node::{Fold, Node, Settings};
use tress_engine::read::{Feature, Order, Query, Sequence};
use tress_engine::serve::Encoder;

use crate::definitions::{Available, Delivery, FeatureShape, HOUR, ReadShape, START, Shape, SignalShape, deliveries, entities, shape};
use crate::oracle::{self, Answer, Question, Value};
use crate::parts::Dice;
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

/// µs; where events are, and now and then one off.
fn near() -> impl Strategy<Value = i64> {
    (0i64..6, 0i64..2, -1i64..2).prop_map(|(halves, ms, us)| (START + halves * 12 * HOUR + ms) * 1000 + us)
}

fn questions() -> impl Strategy<Value = Vec<Question>> {
    let now = Just(NOW);
    let question = (
        prop_oneof![3 => now, 2 => near()],
        weighted(0.3, near()),
        weighted(0.2, near()),
        weighted(0.2, near()),
        (weighted(0.4, 0usize..15), any::<bool>()),
    )
        .prop_map(|(as_of, known_by, since, until, (limit, oldest_first))| Question {
            known_by,
            since,
            until,
            limit,
            oldest_first,
            ..Question::of(Value::Null, as_of)
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
    /// None only while it is stopped.
    node: Option<Arc<Node>>,
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
        Self { shape, node: Some(node), folder, given: Vec::new() }
    }

    fn node(&self) -> &Node {
        self.node.as_deref().expect("it runs")
    }

    /// Whoever holds the node holds its lock.
    async fn stop(&mut self) {
        let node = self.node.take().expect("it runs");
        node.shutdown().await.expect("stopped");
        assert_eq!(Arc::strong_count(&node), 1);
    }

    async fn append(&mut self, deliveries: &[Delivery]) {
        let record = |d: &Delivery| NewRecord {
            payload: d.payload(self.shape.strings).into(),
            timestamp: Some(d.record_timestamp),
            ..NewRecord::default()
        };
        self.node().append("events", deliveries.iter().map(record).collect()).await.expect("appended");
        self.given.extend_from_slice(deliveries);
    }

    async fn fold(&self, signal: usize, all: bool) {
        let names: Vec<_> = self.shape.compile().signals.iter().map(|s| s.plan.name.clone()).collect();
        let fold = if all { Fold::Restate(Vec::new()) } else { Fold::New };
        self.node().backfill(&names[signal % names.len()], fold, &|_| {}).await.expect("folded");
    }

    async fn restart(&mut self) {
        self.stop().await;
        self.node = Some(open(self.folder).await);
    }

    /// Asks every question of every entity, compares with the oracle, and gives the bytes of the replies.
    async fn ask(&self, questions: &[Question]) -> Vec<Vec<u8>> {
        self.node().settle().await.expect("all is read");
        let served = self.node().feature(&Shape::name()).await.expect("live");
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
    run.stop().await;
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
    run.stop().await;
    replies
}

/// Everything is folded before it is read: what base covers has left the tail, base and history answer; and so in a new process.
async fn folded(shape: &Shape, deliveries: &[Delivery], questions: &[Question]) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = Run::start(shape, folder.path()).await;
    run.append(deliveries).await;
    run.node().settle().await.expect("all is read");
    for signal in 0..shape.signals.len() {
        run.fold(signal, false).await;
    }
    for signal in run.node().signals().await {
        assert_eq!(signal.store.tail_size().0, 0, "what base covers has left the tail");
    }
    let replies = run.ask(questions).await;
    run.restart().await;
    assert_eq!(run.ask(questions).await, replies, "before and after a restart");
    run.stop().await;
    replies
}

/// What a dataset of the folded history has for every entity at every time, as the oracle would say it.
async fn dataset(shape: &Shape, deliveries: &[Delivery], times: &[i64], edge: Edge) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = Run::start(shape, folder.path()).await;
    run.append(deliveries).await;
    for signal in 0..shape.signals.len() {
        run.fold(signal, false).await;
    }
    let served = run.node().feature(&Shape::name()).await.expect("live");
    let feature = Arc::new(Feature::new(Arc::clone(served.feature.plan()), served.feature.signals().to_vec()).expect("the plans fit"));
    let mut histories = Vec::new();
    for store in served.stores() {
        histories.push((store.history().clone(), store.history().snapshot().await.expect("a history")));
    }
    let dataset = Dataset { feature, digest: served.digest.clone(), histories, moment: Moment { edge, read_delay: 0 } };
    let entities = entities(shape.strings);
    let asked: Vec<(Value, i64)> = entities.iter().flat_map(|e| times.iter().map(|t| (e.clone(), *t))).collect();
    let scalar = if shape.strings { Scalar::String } else { Scalar::Int64 };
    let who = values::array(&scalar.arrow(), &asked.iter().map(|a| a.0.clone()).collect::<Vec<_>>());
    let when = values::array(&DataType::Int64, &asked.iter().map(|a| Value::Int(a.1)).collect::<Vec<_>>());
    let table = RecordBatch::try_from_iter([("who", who), ("when", when)]).expect("labels");
    let labels = Labels::new(&table, ("who", scalar), ("when", Some(TimeUnit::Micros))).expect("labels");
    let store = Arc::new(InMemory::new());
    let target = Target { store: Arc::clone(&store) as Arc<dyn ObjectStore>, folder: "set".into() };
    dataset.write(&labels, &target, &|_| {}).await.expect("a dataset");

    let meaning = shape.meaning(served.feature.plan());
    let signals = shape.signals(deliveries);
    let mut seen = 0;
    for file in store.list(Some(&"set".into())).try_collect::<Vec<_>>().await.expect("files") {
        if file.location.extension() != Some("parquet") {
            continue;
        }
        let bytes = store.get(&file.location).await.expect("a part").bytes().await.expect("its bytes");
        for batch in ParquetRecordBatchReaderBuilder::try_new(bytes).expect("Parquet").build().expect("a reader") {
            for row in values::rows(&batch.expect("rows")) {
                let (entity, Value::Int(time)) = (row[0].clone(), row[1].clone()) else { panic!("labels come first") };
                let at = if edge == Edge::Strict { time - 1 } else { time };
                let question = Question { known_by: Some(at), ..Question::of(entity, at) };
                let expected = oracle::answer(&meaning, &signals, &Question { oldest_first: true, ..question.clone() }).rows;
                // The label's two columns and its time come first.
                let lists: Vec<&Vec<Value>> =
                    row[3..].iter().map(|c| if let Value::List(items) = c { items } else { panic!("{c:?} is no list") }).collect();
                let found: Vec<Vec<Value>> = (0..lists[0].len()).map(|i| lists.iter().map(|list| list[i].clone()).collect()).collect();
                assert_eq!(found, expected, "{question:?}\n{}", shape.yaml());
                seen += 1;
            }
        }
    }
    assert_eq!(seen, asked.len(), "a row for every label");
    drop((served, dataset));
    run.stop().await;
}

/// The same deliveries in another order.
fn shuffled(deliveries: &[Delivery], seed: u64) -> Vec<Delivery> {
    let mut deliveries = deliveries.to_vec();
    Dice::new(seed).shuffle(&mut deliveries);
    deliveries
}

/// Every case opens stores on disk: few cases, and little shrinking.
fn few(number: u32) -> Config {
    Config { max_shrink_iters: 40, ..cases(number) }
}

proptest! {
    #![proptest_config(few(12))]

    #[test]
    fn any_order_batching_and_restarts_of_a_stream_give_the_same_bytes_and_what_the_definitions_say(
        shape in shape(), deliveries in deliveries(30), seed: u64, questions in questions(),
        mut steps in steps(),
    ) {
        steps.retain(|step| !matches!(step, Step::Fold { .. }));
        RUNTIME.block_on(async {
            let streamed = stream_only(&shape, &deliveries, &questions).await;
            assert_eq!(in_steps(&shape, &shuffled(&deliveries, seed), &questions, &steps).await, streamed);
        });
    }

    #[test]
    fn a_dataset_has_what_a_reader_would_have_had_and_no_label_sees_itself(
        shape in shape(), deliveries in deliveries(30), times in vec(near(), 1..6), strict: bool,
    ) {
        let mut shape = shape;
        // What retention has dropped by now is not there for earlier labels.
        shape.signals.iter_mut().for_each(|(signal, _)| signal.retention_hours = None);
        let edge = if strict { Edge::Strict } else { Edge::Inclusive };
        RUNTIME.block_on(dataset(&shape, &deliveries, &times, edge));
    }

    #[test]
    fn every_way_to_a_reader_gives_the_same_bytes_and_what_the_definitions_say(
        shape in shape(), deliveries in deliveries(30), seed: u64, questions in questions(), steps in steps(),
    ) {
        RUNTIME.block_on(async {
            let streamed = stream_only(&shape, &deliveries, &questions).await;
            assert_eq!(in_steps(&shape, &shuffled(&deliveries, seed), &questions, &steps).await, streamed, "in steps, and streamed");
            assert_eq!(folded(&shape, &deliveries, &questions).await, streamed, "folded, and streamed");
        });
    }
}

/// One signal with everything that makes tombstones, and a feature that sees all of it.
fn with_tombstones() -> Shape {
    let signal = SignalShape {
        version: true,
        delete: true,
        filter: true,
        available: Available::RecordTimestamp,
        hourly: false,
        retention_hours: None,
    };
    let read = ReadShape { columns: vec!["item", "score"], renames_item: false, least_item: None, length: None };
    let feature = FeatureShape { length: 50, window_hours: None, deduplicate: 0, view: 2, gap_hours: 1 };
    Shape { strings: true, signals: vec![(signal, read)], feature }
}

/// The four states of an event, in every order of arrival: item n has the n-th order.
fn rounds() -> Vec<Vec<Delivery>> {
    let state = |item, rev| match rev {
        0 => Delivery::state(item, 0, 4.0, None),
        1 => Delivery::state(item, 1, 0.25, None),
        2 => Delivery::state(item, 2, 4.5, None),
        _ => Delivery::state(item, 3, 4.5, Some("d")),
    };
    let mut orders = Vec::new();
    for code in 0..256i64 {
        let order: Vec<i64> = (0..4).map(|place| code >> (2 * place) & 3).collect();
        if (0..4).all(|rev| order.contains(&rev)) {
            orders.push(order);
        }
    }
    (0..4).map(|round| orders.iter().zip(0..).map(|(order, item)| state(item, order[round])).collect()).collect()
}

#[test]
fn an_event_made_filtered_out_made_again_and_deleted_is_what_its_latest_state_is_in_tail_and_base() {
    let shape = with_tombstones();
    let everything = [Question::of(Value::Null, NOW)];
    RUNTIME.block_on(async {
        for folds in [&[][..], &[1, 3], &[2], &[1, 2, 3, 4]] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut run = Run::start(&shape, folder.path()).await;
            for (deliveries, round) in rounds().iter().zip(1..) {
                run.append(deliveries).await;
                run.ask(&everything).await;
                if folds.contains(&round) {
                    run.fold(0, false).await;
                    run.ask(&everything).await;
                }
            }
            let left = run.node().feature(&Shape::name()).await.expect("live");
            let query = query(&Question { entity: entities(true)[0].clone(), ..everything[0].clone() });
            assert_eq!(left.read(&query).await.expect("an answer").sequence.events, 0, "all are deleted in the end");
            drop(left);
            run.stop().await;
        }
    });
}
