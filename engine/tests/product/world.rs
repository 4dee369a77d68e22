//! Random signals, raw events, features and questions: few entities, times and identities, so that everything ties with everything.

use std::sync::Arc;

use arrow::datatypes::DataType;
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::subsequence;
use tress_configs::column::{ColumnType, Scalar};
use tress_configs::definition::{Bucket, OnInvalid, OnMissing, TimeUnit};
use tress_configs::name::QualifiedName;
use tress_configs::plan::{
    AvailableAtPlan, BatchPlan, ColumnPlan, ColumnRead, EnrichmentPlan, EntityPlan, EventPlan, ExecutorPlan, Expression, FormatPlan,
    Origin, SignalRead, SourcePlan, StreamPlan, TableLookupPlan, TimePlan, ViewPlan, field_id,
};
use tress_configs::{FeaturePlan, SignalPlan};
use tress_engine::entity::Entity;
use tress_engine::read::{Feature, Order, Query};

use crate::oracle::{self, Output, RawEvent, Value};

/// Signals with their events, a feature over them, and a question.
#[derive(Debug, Clone)]
pub struct World {
    pub signals: Vec<SignalWorld>,
    pub plan: FeaturePlan,
    pub read: oracle::Feature,
    pub question: oracle::Question,
}

#[derive(Debug, Clone)]
pub struct SignalWorld {
    pub plan: SignalPlan,
    pub oracle: oracle::Signal,
    /// Per event of the oracle: where it was read, if the source has positions.
    pub positions: Vec<Option<(i32, i64)>>,
}

impl World {
    pub fn feature(&self) -> Feature {
        let signals = self.signals.iter().map(|s| Arc::new(s.plan.clone())).collect();
        Feature::new(Arc::new(self.plan.clone()), signals).expect("the plans fit")
    }

    pub fn oracle_signals(&self) -> Vec<oracle::Signal> {
        self.signals.iter().map(|s| s.oracle.clone()).collect()
    }

    pub fn query(&self) -> Query {
        let q = &self.question;
        Query {
            entity: entity(&q.entity),
            as_of: q.as_of,
            known_by: q.known_by,
            since: q.since,
            until: q.until,
            signals: q.signals.clone(),
            columns: q.columns.clone(),
            limit: q.limit.map(|limit| u32::try_from(limit).expect("a small limit")),
            order: if q.oldest_first { Order::OldestFirst } else { Order::NewestFirst },
        }
    }
}

pub fn entity(value: &Value) -> Entity {
    match value {
        Value::Int(number) => Entity::Int64(*number),
        Value::Text(text) => Entity::String(text.clone()),
        other => panic!("{other:?} is no entity"),
    }
}

/// Every column that signals draw from. Names decide types: equal names need equal types.
fn catalogue() -> Vec<(&'static str, ColumnType)> {
    vec![
        ("item", ColumnType::scalar(Scalar::Int64)),
        ("title", ColumnType::scalar(Scalar::String)),
        ("liked", ColumnType::scalar(Scalar::Bool)),
        ("place", ColumnType::scalar(Scalar::Int32)),
        ("blob", ColumnType::scalar(Scalar::Binary)),
        ("seen_at", ColumnType::scalar(Scalar::Timestamp)),
        ("half", ColumnType::scalar(Scalar::Float16)),
        ("score", ColumnType::scalar(Scalar::Float32)),
        ("ratio", ColumnType::scalar(Scalar::Float64)),
        ("tags", ColumnType::list(Scalar::String)),
        ("marks", ColumnType::list(Scalar::Float32)),
        ("embedding", ColumnType::vector(Scalar::Float16, 3)),
    ]
}

/// A value of a type from a few bits; `None` = one of a few, null among them.
fn value(of: &ColumnType, bits: u64, nullable: bool) -> Value {
    if nullable && bits.is_multiple_of(4) {
        return Value::Null;
    }
    let pick = (bits >> 8) as usize % 3;
    if of.list {
        let item = ColumnType::scalar(of.scalar);
        return Value::List((0..pick).map(|i| value(&item, mix(&[bits, i as u64]), true)).collect());
    }
    if let Some(bytes) = of.packed_bytes() {
        return Value::Bytes((0..bytes).map(|i| mix(&[bits >> 8, i.into()]) as u8).collect());
    }
    match of.scalar {
        Scalar::Bool => Value::Bool(pick == 0),
        Scalar::Int32 => Value::Int([-1, 7, i64::from(i32::MAX)][pick]),
        Scalar::Int64 => Value::Int([-1, 7, i64::MAX][pick]),
        Scalar::Timestamp => Value::Int([0, -1, 1_700_000_000_000_000][pick]),
        Scalar::Float16 | Scalar::Float32 => Value::Float32([-0.0f32, 1.5, f32::NAN][pick].to_bits()),
        Scalar::Float64 => Value::Float64([0.0f64, -2.5, f64::INFINITY][pick].to_bits()),
        Scalar::String => Value::Text(["", "a", "Ünïcode"][pick].to_owned()),
        Scalar::Binary => Value::Bytes([&b""[..], b"\0", b"\xff\xfe"][pick].to_vec()),
        Scalar::Int8 => unreachable!("int8 exists only in vectors"),
    }
}

/// A number that depends on all of `parts` (splitmix64): what a raw event yields must be a function of its content.
pub fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(0x9e37_79b9_7f4a_7c15, |state, part| {
        let mut z = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// How much of what can be random is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub signals: usize,
    pub events: usize,
}

pub fn world(size: Size) -> impl Strategy<Value = World> {
    (any::<bool>(), 1..=size.signals)
        .prop_flat_map(move |(strings, signals)| (Just(strings), vec(signal(strings, size.events), signals)))
        .prop_flat_map(|(strings, mut signals)| {
            // Names come in an order of their own; a feature has its signals sorted.
            for (index, signal) in signals.iter_mut().enumerate() {
                signal.plan.name.name.push_str(["c", "a", "b"][index % 3]);
                signal.oracle.label = signal.plan.name.to_string();
            }
            signals.sort_by(|a, b| a.plan.name.cmp(&b.plan.name));
            let reads = signals.iter().map(signal_read).collect::<Vec<_>>();
            (Just(strings), Just(signals), reads, feature_shape())
        })
        .prop_flat_map(|(strings, signals, reads, shape)| {
            let (plan, read) = feature(&signals, &reads, &shape, strings);
            let columns = match plan.view {
                ViewPlan::Events => 2,
                ViewPlan::Sessions { .. } => 6,
                ViewPlan::Objects { .. } => 4,
            } + plan.columns.len();
            (Just(signals), Just(plan), Just(read), question(strings, columns, reads.len()))
        })
        .prop_map(|(signals, plan, read, question)| World { signals, plan, read, question })
}

/// Events happen at whole milliseconds, so that windows end exactly at them.
fn instant() -> impl Strategy<Value = i64> {
    (-3i64..12).prop_map(|ms| ms * 1000)
}

fn entities(strings: bool) -> Vec<Value> {
    if strings { ["", "u", "ü"].map(|text| Value::Text(text.to_owned())).to_vec() } else { [0, -1, i64::MAX].map(Value::Int).to_vec() }
}

fn signal(strings: bool, events: usize) -> impl Strategy<Value = SignalWorld> {
    let columns = subsequence(catalogue(), 1..6).prop_shuffle();
    let namespaces = prop_oneof![Just("x"), Just("xa"), Just("y")];
    let retention = weighted(0.3, 1i64..12);
    (columns, namespaces, any::<[bool; 3]>(), retention, 0u32..3)
        .prop_flat_map(move |(columns, namespace, [versioned, deletes, positions], retention_ms, enrichments)| {
            let deliveries = vec(deliveries(), 0..=events).prop_map(|events| events.concat()).prop_shuffle();
            (Just((columns, namespace, versioned, deletes, positions, retention_ms, enrichments)), deliveries)
        })
        .prop_map(move |((columns, namespace, versioned, deletes, positions, retention_ms, enrichments), deliveries)| {
            let entities = entities(strings);
            // The last columns come from enrichments, as far as there are any.
            let first_enriched = columns.len().saturating_sub(enrichments as usize);
            let columns: Vec<(&str, ColumnType, Option<u32>)> = columns
                .into_iter()
                .enumerate()
                .map(|(i, (name, of))| (name, of, (i >= first_enriched && enrichments > 0).then(|| (i - first_enriched) as u32)))
                .collect();
            let plan = signal_plan(namespace, strings, &columns, (versioned, deletes), (retention_ms, enrichments));
            let events = deliveries.iter().map(|d| d.event(&entities, &columns, versioned, (deletes, enrichments))).collect();
            let positions = deliveries.iter().zip(0..).map(|(d, at)| positions.then_some((d.partition, at))).collect();
            let oracle = oracle::Signal {
                label: String::new(),
                yields_nothing_counts: versioned || deletes,
                retention: retention_ms.map(|ms| ms * 1000),
                enrichments: enrichments as usize,
                events,
            };
            SignalWorld { plan, oracle, positions }
        })
}

/// What makes a raw event that raw event, and what differs from one delivery of it to another.
#[derive(Debug, Clone)]
struct Delivery {
    entity: usize,
    event_time: i64,
    event_id: i64,
    version: i64,
    /// What else it says.
    content: u64,
    available_at: i64,
    backfill: i32,
    partition: i32,
}

/// A raw event, delivered once or more.
fn deliveries() -> impl Strategy<Value = Vec<Delivery>> {
    let available_at = || prop_oneof![3 => Just(5000i64), 1 => instant()];
    let copies = vec((available_at(), 0i32..3, 0i32..2), 1..4);
    (0usize..3, instant(), -1i64..2, 0i64..3, 0u64..3, copies).prop_map(|(entity, event_time, event_id, version, content, copies)| {
        let delivery = |(available_at, backfill, partition)| Delivery {
            entity,
            event_time,
            event_id,
            version,
            content,
            available_at,
            backfill,
            partition,
        };
        copies.into_iter().map(delivery).collect()
    })
}

impl Delivery {
    fn event(
        &self,
        entities: &[Value],
        columns: &[(&str, ColumnType, Option<u32>)],
        versioned: bool,
        (deletes, enrichments): (bool, u32),
    ) -> RawEvent {
        let version = if versioned { self.version } else { self.available_at };
        let raw = mix(&[self.entity as u64, self.event_time as u64, self.event_id as u64, self.content, self.version as u64]);
        // A delete yields nothing, as does what a filter refuses; the oracle need not tell them apart.
        let outputs = match mix(&[raw, 1]) % 8 {
            0 => 0,
            1 if deletes => 0,
            2 => 2,
            3 => 3,
            _ => 1,
        };
        // An enrichment may answer the batch otherwise than the stream, and one delivery otherwise than a later one.
        let enriched = mix(&[raw, self.available_at as u64, self.backfill as u64]);
        let output = |ordinal: u64| Output {
            found: (mix(&[enriched, 2, ordinal]) % (1 << enrichments)) as i32,
            columns: columns
                .iter()
                .enumerate()
                .map(|(i, (_, of, enrichment))| {
                    let seed = if enrichment.is_some() { enriched } else { raw };
                    value(of, mix(&[seed, 3, ordinal, i as u64]), true)
                })
                .collect(),
        };
        RawEvent {
            entity: entities[self.entity].clone(),
            event_time: self.event_time,
            event_id: self.event_id,
            version,
            // Of the fields alone: other events have it too.
            raw_hash: mix(&[self.content, self.version as u64]) as i32,
            available_at: self.available_at,
            backfill: self.backfill,
            outputs: (0..outputs).map(output).collect(),
        }
    }
}

fn signal_plan(
    namespace: &str,
    strings: bool,
    columns: &[(&str, ColumnType, Option<u32>)],
    (versioned, deletes): (bool, bool),
    (retention_ms, enrichments): (Option<i64>, u32),
) -> SignalPlan {
    let delete = Expression { sql: "true".to_owned(), column_type: ColumnType::scalar(Scalar::Bool), nullable: false };
    SignalPlan {
        version: 1,
        semantics: 1,
        name: QualifiedName::new(namespace, ""),
        schema_version: 1,
        entity: EntityPlan { field: "who".into(), scalar: if strings { Scalar::String } else { Scalar::Int64 } },
        event: EventPlan {
            time: TimePlan { field: "ts".into(), unit: TimeUnit::Micros },
            available_at: AvailableAtPlan::RecordTimestamp,
            id: vec!["id".into()],
            version: versioned.then(|| "version".into()),
            delete: deletes.then_some(delete),
            fields: Vec::new(),
        },
        source: SourcePlan {
            filter: None,
            stream: StreamPlan { connection: "main".into(), topic: "events".into(), format: FormatPlan::Json },
            batch: BatchPlan::Archive,
        },
        on_invalid: OnInvalid::DeadLetter,
        max_future_skew_ms: 0,
        bucket: Bucket::Day,
        lateness_ms: 0,
        retention_ms,
        executor: ExecutorPlan::Declarative { filter: None, derive: Vec::new() },
        enrichments: (0..enrichments)
            .map(|i| EnrichmentPlan {
                name: format!("e{i}"),
                lookup: TableLookupPlan { connection: "lake".into(), table: format!("t{i}"), key: Vec::new(), valid_from: None },
                on_missing: OnMissing::Drop,
                columns: Vec::new(),
            })
            .collect(),
        columns: columns
            .iter()
            .map(|(name, of, enrichment)| column(name, of, enrichment.map_or(Origin::Raw, Origin::Enrichment)))
            .collect(),
        shards: 16,
    }
}

fn column(name: &str, of: &ColumnType, origin: Origin) -> ColumnPlan {
    ColumnPlan { name: name.to_owned(), column_type: of.clone(), nullable: true, field_id: field_id(name), origin }
}

/// Which of a signal's columns a feature reads, whether under another name, what it must have found, its share, and its `where`:
/// a column that must be at least so much.
type ReadShape = (Vec<usize>, bool, i32, Option<usize>, Option<(usize, i64)>);

fn signal_read(signal: &SignalWorld) -> impl Strategy<Value = ReadShape> + use<> {
    let columns = signal.plan.columns.len();
    let bits = 1i32 << signal.plan.enrichments.len();
    let required = prop_oneof![3 => Just(0), 1 => 0..bits];
    let number = |c: &usize| matches!(signal.plan.columns[*c].column_type.arrow(), DataType::Int32 | DataType::Int64);
    let least = match (0..columns).find(number) {
        Some(column) => weighted(0.5, (Just(column), prop_oneof![Just(-1i64), Just(0), Just(7), Just(8)])).boxed(),
        None => Just(None).boxed(),
    };
    let read = subsequence((0..columns).collect::<Vec<_>>(), 0..=columns).prop_shuffle();
    (read, weighted(0.3, Just(())), required, weighted(0.4, 0usize..5), least)
        .prop_map(|(columns, renamed, required, length, least)| (columns, renamed.is_some(), required, length, least))
}

/// N, window in ms, bits that choose what to deduplicate by, the view and its bits.
type FeatureShape = (usize, Option<i64>, u16, u8, u16, i64);

fn feature_shape() -> impl Strategy<Value = FeatureShape> {
    let bits = prop_oneof![2 => Just(0u16), 3 => any::<u16>().prop_map(|b| b | 1)];
    (1usize..8, weighted(0.3, 1i64..14), bits, 0u8..4, any::<u16>(), 0i64..4)
}

fn feature(
    signals: &[SignalWorld],
    reads: &[ReadShape],
    (length, window_ms, dedup_bits, view, view_bits, gap_ms): &FeatureShape,
    strings: bool,
) -> (FeaturePlan, oracle::Feature) {
    let mut columns: Vec<ColumnPlan> = Vec::new();
    let mut plans = Vec::new();
    for (signal, (chosen, renamed, required_found, length, least)) in signals.iter().zip(reads) {
        let mut read = Vec::new();
        for index in chosen {
            let source = &signal.plan.columns[*index];
            let output = if *renamed { format!("their_{}", source.name) } else { source.name.clone() };
            if columns.iter().all(|c| c.name != output) {
                columns.push(column(&output, &source.column_type, Origin::Signals));
            }
            read.push(ColumnRead { source: source.name.clone(), output });
        }
        plans.push(SignalRead {
            name: signal.plan.name.clone(),
            schema_version: 1,
            digest: String::new(),
            retention_ms: signal.plan.retention_ms,
            columns: read,
            filter: least.map(|(column, least)| Expression {
                sql: format!("{} >= {least}", signal.plan.columns[column].name),
                column_type: ColumnType::scalar(Scalar::Bool),
                nullable: true,
            }),
            filter_columns: least.map(|(column, _)| signal.plan.columns[column].name.clone()).into_iter().collect(),
            required_found: *required_found,
            length: length.map(|l| u32::try_from(l).expect("small")),
        });
    }
    let comparable: Vec<usize> =
        (0..columns.len()).filter(|c| columns[*c].column_type.is_scalar() && !columns[*c].column_type.scalar.is_float()).collect();
    let picked =
        |bits: u16| -> Vec<usize> { comparable.iter().copied().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, c)| c).collect() };
    let deduplicate = picked(*dedup_bits);
    let by = picked(*view_bits);
    let names = |of: &[usize]| of.iter().map(|c| columns[*c].name.clone()).collect::<Vec<_>>();
    let (view_plan, view) = match view {
        0 => (ViewPlan::Sessions { gap_ms: *gap_ms }, oracle::View::Sessions(gap_ms * 1000)),
        1 => (ViewPlan::Objects { by: names(&by) }, oracle::View::Objects(by)),
        _ => (ViewPlan::Events, oracle::View::Events),
    };
    let oracle_reads = signals
        .iter()
        .zip(plans.iter().zip(reads))
        .map(|(signal, (read, (.., least)))| oracle::SignalRead {
            columns: columns
                .iter()
                .map(|output| {
                    let from = read.columns.iter().find(|c| c.output == output.name)?;
                    signal.plan.columns.iter().position(|c| c.name == from.source)
                })
                .collect(),
            at_least: *least,
            required_found: read.required_found,
            length: read.length.map(|l| l as usize),
        })
        .collect();
    let oracle = oracle::Feature {
        reads: oracle_reads,
        length: *length,
        window: window_ms.map(|ms| ms * 1000),
        deduplicate: deduplicate.clone(),
        view,
    };
    let plan = FeaturePlan {
        version: 1,
        semantics: 1,
        name: QualifiedName::new("x", "feature"),
        entity: if strings { Scalar::String } else { Scalar::Int64 },
        signals: plans,
        length: u32::try_from(*length).expect("small"),
        window_ms: *window_ms,
        deduplicate: names(&deduplicate),
        view: view_plan,
        columns,
        sunset: None,
    };
    (plan, oracle)
}

fn question(strings: bool, columns: usize, signals: usize) -> impl Strategy<Value = oracle::Question> {
    // Close to events, and now and then exactly one off.
    let near = || (instant(), -1i64..2).prop_map(|(at, off)| at + off);
    let as_of = prop_oneof![2 => Just(1_000_000i64), 3 => near(), 1 => Just(i64::MAX), 1 => Just(i64::MIN / 2)];
    (
        proptest::sample::select(entities(strings)),
        as_of,
        weighted(0.3, near()),
        weighted(0.2, near()),
        weighted(0.2, near()),
        weighted(0.2, subsequence((0..signals).collect::<Vec<_>>(), 0..=signals)),
        weighted(0.3, vec(0..columns, 0..4)),
        (of(0usize..20), any::<bool>()),
    )
        .prop_map(|(entity, as_of, known_by, since, until, signals, columns, (limit, oldest_first))| oracle::Question {
            entity,
            as_of,
            known_by,
            since,
            until,
            signals,
            columns,
            limit,
            oldest_first,
        })
}
