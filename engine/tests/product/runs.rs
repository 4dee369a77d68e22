//! Runs by themselves: merging is a set union by the law, a file gives back what was put in, a damaged file is refused.

use arrow::array::RecordBatch;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use tress_engine::ErrorKind;
use tress_engine::entity::Entity;
use tress_engine::rows::{Columns, col};
use tress_engine::run::{self, Floors, Run};
use xxhash_rust::xxh3::Xxh3;

use crate::cases;
use crate::parts::{Dice, Hashing, Stored, batch, stored};
use crate::world::{SignalWorld, Size, World, world};

const SIZE: Size = Size { signals: 1, events: 25 };
/// Where a run's file has the checksum of the rest, and where its body starts.
const CHECKSUM: std::ops::Range<usize> = 24..32;
const BODY: usize = 64;

fn run_of(signal: &SignalWorld, rows: &[Stored]) -> Run {
    Run::dense(batch(signal, rows, Hashing::Real)).expect("a run")
}

fn all(run: &Run) -> RecordBatch {
    run.batch(0..run.rows().len()).expect("its rows")
}

fn merged(runs: &[&Run]) -> Run {
    run::merge(runs, |_, _| true).expect("a merged run")
}

/// Three runs that share some rows.
fn three(world: &World, dice: &mut Dice) -> [Run; 3] {
    let signal = &world.signals[0];
    std::array::from_fn(|_| {
        let mut rows = stored(signal);
        rows.retain(|_| dice.roll(2) == 0);
        dice.shuffle(&mut rows);
        run_of(signal, &rows)
    })
}

fn same(a: &Run, b: &Run) -> bool {
    let entries = |run: &Run| (0..run.directory().len()).map(|i| run.directory().entry(i)).collect::<Vec<_>>();
    all(a) == all(b)
        && a.directory().entities() == b.directory().entities()
        && a.directory().hashes() == b.directory().hashes()
        && entries(a) == entries(b)
}

/// With some floors, also for an entity that has no rows.
fn with_floors(world: &World, dice: &mut Dice) -> Run {
    let signal = &world.signals[0];
    let mut floors = Floors::default();
    for event in &signal.oracle.events {
        if dice.roll(2) == 0 {
            floors.set(crate::world::entity(&event.entity), dice.roll(9) as i64 * 1000);
        }
    }
    let absent = match world.query().entity {
        Entity::String(_) => Entity::String("nobody".to_owned()),
        Entity::Int64(_) => Entity::Int64(12345),
    };
    floors.set(absent, 7);
    Run::with_floors(batch(signal, &stored(signal), Hashing::Real), &floors).expect("a run")
}

/// Puts the checksum right, so that it is the lengths that must not fit.
fn seal(bytes: &mut [u8]) {
    if bytes.len() >= BODY {
        let mut hasher = Xxh3::new();
        hasher.update(&bytes[..CHECKSUM.start]);
        hasher.update(&bytes[CHECKSUM.end..]);
        bytes[CHECKSUM].copy_from_slice(&hasher.digest().to_le_bytes());
    }
}

fn read_damaged(bytes: Vec<u8>) -> Option<Run> {
    match run::read(bytes.into()) {
        Ok(run) => Some(run),
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::Corrupt, "{e}");
            None
        }
    }
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn merging_runs_is_commutative_associative_and_idempotent(world in world(SIZE), seed: u64) {
        let [a, b, c] = three(&world, &mut Dice::new(seed));
        let all = merged(&[&a, &b, &c]);
        prop_assert!(same(&merged(&[&c, &b, &a]), &all));
        prop_assert!(same(&merged(&[&b, &c, &a]), &all));
        prop_assert!(same(&merged(&[&merged(&[&a, &b]), &c]), &all));
        prop_assert!(same(&merged(&[&a, &merged(&[&b, &c])]), &all));
        prop_assert!(same(&merged(&[&all]), &all));
        prop_assert!(same(&merged(&[&all, &a, &all, &b]), &all));
    }

    #[test]
    fn merging_keeps_what_is_to_be_kept_as_if_the_rest_had_never_been_there(world in world(SIZE), seed: u64, at in -3i64..12) {
        let [a, b, c] = three(&world, &mut Dice::new(seed));
        let keep = |rows: &Columns, row: usize| rows.available_at(row) >= at * 1000 && rows.offset(row).unwrap_or(0) % 3 != 0;
        let only = |run: &Run| {
            let kept: arrow::array::BooleanArray = (0..run.rows().len()).map(|row| Some(keep(run.rows(), row))).collect();
            Run::from_rows(arrow::compute::filter_record_batch(&all(run), &kept).expect("a filter")).expect("a run")
        };
        let merged_then = run::merge(&[&a, &b, &c], keep).expect("a merged run");
        prop_assert!(same(&merged_then, &merged(&[&only(&a), &only(&b), &only(&c)])));
    }

    #[test]
    fn every_entity_is_found_with_its_rows_and_floor(world in world(SIZE), seed: u64) {
        let run = with_floors(&world, &mut Dice::new(seed));
        for event in &world.signals[0].oracle.events {
            let entity = crate::world::entity(&event.entity);
            let all = all(&run);
            let rows = (0..run.rows().len()).filter(|row| entity.is_at(all.column(col::ENTITY), *row)).collect::<Vec<_>>();
            match run.find(&entity, entity.hash()) {
                Some(entry) => prop_assert_eq!(entry.rows.collect::<Vec<_>>(), rows),
                None => prop_assert!(rows.is_empty()),
            }
        }
        prop_assert!(run.find(&Entity::String("never seen".to_owned()), Entity::String("never seen".to_owned()).hash()).is_none());
    }

    #[test]
    fn a_run_comes_back_from_its_file_as_it_was(world in world(SIZE), seed: u64) {
        let run = with_floors(&world, &mut Dice::new(seed));
        let bytes = run::encode(&run).expect("a file");
        prop_assert!(same(&run::read(bytes.clone()).expect("the run"), &run));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run");
        std::fs::write(&path, &bytes).expect("written");
        let opened = run::open(&path).expect("the run");
        prop_assert!(same(&opened, &run));
        prop_assert_eq!(run::encode(&opened).expect("a file"), bytes);
    }

    #[test]
    fn a_damaged_file_is_refused_or_is_the_same_run(world in world(SIZE), seed: u64, damage in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4)) {
        let run = with_floors(&world, &mut Dice::new(seed));
        let mut bytes = run::encode(&run).expect("a file").to_vec();
        for (at, bits) in damage {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        }
        if let Some(read) = read_damaged(bytes) {
            prop_assert!(same(&read, &run));
        }
    }
}

/// One small run whose every byte can be tried.
fn small() -> Run {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let world = (0..100)
        .map(|_| world(Size { signals: 1, events: 4 }).new_tree(&mut runner).expect("a world").current())
        .find(|w| stored(&w.signals[0]).len() > 3 && w.signals[0].plan.columns.len() > 3)
        .expect("one of many has some rows");
    with_floors(&world, &mut Dice::new(1))
}

#[test]
fn a_file_that_was_cut_anywhere_is_refused() {
    let bytes = run::encode(&small()).expect("a file");
    for length in 0..bytes.len() {
        assert!(read_damaged(bytes[..length].to_vec()).is_none(), "cut at {length}");
        let mut sealed = bytes[..length].to_vec();
        seal(&mut sealed);
        assert!(read_damaged(sealed).is_none(), "cut at {length} and sealed");
    }
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert!(read_damaged(longer).is_none());
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    let bytes = run::encode(&small()).expect("a file");
    for at in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1 << (at % 8);
        assert!(read_damaged(damaged).is_none(), "flipped at {at}");
    }
}
