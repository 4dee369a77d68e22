//! The rows that a signal's events become, scattered over runs and hot rows in every way the engine may hold them.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use tress_engine::entity::Entity;
use tress_engine::read::{Index, Part, Source};
use tress_engine::rows::{Rows, row_schema};
use tress_engine::run::{self, Run};

use crate::oracle::Value;
use crate::values;
use crate::world::{SignalWorld, entity, mix};

/// Chance from a seed.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From 0 up to, but not, `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = mix(&[self.0]);
        (self.0 >> 11) as usize % sides.max(1)
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.roll(i + 1));
        }
    }
}

/// How entities are hashed: as they are, or so that all of them collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hashing {
    Real,
    Colliding,
}

impl Hashing {
    pub fn of(self, entity: &Entity) -> i64 {
        match self {
            Self::Real => entity.hash(),
            Self::Colliding => 42,
        }
    }
}

/// A stored row: the record with this ordinal of the event with this index, or the tombstone of an event that yields nothing.
pub type Stored = (usize, usize);

/// Every row that is stored of a signal, one per delivery.
pub fn stored(signal: &SignalWorld) -> Vec<Stored> {
    let keeps_tombstones = signal.oracle.yields_nothing_counts;
    let rows = signal.oracle.events.iter().enumerate().flat_map(|(index, event)| {
        let tombstone = usize::from(event.outputs.is_empty() && keeps_tombstones);
        (0..event.outputs.len() + tombstone).map(move |ordinal| (index, ordinal))
    });
    rows.collect()
}

/// Events that another one of the same identity beats.
pub fn losers(signal: &SignalWorld) -> HashSet<usize> {
    let mut best: HashMap<_, usize> = HashMap::new();
    let events = &signal.oracle.events;
    let rank = |i: usize| (events[i].version, events[i].raw_hash, Reverse(events[i].available_at), events[i].backfill);
    let counts = |i: &usize| signal.oracle.yields_nothing_counts || !events[*i].outputs.is_empty();
    let identity = |i: usize| (events[i].entity.clone(), events[i].event_time, events[i].event_id);
    for index in (0..events.len()).filter(counts) {
        let held = best.entry(identity(index)).or_insert(index);
        if rank(index) > rank(*held) {
            *held = index;
        }
    }
    (0..events.len()).filter(|i| best.get(&identity(*i)).is_some_and(|b| rank(*b) != rank(*i))).collect()
}

pub fn batch(signal: &SignalWorld, rows: &[Stored], hashing: Hashing) -> RecordBatch {
    let schema = row_schema(&signal.plan);
    let event = |row: &Stored| &signal.oracle.events[row.0];
    let position = |row: &Stored| signal.positions[row.0];
    let cell = |column: usize, row: &Stored| -> Value {
        let int = |v: i64| Value::Int(v);
        match column {
            0 => event(row).entity.clone(),
            1 => int(hashing.of(&entity(&event(row).entity))),
            2 => int(event(row).event_time),
            3 => int(event(row).event_id),
            4 => int(row.1 as i64),
            5 => int(event(row).version),
            6 => int(event(row).raw_hash.into()),
            7 => int(event(row).available_at),
            8 => Value::Bool(event(row).outputs.is_empty()),
            9 => int(event(row).outputs.get(row.1).map_or(0, |o| o.found).into()),
            10 => position(row).map_or(Value::Null, |p| int(p.0.into())),
            11 => position(row).map_or(Value::Null, |p| int(p.1)),
            12 => int(event(row).backfill.into()),
            own => event(row).outputs.get(row.1).map_or(Value::Null, |o| o.columns[own - 13].clone()),
        }
    };
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(i, field)| values::array(field.data_type(), &rows.iter().map(|row| cell(i, row)).collect::<Vec<_>>()))
        .collect();
    RecordBatch::try_new(Arc::clone(&schema), columns).expect("rows of the schema")
}

/// Where rows are: a run, or rows as they arrived with a list per entity.
#[derive(Debug)]
pub enum Holder {
    Run(Run),
    Hot(Rows),
}

impl Holder {
    fn part(&self, entity: &Entity, hash: i64) -> Option<Part<'_>> {
        match self {
            Self::Run(run) => run.find(entity, hash).map(|entry| Part::of_run(run, entry)),
            Self::Hot(rows) => {
                let mut list: Vec<u32> = (0..rows.len()).filter(|i| entity.is_at(rows.entity(), *i)).map(|i| i as u32).collect();
                list.sort_by_key(|i| {
                    let i = *i as usize;
                    let law =
                        (Reverse(rows.version()[i]), Reverse(rows.raw_hash()[i]), rows.available_at()[i], Reverse(rows.backfill()[i]));
                    (Reverse(rows.event_time()[i]), rows.event_id()[i], rows.ordinal()[i], law)
                });
                Some(Part::new(rows.columns(), Index::List(list)))
            }
        }
    }
}

/// What is known of `entity` when `holders` hold the rows.
pub fn source<'a>(holders: &'a [Holder], entity: &Entity, hashing: Hashing, floor: i64) -> Source<'a> {
    Source { parts: holders.iter().filter_map(|h| h.part(entity, hashing.of(entity))).collect(), floor }
}

/// Puts every row into at least one of some holders, in any order, now and then twice.
pub fn scatter(signal: &SignalWorld, rows: &[Stored], hashing: Hashing, dice: &mut Dice) -> Vec<Holder> {
    let mut pieces: Vec<Vec<Stored>> = vec![Vec::new(); 1 + dice.roll(5)];
    for row in rows {
        for _ in 0..1 + dice.roll(3) / 2 {
            let piece = dice.roll(pieces.len());
            pieces[piece].push(*row);
        }
    }
    let mut holders: Vec<Holder> = pieces.iter().map(|piece| holder(signal, piece, hashing, dice)).collect();
    dice.shuffle(&mut holders);
    holders
}

fn holder(signal: &SignalWorld, rows: &[Stored], hashing: Hashing, dice: &mut Dice) -> Holder {
    let mut rows = rows.to_vec();
    dice.shuffle(&mut rows);
    let form = if dice.roll(2) == 0 { Run::from_rows } else { Run::dense };
    let run = |rows: &[Stored]| form(batch(signal, rows, hashing)).expect("a run");
    match dice.roll(4) {
        0 => Holder::Hot(Rows::new(batch(signal, &rows, hashing)).expect("rows")),
        1 => Holder::Run(run(&rows)),
        2 => Holder::Run(run::read(run::encode(&run(&rows)).expect("a file")).expect("the same run")),
        _ => {
            let (a, b) = rows.split_at(dice.roll(rows.len() + 1));
            let (b, c) = b.split_at(dice.roll(b.len() + 1));
            let runs = [run(a), run(b), run(c)];
            Holder::Run(run::merge(&runs.iter().collect::<Vec<_>>(), |_, _| true).expect("a merged run"))
        }
    }
}
