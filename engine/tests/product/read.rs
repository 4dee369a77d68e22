//! Rows of any signals, held in any way, read by any feature: what comes out is what the definitions say.

use proptest::prelude::*;
use tress_engine::read::{Outcome, Sequence, Source, assemble};
use tress_engine::run::NO_FLOOR;

use crate::cases;
use crate::oracle::{self, Answer};
use crate::parts::{Dice, Hashing, Holder, losers, scatter, source, stored};
use crate::values;
use crate::world::{Size, World, world};

const SIZE: Size = Size { signals: 3, events: 25 };

/// What the engine says when the holders, one list per signal, hold the rows.
fn ask(world: &World, holders: &[Vec<Holder>], hashing: Hashing, floors: &[i64]) -> Outcome {
    let query = world.query();
    let sources: Vec<Source<'_>> = holders.iter().zip(floors).map(|(h, floor)| source(h, &query.entity, hashing, *floor)).collect();
    assemble(&world.feature(), &sources, &query).expect("a read of rows that fit")
}

fn complete(outcome: Outcome) -> Sequence {
    match outcome {
        Outcome::Complete(sequence) => sequence,
        Outcome::NeedMore => panic!("more was needed where everything was given"),
    }
}

/// The engine's answer in the oracle's words.
fn plain(sequence: &Sequence) -> Answer {
    Answer {
        rows: values::rows(&sequence.rows),
        events: sequence.events,
        newest: sequence.newest,
        oldest: sequence.oldest,
        coverage: sequence.coverage.iter().map(|c| (c.signal, c.enrichment, c.found, c.events)).collect(),
    }
}

/// Where a floor is.
#[derive(Debug, Clone, Copy)]
enum Floor {
    None,
    At(i64),
    /// So far from the least event_time that the read takes.
    WhereTheReadEnds(i64),
}

fn floor() -> impl Strategy<Value = Floor> {
    prop_oneof![
        1 => Just(Floor::None),
        4 => (-4i64..13).prop_map(|ms| Floor::At(ms * 1000)),
        1 => (-1i64..2).prop_map(Floor::WhereTheReadEnds),
    ]
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn any_split_of_the_rows_answers_as_the_definitions_say(world in world(SIZE), seed: u64, collide: bool) {
        let hashing = if collide { Hashing::Colliding } else { Hashing::Real };
        let expected = oracle::answer(&world.read, &world.oracle_signals(), &world.question);
        let mut dice = Dice::new(seed);
        let no_floors = vec![NO_FLOOR; world.signals.len()];
        let mut answers = Vec::new();
        for _ in 0..2 {
            let holders: Vec<_> = world.signals.iter().map(|s| scatter(s, &stored(s), hashing, &mut dice)).collect();
            let sequence = complete(ask(&world, &holders, hashing, &no_floors));
            prop_assert_eq!(&plain(&sequence), &expected);
            let schema = world.feature().schema().as_ref().clone();
            let schema = world.question.columns.as_ref().map_or(schema.clone(), |c| schema.project(c).expect("columns in range"));
            let of_rows = sequence.rows.schema();
            prop_assert_eq!(of_rows.as_ref(), &schema);
            answers.push(sequence);
        }
        prop_assert_eq!(&answers[0], &answers[1]);
    }

    #[test]
    fn rows_below_true_floors_may_be_missing_and_more_is_needed_exactly_when_the_answer_reaches_below_them(
        world in world(SIZE), seed: u64, bare in proptest::collection::vec(floor(), 3),
    ) {
        let signals = world.oracle_signals();
        let mut dice = Dice::new(seed);
        let floors: Vec<i64> = (0..signals.len()).map(|signal| match bare[signal] {
            Floor::None => NO_FLOOR,
            Floor::At(time) => time,
            Floor::WhereTheReadEnds(off) => {
                let lower = oracle::earliest(&world.read, &signals, &world.question, signal);
                i64::try_from(lower).expect("within i64").saturating_add(off)
            }
        }).collect();
        let holders: Vec<_> = world.signals.iter().zip(&floors).map(|(signal, floor)| {
            // Base keeps winners only, and nothing below its floor; the tail may have some of both.
            let beaten = losers(signal);
            let mut rows = stored(signal);
            rows.retain(|(event, _)| {
                let lost = world.question.known_by.is_none() && beaten.contains(event);
                let below = signal.oracle.events[*event].event_time < *floor;
                !(lost || below) || dice.roll(2) == 0
            });
            scatter(signal, &rows, Hashing::Real, &mut dice)
        }).collect();
        match ask(&world, &holders, Hashing::Real, &floors) {
            Outcome::Complete(sequence) => {
                prop_assert_eq!(plain(&sequence), oracle::answer(&world.read, &signals, &world.question));
                prop_assert!(oracle::reaches(&world.read, &signals, &world.question, &floors), "complete below a floor");
            }
            Outcome::NeedMore => prop_assert!(
                !oracle::reaches(&world.read, &signals, &world.question, &floors),
                "more was needed where enough lies above the floors {:?}", floors
            ),
        }
    }
}
