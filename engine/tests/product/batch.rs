//! The sequence of every entity from raw Parquet: what the definitions say, whatever the files, the order of their rows, the memory
//! and the way that is taken.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, RecordBatch, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use tokio::runtime::Runtime;
use tress_configs::compile::Pins;
use tress_configs::lint::{SourceText, lint};
use tress_configs::plan::BatchPlan;
use tress_configs::source::Foreign;
use tress_configs::{FeaturePlan, Plan, SignalPlan};
use tress_engine::backfill::ExternalFiles;
use tress_engine::batch::{Batch, Input, Settings, Way};
use tress_engine::dataset::Target;
use tress_engine::lake::Lake;
use tress_engine::read::Feature;

use crate::definitions::{Delivery, HOUR, START, Shape, deliveries, entities, shape};
use crate::oracle::{self, Question, Value};
use crate::parts::Dice;
use crate::{cases, values, world};

/// What every signal looks up for its `item`.
#[derive(Debug, Clone)]
struct Catalogue {
    on_missing: &'static str,
    has_valid_from: bool,
    /// (item, known, genre), µs.
    rows: Vec<(i64, i64, Option<&'static str>)>,
}

fn catalogue() -> impl Strategy<Value = Catalogue> {
    let row = (0i64..5, near(), weighted(0.8, prop::sample::select(vec!["", "drama", "ü"])));
    (prop::sample::select(vec!["Null", "Default", "Drop"]), any::<bool>(), vec(row, 0..8)).prop_map(
        |(on_missing, has_valid_from, mut rows)| {
            let mut seen = HashSet::new();
            rows.retain(|(item, known, _)| seen.insert((*item, if has_valid_from { *known } else { 0 })));
            Catalogue { on_missing, has_valid_from, rows }
        },
    )
}

/// µs; where events are, and now and then one off.
fn near() -> impl Strategy<Value = i64> {
    (0i64..6, 0i64..2, -1i64..2).prop_map(|(halves, ms, us)| (START + halves * 12 * HOUR + ms) * 1000 + us)
}

impl Catalogue {
    fn yaml(&self) -> String {
        let valid_from = if self.has_valid_from { ", validFrom: known" } else { "" };
        let default = |text: &str| if self.on_missing == "Default" { format!(", default: \"{text}\"") } else { String::new() };
        format!(
            "    enrichments:
      - name: item
        lookup:
          table: {{connection: lake, table: items.parquet, key: {{item: item}}{valid_from}}}
        onMissing: {}
        columns:
          - {{name: genre, type: string{}}}
          - {{name: rank, type: int64{}}}
    columns: [item, score, liked, twice, title, tags, genre, rank]
",
            self.on_missing,
            default("none"),
            default("5")
        )
    }

    fn write(&self, folder: &Path) {
        let column = |of: &dyn Fn(&(i64, i64, Option<&'static str>)) -> Value, data_type: &DataType| {
            values::array(data_type, &self.rows.iter().map(of).collect::<Vec<_>>())
        };
        let micros = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
        let batch = RecordBatch::try_from_iter([
            ("item", column(&|r| Value::Int(r.0), &DataType::Int64)),
            ("known", column(&|r| Value::Int(r.1), &micros)),
            ("genre", column(&|r| text(r.2), &DataType::Utf8)),
            ("rank", column(&|r| Value::Int(r.1 % 97), &DataType::Int64)),
        ]);
        parquet(&folder.join("items.parquet"), &batch.expect("a table"), 1000);
    }

    /// (found, genre, rank)
    fn of(&self, item: i64, available_at: i64) -> (i32, Value, Value) {
        let known = self.rows.iter().filter(|r| r.0 == item && (!self.has_valid_from || r.1 <= available_at)).max_by_key(|r| r.1);
        let or = |value: Value, default: Value| if value == Value::Null && self.on_missing == "Default" { default } else { value };
        let (genre, rank) = known.map_or((Value::Null, Value::Null), |r| (text(r.2), Value::Int(r.1 % 97)));
        (i32::from(known.is_some()), or(genre, Value::Text("none".to_owned())), or(rank, Value::Int(5)))
    }
}

fn text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |t| Value::Text(t.to_owned()))
}

/// A shape over Parquet files, perhaps with a catalogue.
#[derive(Debug)]
struct Case {
    shape: Shape,
    catalogue: Option<Catalogue>,
    deliveries: Vec<Delivery>,
    as_of: i64,
}

struct Compiled {
    feature: Arc<FeaturePlan>,
    signals: Vec<Arc<SignalPlan>>,
}

impl Case {
    /// What cannot be read cannot be in Parquet either.
    fn new(shape: Shape, catalogue: Option<Catalogue>, mut deliveries: Vec<Delivery>, as_of: i64) -> Self {
        deliveries.retain(|d| serde_json::from_slice::<serde_json::Value>(&d.payload(shape.strings)).is_ok());
        Self { shape, catalogue, deliveries, as_of }
    }

    fn compile(&self) -> Compiled {
        let external = "      batch: {connection: lake, path: \"raw/dt={date}\", partitionedBy: ArrivalTime, recordTimestamp: stamp, completeAfter: 1h}\n";
        let mut yaml = self.shape.yaml().replace("      archive: true\n", external);
        if let Some(catalogue) = &self.catalogue {
            yaml = yaml.replace("    columns: [item, score, liked, twice, title, tags]\n", &catalogue.yaml());
            let lines = yaml.lines().map(|line| {
                let reads = line.starts_with("      - {name: ") && line.contains("columns: [");
                if reads { line.replace("columns: [", "columns: [genre, rank, ") } else { line.to_owned() }
            });
            yaml = lines.collect::<Vec<_>>().join("\n");
        }
        let linted = lint(&[SourceText { file: "tress.yaml", text: &yaml }], Foreign::Report, &Pins::default());
        let (mut feature, mut signals) = (None, BTreeMap::new());
        for (object, compiled) in linted.outcome {
            match compiled.unwrap_or_else(|issues| panic!("{object:?}: {issues:#?}\n{yaml}")).plan {
                Plan::Signal(plan) => drop(signals.insert(plan.name.clone(), Arc::new(plan))),
                Plan::Feature(plan) => feature = Some(Arc::new(plan)),
            }
        }
        let feature = feature.unwrap_or_else(|| panic!("{:#?}\n{yaml}", linted.issues));
        let signals = feature.signals.iter().map(|read| Arc::clone(&signals[&read.name])).collect();
        Compiled { feature, signals }
    }

    /// The sequences, oldest first, of the entities that have one.
    fn expected(&self, plan: &FeaturePlan) -> BTreeMap<Value, Vec<Vec<Value>>> {
        let mut meaning = self.shape.meaning(plan);
        let mut signals = self.shape.signals(&self.deliveries);
        if let Some(catalogue) = &self.catalogue {
            for (read, planned) in meaning.reads.iter_mut().zip(&plan.signals) {
                for (name, column) in [("genre", 6), ("rank", 7)] {
                    let place = plan.columns.iter().position(|c| c.name == name).expect("a column of the feature");
                    read.columns[place] = Some(column);
                }
                read.required_found = planned.required_found;
                assert_eq!(planned.required_found, i32::from(catalogue.on_missing == "Drop"));
            }
            for event in signals.iter_mut().flat_map(|s| &mut s.events) {
                for output in &mut event.outputs {
                    let Value::Int(item) = output.columns[0] else { panic!("an item is a number") };
                    let (found, genre, rank) = catalogue.of(item, event.available_at);
                    output.found = found;
                    output.columns.extend([genre, rank]);
                }
            }
        }
        let of = |entity: &Value| {
            let question = Question { oldest_first: true, ..Question::of(entity.clone(), self.as_of) };
            (entity.clone(), oracle::answer(&meaning, &signals, &question).rows)
        };
        entities(self.shape.strings).iter().map(of).filter(|(_, rows)| !rows.is_empty()).collect()
    }

    fn raw(&self, deliveries: &[Delivery]) -> RecordBatch {
        let records: Vec<serde_json::Value> =
            deliveries.iter().map(|d| serde_json::from_slice(&d.payload(self.shape.strings)).expect("JSON")).collect();
        let column = |name: &str, data_type: DataType| -> ArrayRef {
            values::array(&data_type, &records.iter().map(|r| value(&r[name], &data_type)).collect::<Vec<_>>())
        };
        let titles = records.iter().map(|r| value(&r["context"]["title"], &DataType::Utf8)).collect::<Vec<_>>();
        let title = Fields::from(vec![Field::new("title", DataType::Utf8, true)]);
        let context = StructArray::new(title, vec![values::array(&DataType::Utf8, &titles)], None);
        let micros = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
        let stamps: Vec<Value> = deliveries.iter().map(|d| Value::Int(d.record_timestamp * 1000)).collect();
        let strings = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("user", column("user", if self.shape.strings { DataType::Utf8 } else { DataType::Int64 }), true),
            ("item", column("item", DataType::Int64), true),
            ("at", column("at", DataType::Int64), true),
            ("seen", column("seen", DataType::Int64), true),
            ("kind", column("kind", DataType::Utf8), true),
            ("op", column("op", DataType::Utf8), true),
            ("rev", column("rev", DataType::Int64), true),
            ("score", column("score", DataType::Float32), true),
            ("context", Arc::new(context) as ArrayRef, true),
            ("tags", column("tags", strings), true),
            ("stamp", values::array(&micros, &stamps), true),
        ]);
        batch.expect("raw events")
    }

    /// The files that come of it, by name.
    async fn write(&self, compiled: &Compiled, settings: (usize, Way, usize), dice: &mut Dice) -> BTreeMap<String, Bytes> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut deliveries = self.deliveries.clone();
        dice.shuffle(&mut deliveries);
        for (number, some) in deliveries.chunks(1 + dice.roll(deliveries.len().max(1))).enumerate() {
            let file = folder.path().join(format!("lake/raw/dt=2024-01-0{}/{number}.parquet", 1 + dice.roll(3)));
            parquet(&file, &self.raw(some), 1 + dice.roll(9));
        }
        let root = folder.path().join("lake");
        if let Some(catalogue) = &self.catalogue {
            catalogue.write(&root);
        }
        let lake = Lake::local(&root).expect("a lake");
        let mut inputs = Vec::new();
        for plan in &compiled.signals {
            let BatchPlan::External(log) = &plan.source.batch else { panic!("an external log") };
            let raw = Arc::new(ExternalFiles::new(lake.clone(), plan, log).expect("a log"));
            inputs.push(Input::load(plan, raw, |_| Ok(lake.clone())).await.expect("tables"));
        }
        let (memory, way, parallelism) = settings;
        let scratch = folder.path().join("scratch");
        let batch = Batch {
            feature: Arc::new(Feature::new(Arc::clone(&compiled.feature), compiled.signals.clone()).expect("the plans fit")),
            digest: "d".to_owned(),
            inputs,
            as_of: self.as_of,
            settings: Settings { memory, scratch: scratch.clone(), parallelism, way },
        };
        let store = Arc::new(InMemory::new());
        let target = Target { store: Arc::clone(&store) as Arc<dyn ObjectStore>, folder: "set".into() };
        let manifest = batch.write(&target, &|_| {}).await.unwrap_or_else(|e| panic!("{e:?}\n{}", self.shape.yaml()));
        assert!(!scratch.exists(), "nothing is left of scratch files");
        assert!(batch.write(&target, &|_| {}).await.expect_err("it is there already").to_string().contains("holds a result already"));

        let mut files = BTreeMap::new();
        for file in store.list(Some(&"set".into())).try_collect::<Vec<_>>().await.expect("files") {
            let bytes = store.get(&file.location).await.expect("a file").bytes().await.expect("its bytes");
            files.insert(file.location.filename().expect("a name").to_owned(), bytes);
        }
        files.remove("manifest.json").expect("a manifest");
        assert_eq!(files.keys().cloned().collect::<Vec<_>>(), manifest.parts.iter().map(|p| p.name.clone()).collect::<Vec<_>>());
        files
    }
}

/// The rows of result files: entity, as_of, sequence.
fn read(files: &BTreeMap<String, Bytes>) -> Vec<(Value, Value, Vec<Vec<Value>>)> {
    let mut found = Vec::new();
    for bytes in files.values() {
        for batch in ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).expect("Parquet").build().expect("a reader") {
            for row in values::rows(&batch.expect("rows")) {
                let lists: Vec<&Vec<Value>> =
                    row[2..].iter().map(|c| if let Value::List(items) = c { items } else { panic!("{c:?} is no list") }).collect();
                let sequence = (0..lists[0].len()).map(|i| lists.iter().map(|list| list[i].clone()).collect()).collect();
                found.push((row[0].clone(), row[1].clone(), sequence));
            }
        }
    }
    found
}

fn value(json: &serde_json::Value, data_type: &DataType) -> Value {
    match (json, data_type) {
        (serde_json::Value::Null, _) => Value::Null,
        (json, DataType::Float32) => Value::Float32((json.as_f64().expect("a number") as f32).to_bits()),
        (serde_json::Value::Number(n), _) => Value::Int(n.as_i64().expect("a whole number")),
        (serde_json::Value::String(t), _) => Value::Text(t.clone()),
        (serde_json::Value::Array(items), _) => Value::List(items.iter().map(|item| value(item, &DataType::Utf8)).collect()),
        other => panic!("{other:?}"),
    }
}

fn parquet(path: &Path, batch: &RecordBatch, group: usize) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let mut writer = ArrowWriter::try_new(File::create(path).expect("a file"), batch.schema(), Some(properties)).expect("a writer");
    writer.write(batch).expect("written");
    writer.close().expect("closed");
}

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime"));

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn every_entity_has_the_sequence_that_the_definitions_say_and_no_byte_tells_how_it_was_made(
        shape in shape(), catalogue in weighted(0.7, catalogue()), deliveries in deliveries(40), seed: u64,
        as_of in prop_oneof![2 => Just((START + 240 * HOUR) * 1000), 1 => near()],
    ) {
        let case = Case::new(shape, catalogue, deliveries, as_of);
        prop_assume!(!case.deliveries.is_empty());
        let compiled = case.compile();
        let mut dice = Dice::new(seed);
        RUNTIME.block_on(async {
            let files = case.write(&compiled, (usize::MAX, Way::General, 1), &mut dice).await;
            let found = read(&files);
            let mut hashes: Vec<i64> = found.iter().map(|(entity, ..)| world::entity(entity).hash()).collect();
            assert!(hashes.is_sorted());
            hashes.dedup();
            assert_eq!(hashes.len(), found.len(), "an entity has one row");
            assert!(found.iter().all(|(_, at, _)| *at == Value::Int(as_of)));
            let sequences: BTreeMap<_, _> = found.into_iter().map(|(entity, _, sequence)| (entity, sequence)).collect();
            assert_eq!(sequences, case.expected(&compiled.feature), "{}", case.shape.yaml());
            for settings in [(usize::MAX, Way::Fastest, 2), (1, Way::General, 2), (1, Way::Fastest, 1)] {
                assert_eq!(case.write(&compiled, settings, &mut dice).await, files, "{settings:?}\n{}", case.shape.yaml());
            }
        });
    }
}
