//! Random definitions as users write them, and raw events as sources deliver them; and what both mean, in the oracle's words.

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tress_configs::compile::{Kind, Pins};
use tress_configs::lint::{SourceText, lint};
use tress_configs::name::QualifiedName;
use tress_configs::source::Foreign;
use tress_configs::{FeaturePlan, Plan};
use tress_engine::node::{Compiled, Desired};

use crate::identity::{Typed, event_id, raw_hash};
use crate::oracle::{self, Output, RawEvent, Value};

/// 2024-01-01, in ms.
pub const START: i64 = 1_704_067_200_000;
pub const HOUR: i64 = 3_600_000;
const MAX_SKEW: i64 = HOUR;

/// How available_at is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Available {
    RecordTimestamp,
    Field,
    /// So many ms after the event.
    Delay(i64),
}

#[derive(Debug, Clone)]
pub struct SignalShape {
    pub version: bool,
    pub delete: bool,
    pub filter: bool,
    pub available: Available,
    pub hourly: bool,
    pub retention_hours: Option<i64>,
}

#[derive(Debug, Clone)]
pub struct ReadShape {
    /// Names of the signal's columns.
    pub columns: Vec<&'static str>,
    pub renames_item: bool,
    pub least_item: Option<i64>,
    pub length: Option<usize>,
}

#[derive(Debug, Clone)]
pub struct FeatureShape {
    pub length: usize,
    pub window_hours: Option<i64>,
    /// Of the columns that can be keys, which.
    pub deduplicate: u8,
    /// 0 = sessions, 1 = objects, else events.
    pub view: u8,
    pub gap_hours: i64,
}

#[derive(Debug, Clone)]
pub struct Shape {
    pub strings: bool,
    pub signals: Vec<(SignalShape, ReadShape)>,
    pub feature: FeatureShape,
}

/// One record of the topic.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub raw: Raw,
    /// ms
    pub record_timestamp: i64,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq)]
pub struct Raw {
    /// Index of the signal; one more is nobody's.
    kind: usize,
    user: Option<usize>,
    item: Option<i64>,
    /// ms
    at: i64,
    /// ms
    seen: i64,
    op: Option<&'static str>,
    rev: Option<i64>,
    score: Option<f32>,
    title: Option<&'static str>,
    tags: Option<Vec<Option<&'static str>>>,
    /// Nulls are written rather than left out.
    writes_nulls: bool,
    /// The payload is cut in the middle.
    torn: bool,
}

const COLUMNS: [&str; 6] = ["item", "score", "liked", "twice", "title", "tags"];

pub fn shape() -> impl Strategy<Value = Shape> {
    let available = prop_oneof![Just(Available::RecordTimestamp), Just(Available::Field), Just(Available::Delay(500))];
    let signal = (any::<[bool; 4]>(), available, weighted(0.3, select(vec![24i64, 60]))).prop_map(
        |([version, delete, filter, hourly], available, retention_hours)| SignalShape {
            version,
            delete,
            filter,
            available,
            hourly,
            retention_hours,
        },
    );
    let columns = subsequence(COLUMNS.to_vec(), 1..=COLUMNS.len()).prop_shuffle();
    let read = (columns, any::<bool>(), weighted(0.3, 0i64..4), weighted(0.3, 1usize..5))
        .prop_map(|(columns, renames_item, least_item, length)| ReadShape { columns, renames_item, least_item, length });
    let feature = (1usize..7, weighted(0.3, select(vec![12i64, 48])), prop_oneof![Just(0u8), any::<u8>()], 0u8..4, 1i64..30).prop_map(
        |(length, window_hours, deduplicate, view, gap_hours)| FeatureShape { length, window_hours, deduplicate, view, gap_hours },
    );
    (any::<bool>(), vec((signal, read), 1..3), feature).prop_map(|(strings, mut signals, feature)| {
        for (_, read) in &mut signals {
            // A share of more than the whole is refused at compile.
            read.length = read.length.map(|length| length.min(feature.length));
        }
        Shape { strings, signals, feature }
    })
}

/// Raw events of up to two signals in one topic, most of them delivered once, in any order.
pub fn deliveries(most: usize) -> impl Strategy<Value = Vec<Delivery>> {
    let identity = (0usize..3, weighted(0.95, 0usize..3), weighted(0.95, 0i64..4), instant());
    let says = (
        prop_oneof![4 => Just(None), 1 => Just(Some("d")), 1 => Just(Some("u"))],
        weighted(0.95, 0i64..3),
        weighted(0.9, select(vec![0.25f32, 0.5, 4.0, 4.5])),
        weighted(0.7, select(vec!["", "a", "Ünïcode \"quoted\""])),
        weighted(0.7, vec(weighted(0.8, select(vec!["x", ""])), 0..3)),
        (any::<bool>(), prop::bool::weighted(0.03)),
    );
    let delay = || prop_oneof![4 => Just(0i64), 1 => Just(1), 2 => Just(8 * HOUR), 1 => Just(30 * HOUR), 1 => Just(-2 * HOUR)];
    let event = (identity, says, delay(), vec(delay(), 1..3)).prop_map(
        |((kind, user, item, at), (op, rev, score, title, tags, (writes_nulls, torn)), seen, records)| {
            let raw = Raw { kind, user, item, at, seen: at + seen, op, rev, score, title, tags, writes_nulls, torn };
            records.into_iter().map(|delay| Delivery { raw: raw.clone(), record_timestamp: at + delay }).collect::<Vec<_>>()
        },
    );
    vec(event, 1..most).prop_map(|events| events.concat()).prop_shuffle()
}

/// ms; few, over three days, some of them next to each other.
fn instant() -> impl Strategy<Value = i64> {
    (0i64..6, 0i64..2).prop_map(|(halves, ms)| START + halves * 12 * HOUR + ms)
}

pub fn entities(strings: bool) -> Vec<Value> {
    if strings { ["u", "ü", ""].map(|text| Value::Text(text.to_owned())).to_vec() } else { [7, -1, i64::MAX].map(Value::Int).to_vec() }
}

impl Shape {
    pub const FEATURE: &str = "recent";

    /// The definitions as files would have them.
    pub fn yaml(&self) -> String {
        let mut text = String::new();
        for (index, (signal, _)) in self.signals.iter().enumerate() {
            text.push_str(&self.signal_yaml(index, signal));
        }
        let FeatureShape { length, window_hours, view, gap_hours, .. } = &self.feature;
        let _ = write!(
            text,
            "---\napiVersion: tress.dev/v1alpha1\nkind: SequenceFeature\nmetadata: {{name: {}, namespace: movies}}\nspec:\n  definition:\n    description: d\n    owners: [a@example.com]\n    lifecycle: Production\n    length: {length}\n    signals:\n",
            Self::FEATURE
        );
        for (index, (_, read)) in self.signals.iter().enumerate() {
            let ReadShape { columns, renames_item, least_item, length } = read;
            let _ = write!(text, "      - {{name: {}, columns: [{}]", kind(index), columns.join(", "));
            if *renames_item && columns.contains(&"item") {
                text.push_str(", rename: {item: thing}");
            }
            if let Some(least) = least_item {
                let _ = write!(text, ", where: \"item >= {least}\"");
            }
            if let Some(length) = length {
                let _ = write!(text, ", length: {length}");
            }
            text.push_str("}\n");
        }
        if let Some(hours) = window_hours {
            let _ = writeln!(text, "    window: {hours}h");
        }
        let keys = self.keys();
        if !keys.is_empty() {
            let _ = writeln!(text, "    deduplicate: {{by: [{}]}}", keys.join(", "));
        }
        match (view, self.comparable().first()) {
            (0, _) => {
                let _ = writeln!(text, "    view: {{sessions: {{gap: {gap_hours}h}}}}");
            }
            (1, Some(by)) => {
                let _ = writeln!(text, "    view: {{objects: {{by: [{by}]}}}}");
            }
            _ => {}
        }
        text
    }

    fn signal_yaml(&self, index: usize, signal: &SignalShape) -> String {
        let SignalShape { version, delete, filter, available, hourly, retention_hours } = signal;
        let entity = if self.strings { "string" } else { "int64" };
        let available = match available {
            Available::RecordTimestamp => "{recordTimestamp: {}}".to_owned(),
            Available::Field => "{field: {name: seen, unit: Millis}}".to_owned(),
            Available::Delay(ms) => format!("{{eventTime: {{delay: {ms}ms}}}}"),
        };
        let when = |on: bool, line: &str| if on { format!("{line}\n") } else { String::new() };
        format!(
            "---
apiVersion: tress.dev/v1alpha1
kind: SignalDefinition
metadata: {{name: {name}, namespace: movies}}
spec:
  definition:
    description: d
    owners: [a@example.com]
    lifecycle: Production
    entity: {{field: user}}
    event:
      time: {{field: at, unit: Millis}}
      availableAt: {available}
      id: [item]
{version}{delete}      fields:
        - {{name: user, type: {entity}}}
        - {{name: item, type: int64}}
        - {{name: at, type: int64}}
        - {{name: seen, type: int64}}
        - {{name: kind, type: string}}
        - {{name: op, type: string, nullable: true}}
        - {{name: rev, type: int64, nullable: true}}
        - {{name: score, type: float32, nullable: true}}
        - {{name: title, type: string, path: context.title, nullable: true}}
        - {{name: tags, type: string, list: true, nullable: true}}
    source:
      where: \"kind = '{name}'\"
      stream: {{connection: main, topic: events, format: {{json: {{}}}}}}
      archive: true
    maxFutureSkew: 1h
    bucket: {bucket}
    lateness: 1d
{retention}    executor:
      declarative:
{filter}        derive:
          - {{name: liked, expr: \"score >= 4.0\"}}
          - {{name: twice, expr: \"item * 2\"}}
    columns: [item, score, liked, twice, title, tags]
",
            name = kind(index),
            version = when(*version, "      version: {field: rev}"),
            delete = when(*delete, "      delete: \"op = 'd'\""),
            bucket = if *hourly { "Hour" } else { "Day" },
            retention = retention_hours.map(|h| format!("    retention: {h}h\n")).unwrap_or_default(),
            filter = when(*filter, "        filter: \"score >= 0.5\""),
        )
    }

    /// Output columns that can be keys, in the order written.
    fn comparable(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (_, read) in &self.signals {
            for column in read.columns.iter().filter(|c| !["score", "tags"].contains(*c)) {
                let name = output(read, column);
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }

    fn keys(&self) -> Vec<String> {
        let bits = self.feature.deduplicate;
        self.comparable().into_iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, name)| name).collect()
    }

    /// Compiled, as `tress dev` would.
    pub fn compile(&self) -> Desired {
        let text = self.yaml();
        let linted = lint(&[SourceText { file: "tress.yaml", text: &text }], Foreign::Report, &Pins::default());
        let mut desired = Desired::default();
        for (object, compiled) in linted.outcome {
            let compiled = compiled.unwrap_or_else(|issues| panic!("{object:?}: {issues:#?}\n{text}"));
            match (object.kind, compiled.plan) {
                (Kind::SignalDefinition, Plan::Signal(plan)) => {
                    desired.signals.push(Compiled { plan: Arc::new(plan), source_hash: compiled.source_hash });
                }
                (Kind::SequenceFeature, Plan::Feature(plan)) => {
                    desired.features.push(Compiled { plan: Arc::new(plan), source_hash: compiled.source_hash });
                }
                other => panic!("a plan of another kind: {other:?}"),
            }
        }
        assert_eq!((desired.signals.len(), desired.features.len()), (self.signals.len(), 1), "{:#?}", linted.issues);
        desired
    }

    pub fn name() -> QualifiedName {
        QualifiedName::new("movies", Self::FEATURE)
    }

    /// What the definitions mean. Only the order of the output columns is taken from the plan.
    pub fn meaning(&self, plan: &FeaturePlan) -> oracle::Feature {
        let place = |name: &String| plan.columns.iter().position(|c| c.name == *name).expect("a column of the feature");
        let reads = self.signals.iter().map(|(_, read)| oracle::SignalRead {
            columns: plan
                .columns
                .iter()
                .map(|c| read.columns.iter().find(|own| output(read, own) == c.name).and_then(|own| COLUMNS.iter().position(|c| c == own)))
                .collect(),
            at_least: read.least_item.map(|least| (0, least)),
            required_found: 0,
            length: read.length,
        });
        let view = match (self.feature.view, self.comparable().first()) {
            (0, _) => oracle::View::Sessions(self.feature.gap_hours * HOUR * 1000),
            (1, Some(by)) => oracle::View::Objects(vec![place(by)]),
            _ => oracle::View::Events,
        };
        oracle::Feature {
            reads: reads.collect(),
            length: self.feature.length,
            window: self.feature.window_hours.map(|h| h * HOUR * 1000),
            deduplicate: self.keys().iter().map(place).collect(),
            view,
        }
    }

    /// The signals with the events that these deliveries are.
    pub fn signals(&self, deliveries: &[Delivery]) -> Vec<oracle::Signal> {
        let signal = |(index, (signal, _)): (usize, &(SignalShape, ReadShape))| oracle::Signal {
            label: format!("movies/{}", kind(index)),
            yields_nothing_counts: signal.version || signal.delete,
            retention: signal.retention_hours.map(|h| h * HOUR * 1000),
            enrichments: 0,
            events: deliveries.iter().filter_map(|d| d.event(index, signal, self.strings)).collect(),
        };
        self.signals.iter().enumerate().map(signal).collect()
    }
}

fn kind(index: usize) -> &'static str {
    ["rating", "watch", "other"][index]
}

fn output(read: &ReadShape, column: &str) -> String {
    if read.renames_item && column == "item" { "thing".to_owned() } else { column.to_owned() }
}

impl Delivery {
    /// State `rev` of the event of the first entity and `item`.
    pub fn state(item: i64, rev: i64, score: f32, op: Option<&'static str>) -> Self {
        let raw = Raw {
            kind: 0,
            user: Some(0),
            item: Some(item),
            at: START,
            seen: START,
            op,
            rev: Some(rev),
            score: Some(score),
            title: None,
            tags: None,
            writes_nulls: false,
            torn: false,
        };
        Self { raw, record_timestamp: START }
    }

    pub fn payload(&self, strings: bool) -> Vec<u8> {
        let raw = &self.raw;
        let user = raw.user.map(|u| match &entities(strings)[u] {
            Value::Text(text) => serde_json::json!(text),
            Value::Int(number) => serde_json::json!(number),
            other => panic!("{other:?} is no entity"),
        });
        let mut object = serde_json::Map::new();
        let mut put = |name: &str, value: Option<serde_json::Value>| {
            if value.is_some() || raw.writes_nulls {
                object.insert(name.to_owned(), value.unwrap_or_default());
            }
        };
        put("user", user);
        put("item", raw.item.map(Into::into));
        put("at", Some(raw.at.into()));
        put("seen", Some(raw.seen.into()));
        put("kind", Some(kind(raw.kind).into()));
        put("op", raw.op.map(Into::into));
        put("rev", raw.rev.map(Into::into));
        put("score", raw.score.map(Into::into));
        put("context", raw.title.map(|title| serde_json::json!({"title": title, "unknown": 1})));
        put("tags", raw.tags.as_ref().map(|tags| serde_json::json!(tags)));
        let mut bytes = serde_json::to_vec(&object).expect("JSON");
        if raw.torn {
            bytes.truncate(bytes.len() / 2);
        }
        bytes
    }

    /// The event that this is for a signal; none when it is another's, or invalid.
    fn event(&self, index: usize, signal: &SignalShape, strings: bool) -> Option<RawEvent> {
        let raw = &self.raw;
        if raw.kind != index || raw.torn {
            return None;
        }
        let (entity, item) = (entities(strings)[raw.user?].clone(), raw.item?);
        let available_at = match signal.available {
            Available::RecordTimestamp => self.record_timestamp,
            Available::Field => raw.seen,
            Available::Delay(ms) => raw.at + ms,
        };
        let version = if signal.version { raw.rev? } else { available_at * 1000 };
        if raw.at > available_at + MAX_SKEW {
            return None;
        }
        let deleted = signal.delete && raw.op == Some("d");
        let refused = signal.filter && raw.score.is_none_or(|score| score < 0.5);
        let or_null = |value: Option<Value>| value.unwrap_or(Value::Null);
        let text = |text: &'static str| Value::Text(text.to_owned());
        let tags = raw.tags.as_ref().map(|tags| Value::List(tags.iter().map(|t| or_null(t.map(text))).collect()));
        let columns = vec![
            Value::Int(item),
            or_null(raw.score.map(|s| Value::Float32(s.to_bits()))),
            or_null(raw.score.map(|s| Value::Bool(s >= 4.0))),
            Value::Int(item * 2),
            or_null(raw.title.map(text)),
            or_null(tags),
        ];
        let user = match &entity {
            Value::Text(text) => Typed::Text(text.clone()),
            Value::Int(number) => Typed::Int64(*number),
            other => panic!("{other:?} is no entity"),
        };
        let typed_text = |t: Option<&'static str>| t.map_or(Typed::Null, |t| Typed::Text(t.to_owned()));
        let fields = [
            user.clone(),
            Typed::Int64(item),
            Typed::Int64(raw.at),
            Typed::Int64(raw.seen),
            typed_text(Some(kind(raw.kind))),
            typed_text(raw.op),
            raw.rev.map_or(Typed::Null, Typed::Int64),
            raw.score.map_or(Typed::Null, Typed::Float32),
            typed_text(raw.title),
            raw.tags.as_ref().map_or(Typed::Null, |tags| Typed::Texts(tags.iter().map(|t| t.map(str::to_owned)).collect())),
        ];
        Some(RawEvent {
            entity,
            event_time: raw.at * 1000,
            event_id: event_id(&[user, Typed::Timestamp(raw.at * 1000), Typed::Int64(item)]),
            version,
            raw_hash: raw_hash(&fields),
            available_at: available_at * 1000,
            backfill: 0,
            outputs: if deleted || refused { Vec::new() } else { vec![Output { found: 0, columns }] },
        })
    }
}
