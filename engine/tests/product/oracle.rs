//! What a read must answer, written from the definitions alone: every raw event of a signal is at hand, nothing is stored, merged or
//! sliced. Slow and short on purpose; it shares no code with the engine.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

/// A value of any type. Floats are their bits, so that values can be compared and hashed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float32(u32),
    Float64(u64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
}

/// One delivery of one raw event: ours and valid. Times are microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEvent {
    pub entity: Value,
    pub event_time: i64,
    /// With entity and time: its identity.
    pub event_id: i64,
    pub version: i64,
    pub raw_hash: i32,
    pub available_at: i64,
    pub backfill: i32,
    /// What executor and enrichments make of it, by ordinal. Empty = it was filtered out, or it deletes.
    pub outputs: Vec<Output>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// A bit per enrichment.
    pub found: i32,
    /// The signal's columns, in its order.
    pub columns: Vec<Value>,
}

#[derive(Debug, Clone)]
pub struct Signal {
    pub label: String,
    /// `event.version` or `event.delete` is defined: what yields nothing can win.
    pub yields_nothing_counts: bool,
    /// µs
    pub retention: Option<i64>,
    pub enrichments: usize,
    pub events: Vec<RawEvent>,
}

#[derive(Debug, Clone)]
pub struct SignalRead {
    /// Per column of the feature: the signal's column.
    pub columns: Vec<Option<usize>>,
    /// Column ≥ number; a null is not true.
    pub at_least: Option<(usize, i64)>,
    pub required_found: i32,
    pub length: Option<usize>,
}

#[derive(Debug, Clone)]
pub enum View {
    Events,
    /// µs
    Sessions(i64),
    /// Columns of the feature.
    Objects(Vec<usize>),
}

/// Signals in the order of (namespace, name).
#[derive(Debug, Clone)]
pub struct Feature {
    pub reads: Vec<SignalRead>,
    pub length: usize,
    pub window: Option<i64>,
    /// Columns of the feature.
    pub deduplicate: Vec<usize>,
    pub view: View,
}

#[derive(Debug, Clone)]
pub struct Question {
    pub entity: Value,
    pub as_of: i64,
    pub known_by: Option<i64>,
    pub since: Option<i64>,
    pub until: Option<i64>,
    pub signals: Option<Vec<usize>>,
    pub columns: Option<Vec<usize>>,
    pub limit: Option<usize>,
    pub oldest_first: bool,
}

impl Question {
    /// Everything of an entity as of a time.
    pub const fn of(entity: Value, as_of: i64) -> Self {
        Self { entity, as_of, known_by: None, since: None, until: None, signals: None, columns: None, limit: None, oldest_first: false }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub rows: Vec<Vec<Value>>,
    pub events: usize,
    pub newest: Option<i64>,
    pub oldest: Option<i64>,
    /// (signal, enrichment, found, events)
    pub coverage: Vec<(usize, usize, usize, usize)>,
}

/// An enriched event that takes part.
struct Event<'a> {
    time: i64,
    signal: usize,
    id: i64,
    ordinal: usize,
    output: &'a Output,
}

const MOST: usize = 10_000;

pub fn answer(feature: &Feature, signals: &[Signal], question: &Question) -> Answer {
    let chosen = chosen(feature, signals, question);
    let events: Vec<Vec<Value>> = chosen
        .iter()
        .map(|e| {
            let mut row = vec![Value::Int(e.time), Value::Text(signals[e.signal].label.clone())];
            row.extend(columns(feature, e));
            row
        })
        .collect();
    let full = chosen.len() == limit(feature, question) && !chosen.is_empty();
    let mut rows = match &feature.view {
        View::Events => events,
        View::Sessions(gap) => sessions(feature, signals, question, &events, *gap, full),
        View::Objects(by) => objects(&events, by),
    };
    if question.oldest_first {
        rows.reverse();
    }
    if let Some(wanted) = &question.columns {
        rows = rows.into_iter().map(|row| wanted.iter().map(|c| row[*c].clone()).collect()).collect();
    }
    let mut coverage = Vec::new();
    for (s, signal) in signals.iter().enumerate() {
        for enrichment in 0..signal.enrichments {
            let of_signal = || chosen.iter().filter(|e| e.signal == s);
            let found = of_signal().filter(|e| e.output.found & (1 << enrichment) != 0).count();
            coverage.push((s, enrichment, found, of_signal().count()));
        }
    }
    Answer { rows, events: chosen.len(), newest: chosen.first().map(|e| e.time), oldest: chosen.last().map(|e| e.time), coverage }
}

/// Whether a read can be complete when of each signal only what is at or above its floor is known: N outputs lie above the floors of
/// all unfinished signals. Finished = its `length` is filled above its floor, or its floor is at or below the read's lower bound.
pub fn reaches(feature: &Feature, signals: &[Signal], question: &Question, floors: &[i64]) -> bool {
    let taking_part = taking_part(feature, signals, question);
    let floor = asked(feature, question)
        .into_iter()
        .filter(|s| i128::from(floors[*s]) > earliest(feature, signals, question, *s))
        .filter(|s| {
            let above = taking_part.iter().filter(|e| e.signal == *s && e.time >= floors[*s]).count();
            feature.reads[*s].length.is_none_or(|length| above < length)
        })
        .map(|s| floors[s])
        .max();
    let above = |floor: i64| chosen(feature, signals, question).iter().filter(|e| e.time >= floor).count();
    floor.is_none_or(|floor| above(floor) >= limit(feature, question))
}

fn limit(feature: &Feature, question: &Question) -> usize {
    question.limit.unwrap_or(feature.length).min(MOST)
}

fn asked(feature: &Feature, question: &Question) -> Vec<usize> {
    (0..feature.reads.len()).filter(|s| question.signals.as_ref().is_none_or(|wanted| wanted.contains(s))).collect()
}

/// The least event_time that a read takes of a signal.
pub fn earliest(feature: &Feature, signals: &[Signal], question: &Question, signal: usize) -> i128 {
    let after = |span: Option<i64>| span.map_or(i128::from(i64::MIN), |span| i128::from(question.as_of) - i128::from(span) + 1);
    after(feature.window).max(after(signals[signal].retention)).max(question.since.unwrap_or(i64::MIN).into()).max(i64::MIN.into())
}

/// Resolve by the law → as_of, window, retention → since, until, signals → where, dropped enrichments → per-signal length.
/// Newest first.
fn taking_part<'a>(feature: &Feature, signals: &'a [Signal], question: &Question) -> Vec<Event<'a>> {
    let mut all = Vec::new();
    for s in asked(feature, question) {
        let read = &feature.reads[s];
        let mut events = resolved(&signals[s], s, question);
        events.sort_by_key(|e| (Reverse(e.time), e.id, e.ordinal));
        events.retain(|e| e.time <= question.as_of && i128::from(e.time) >= earliest(feature, signals, question, s));
        events.retain(|e| question.until.is_none_or(|until| e.time < until));
        events.retain(|e| read.at_least.is_none_or(|(c, least)| matches!(e.output.columns[c], Value::Int(v) if v >= least)));
        events.retain(|e| e.output.found & read.required_found == read.required_found);
        events.truncate(read.length.unwrap_or(usize::MAX));
        all.extend(events);
    }
    all.sort_by_key(|e| (Reverse(e.time), e.signal, e.id, e.ordinal));
    all
}

/// Of the raw events with one identity, the one with the greatest (version, raw_hash) wins and supplies all ordinals; among its copies
/// the earliest available_at, then the latest backfill.
fn resolved<'a>(signal: &'a Signal, index: usize, question: &Question) -> Vec<Event<'a>> {
    let mut by_identity: BTreeMap<(i64, i64), Vec<&RawEvent>> = BTreeMap::new();
    for event in &signal.events {
        let known = question.known_by.is_none_or(|by| event.available_at <= by);
        if known && event.entity == question.entity && (signal.yields_nothing_counts || !event.outputs.is_empty()) {
            by_identity.entry((event.event_time, event.event_id)).or_default().push(event);
        }
    }
    let winners =
        by_identity.values().filter_map(|e| e.iter().max_by_key(|e| (e.version, e.raw_hash, Reverse(e.available_at), e.backfill)));
    let rows = winners.flat_map(|winner| {
        let event = move |(ordinal, output)| Event { time: winner.event_time, signal: index, id: winner.event_id, ordinal, output };
        winner.outputs.iter().enumerate().map(event)
    });
    rows.collect()
}

/// Deduplicate (nulls never match, the latest stays) → first N.
fn chosen<'a>(feature: &Feature, signals: &'a [Signal], question: &Question) -> Vec<Event<'a>> {
    let mut events = taking_part(feature, signals, question);
    let mut seen = HashSet::new();
    events.retain(|event| {
        let all = columns(feature, event);
        let key: Vec<Value> = feature.deduplicate.iter().map(|c| all[*c].clone()).collect();
        key.is_empty() || key.contains(&Value::Null) || seen.insert(key)
    });
    events.truncate(limit(feature, question));
    events
}

fn columns(feature: &Feature, event: &Event<'_>) -> Vec<Value> {
    feature.reads[event.signal].columns.iter().map(|c| c.map_or(Value::Null, |c| event.output.columns[c].clone())).collect()
}

/// Splits where the pause is longer than `gap`. The oldest may have begun earlier when the read was full, or when an event just before
/// what the read takes would belong to it.
fn sessions(feature: &Feature, signals: &[Signal], question: &Question, events: &[Vec<Value>], gap: i64, full: bool) -> Vec<Vec<Value>> {
    let time = |row: &[Value]| if let Value::Int(t) = row[0] { t } else { unreachable!("the first column is the time") };
    let mut sessions: Vec<Vec<&Vec<Value>>> = Vec::new();
    for row in events {
        match sessions.last_mut() {
            Some(session) if time(session[session.len() - 1]) - time(row) <= gap => session.push(row),
            _ => sessions.push(vec![row]),
        }
    }
    let hidden_below = asked(feature, question).into_iter().map(|s| earliest(feature, signals, question, s)).max();
    let hidden = |oldest: i64| hidden_below.is_some_and(|e| e > i64::MIN.into() && i128::from(oldest) - (e - 1) <= gap.into());
    let last = sessions.len();
    let fold = |(index, session): (usize, Vec<&Vec<Value>>)| {
        let (start, end) = (time(session[session.len() - 1]), time(session[0]));
        let open = index + 1 == last && (full || hidden(start));
        let mut row = vec![Value::Int(start), Value::Int(end), Value::Int(session.len() as i64), Value::Bool(open)];
        row.extend((0..session[0].len()).map(|c| Value::List(session.iter().map(|event| event[c].clone()).collect())));
        row
    };
    sessions.into_iter().enumerate().map(fold).collect()
}

/// Folds by key: first, last, count and the latest columns; the object touched last comes first.
fn objects(events: &[Vec<Value>], by: &[usize]) -> Vec<Vec<Value>> {
    let key = |row: &[Value]| by.iter().map(|c| row[2 + c].clone()).collect::<Vec<_>>();
    let mut seen = HashSet::new();
    let latest = events.iter().filter(|row| seen.insert(key(row)));
    let fold = |latest: &Vec<Value>| {
        let same: Vec<&Vec<Value>> = events.iter().filter(|row| key(row) == key(latest)).collect();
        let mut row = vec![same[same.len() - 1][0].clone(), latest[0].clone(), Value::Int(same.len() as i64)];
        row.extend(latest[1..].iter().cloned());
        row
    };
    latest.map(fold).collect()
}
