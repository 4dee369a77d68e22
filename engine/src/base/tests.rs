use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tress_configs::column::{ColumnType, Scalar};
use tress_configs::plan::Expression;

use super::*;
use crate::backfill::fixture::fold;
use crate::backfill::{Buckets, Mode};
use crate::entity::Entity;
use crate::faults;
use crate::history::History;
use crate::history::fixture::{DAY, Event, event, history};
use crate::run::NO_FLOOR;

fn demand(length: u32) -> Demand {
    Demand {
        feature: format!("f{length}"),
        filter: None,
        filter_columns: Vec::new(),
        required_found: 0,
        length,
        share: None,
        deduplicate: Vec::new(),
        window_ms: None,
    }
}

fn demands(epoch: u64, list: Vec<Demand>) -> Demands {
    Demands { epoch, list }
}

/// What identifies a winner: (time, item), and what it says: (version, available, backfill, deleted).
type Resolved = BTreeMap<(i64, i64), (i64, i64, i32, bool)>;

/// By brute force over everything that was ever folded.
fn oracle(events: &[Event], entity: &str, floor: i64) -> Resolved {
    let mut resolved: Resolved = BTreeMap::new();
    for e in events.iter().filter(|e| e.entity == entity && e.time >= floor) {
        let mine = (e.version, e.available, e.backfill, e.deleted);
        let best = resolved.entry((e.time, e.item)).or_insert(mine);
        // Greatest (version, raw_hash): raw_hash is the version's low half here. Then the earliest available_at, then the latest backfill.
        let rank = |x: &(i64, i64, i32, bool)| (x.0, x.0 as i32, -x.1, x.2);
        if rank(&mine) > rank(best) {
            *best = mine;
        }
    }
    resolved
}

fn of_base(base: &Base, entity: &str) -> (i64, Resolved) {
    let entity = Entity::String(entity.to_owned());
    let found = base.find(&entity, entity.hash());
    let mut events = Vec::new();
    for (run, range) in &found.parts {
        for row in range.clone() {
            let rows = run.rows();
            let item =
                arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&rows.signal(0).slice(row..row + 1).unwrap()).value(0);
            events.push(Event {
                entity: "x".into(),
                time: rows.event_time(row),
                item,
                version: rows.version(row),
                available: rows.available_at(row),
                deleted: rows.deleted(row),
                at: (0, 0),
                backfill: rows.backfill(row),
            });
        }
    }
    (found.floor, oracle(&events, "x", found.floor))
}

async fn load(history: &History, manifest: &Manifest) -> Base {
    Base::load(history.lake(), manifest.clone(), &Residence::Memory, None).await.unwrap()
}

fn check(base: &Base, folded: &[Event], entities: &BTreeSet<String>, length: usize) {
    for entity in entities {
        let (floor, resolved) = of_base(base, entity);
        assert_eq!(resolved, oracle(folded, entity, floor), "{entity} above {floor}");
        let outputs = resolved.values().filter(|v| !v.3).count();
        assert!(floor == NO_FLOOR || outputs >= length, "{entity}: {outputs} outputs above its floor");
    }
}

#[tokio::test]
async fn an_entity_keeps_its_demand_and_a_slack_and_one_with_few_rows_keeps_all() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    assert_eq!(update(&history, &demands(1, vec![demand(4)])).await.unwrap(), None);
    let mut events: Vec<Event> = (0..100).map(|i| event("many", i, i)).collect();
    events.extend((0..20).map(|i| event("few", i, i)));
    let sealed = fold(&history, 1, Mode::Incremental, &[events.clone()]).await;
    let manifest = update(&history, &demands(1, vec![demand(4)])).await.unwrap().expect("a manifest");
    assert_eq!((manifest.number, manifest.history, manifest.backfill, manifest.newest), (1, sealed.version, 1, Some(99)));
    let base = load(&history, &manifest).await;
    // 4 and a slack of 16: the 20 newest.
    assert_eq!(of_base(&base, "many").0, 80);
    assert_eq!(of_base(&base, "many").1.len(), 20);
    assert_eq!((of_base(&base, "few").0, of_base(&base, "few").1.len()), (NO_FLOOR, 20));
    assert_eq!(of_base(&base, "nobody"), (NO_FLOOR, Resolved::new()));
    assert_eq!(update(&history, &demands(1, vec![demand(4)])).await.unwrap(), Some(manifest));
}

#[tokio::test]
async fn rows_that_a_where_refuses_and_tombstones_do_not_count_but_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    let mut events: Vec<Event> = (0..100).map(|i| event("u", i, i % 2)).collect();
    for e in events.iter_mut().filter(|e| e.time % 4 == 1) {
        e.deleted = true;
    }
    fold(&history, 1, Mode::Incremental, &[events.clone()]).await;
    let odd = Demand {
        filter: Some(Expression { sql: "item = 1".into(), column_type: ColumnType::scalar(Scalar::Bool), nullable: true }),
        filter_columns: vec!["item".into()],
        ..demand(1)
    };
    let manifest = update(&history, &demands(1, vec![odd])).await.unwrap().expect("a manifest");
    let base = load(&history, &manifest).await;
    let (floor, resolved) = of_base(&base, "u");
    // Outputs are 99, 95, 91 …: of 17 the oldest is 35.
    assert_eq!(floor, 35);
    assert_eq!(resolved.len(), 65);
    assert_eq!(resolved, oracle(&events, "u", 35));
}

#[tokio::test]
async fn a_window_lets_the_floor_rise_to_where_no_read_looks() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    let mut events: Vec<Event> = (0..5).map(|i| event("u", i * DAY, i)).collect();
    events.push(event("old", 0, 1));
    fold(&history, 1, Mode::Incremental, &[events]).await;
    let day = Demand { window_ms: Some(86_400_000), ..demand(50) };
    let base = load(&history, &update(&history, &demands(1, vec![day])).await.unwrap().expect("a manifest")).await;
    assert_eq!((of_base(&base, "u").0, of_base(&base, "u").1.len()), (3 * DAY + 1, 1));
    // No row is kept, and the entry says that there are some.
    let old = Entity::String("old".into());
    let found = base.find(&old, old.hash());
    assert_eq!((found.floor, found.parts.len(), found.known), (3 * DAY + 1, 0, true));
}

#[tokio::test]
async fn distinct_keys_are_counted_and_rows_are_capped() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    let events: Vec<Event> = (0..5000).map(|i| event("u", i, if i < 20 { i } else { 1000 + i % 3 })).collect();
    fold(&history, 1, Mode::Incremental, &[events]).await;
    let distinct = |length| Demand { deduplicate: vec!["item".into()], ..demand(length) };
    let base = load(&history, &update(&history, &demands(1, vec![distinct(1)])).await.unwrap().expect("a manifest")).await;
    // 17 distinct items would reach down to event 6, but no more than 4,096 rows are kept.
    assert_eq!(of_base(&base, "u").0, 5000 - 4096);
    let base = load(&history, &update(&history, &demands(2, vec![demand(700)])).await.unwrap().expect("a manifest")).await;
    assert_eq!(of_base(&base, "u").0, 5000 - 875);
}

#[tokio::test]
async fn deletions_that_eat_up_the_slack_refill_the_entity_from_history() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    let wanted = demands(1, vec![demand(4)]);
    let mut all: Vec<Event> = (0..100).map(|i| event("u", i, i)).collect();
    // Others, so that one entity's rows are no quarter of its shard.
    all.extend((0..40).flat_map(|u| (0..60).map(move |i| event(&format!("other{u}"), i, i))));
    fold(&history, 1, Mode::Incremental, &[all.clone()]).await;
    update(&history, &wanted).await.unwrap();
    let gone: Vec<Event> = (82..100).map(|i| Event { version: 1000 + i, deleted: true, backfill: 2, ..event("u", i, i) }).collect();
    fold(&history, 2, Mode::Incremental, &[gone.clone()]).await;
    all.extend(gone);
    let manifest = update(&history, &wanted).await.unwrap().expect("a manifest");
    let generations: usize = manifest.shards.iter().map(Vec::len).sum();
    assert_eq!(generations, 5, "one shard has a generation more");
    let base = load(&history, &manifest).await;
    let (floor, resolved) = of_base(&base, "u");
    assert_eq!(floor, 62);
    assert_eq!(resolved, oracle(&all, "u", 62));
}

#[tokio::test]
async fn a_restatement_makes_base_anew_and_takes_away_what_history_lost() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    let wanted = demands(1, vec![demand(4)]);
    fold(&history, 1, Mode::Incremental, &[vec![event("u", 1, 1), event("u", DAY, 2)]]).await;
    update(&history, &wanted).await.unwrap();
    fold(&history, 2, Mode::Restate(Buckets::Spans(vec![0..DAY])), &[vec![event("u", 3, 3)]]).await;
    let base = load(&history, &update(&history, &wanted).await.unwrap().expect("a manifest")).await;
    let times: Vec<i64> = of_base(&base, "u").1.keys().map(|k| k.0).collect();
    assert_eq!(times, [3, DAY]);
}

#[tokio::test]
async fn an_older_list_of_demands_gives_way_to_the_newest_manifests() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    fold(&history, 1, Mode::Incremental, &[(0..200).map(|i| event("u", i, i)).collect()]).await;
    update(&history, &demands(5, vec![demand(50)])).await.unwrap();
    let manifest = update(&history, &demands(4, vec![demand(1)])).await.unwrap().expect("a manifest");
    assert_eq!((manifest.number, manifest.demands.epoch), (1, 5));
    let manifest = update(&history, &demands(6, vec![demand(60)])).await.unwrap().expect("a manifest");
    assert_eq!((manifest.number, of_base(&load(&history, &manifest).await, "u").0), (2, 200 - 76));
}

#[tokio::test]
async fn racing_updates_and_killed_ones_end_with_one_base() {
    for point in [faults::Point::BaseRun, faults::Point::BaseManifest] {
        let folder = tempfile::tempdir().unwrap();
        let history = history(folder.path());
        let events: Vec<Event> = (0..200).map(|i| event(&format!("u{}", i % 9), i, i)).collect();
        fold(&history, 1, Mode::Incremental, &[events.clone()]).await;
        let wanted = demands(1, vec![demand(1)]);
        let armed = faults::arm(point, 1, faults::Action::Error);
        update(&history, &wanted).await.unwrap_err();
        drop(armed);
        let all = futures::future::join_all((0..3).map(|_| update(&history, &wanted))).await;
        let all: Vec<Manifest> = all.into_iter().map(|m| m.unwrap().expect("a manifest")).collect();
        assert!(all.iter().all(|m| *m == all[0]) && all[0].number == 1);
        let entities = events.iter().map(|e| e.entity.clone()).collect();
        check(&load(&history, &all[0]).await, &events, &entities, 1);
    }
}

#[tokio::test]
async fn mapped_runs_answer_like_runs_in_memory_and_what_is_loaded_is_shared() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    let events: Vec<Event> = (0..300).map(|i| event(&format!("u{}", i % 9), i, i)).collect();
    fold(&history, 1, Mode::Incremental, &[events]).await;
    let manifest = update(&history, &demands(1, vec![demand(4)])).await.unwrap().expect("a manifest");
    let cache = tempfile::tempdir().unwrap();
    let residence = Residence::Folder(cache.path().to_owned());
    let mapped = Base::load(history.lake(), manifest.clone(), &residence, None).await.unwrap();
    let memory = load(&history, &manifest).await;
    for u in 0..9 {
        assert_eq!(of_base(&mapped, &format!("u{u}")), of_base(&memory, &format!("u{u}")));
    }
    let again = Base::load(history.lake(), manifest, &residence, Some(&mapped)).await.unwrap();
    assert!(again.shards().iter().flatten().zip(mapped.shards().iter().flatten()).all(|(a, b)| std::sync::Arc::ptr_eq(a, b)));
    std::fs::write(cache.path().join("stale.arrow"), b"x").unwrap();
    assert_eq!(Base::sweep(cache.path(), &[&again]).unwrap(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn base_holds_every_resolved_row_at_or_above_its_floors_whatever_the_fold_schedule(
        picks in prop::collection::vec((0..3u8, 0..40i64, 0..2i64, 0..3i64, any::<bool>()), 50..250),
        folds in prop::collection::vec(1..6u64, 250),
        length in 1..3u32,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let history = history(folder.path());
            let wanted = demands(1, vec![demand(length)]);
            let mut folded: Vec<Event> = Vec::new();
            let mut entities = BTreeSet::new();
            for number in 1..6u64 {
                // The first fold holds much, later ones little: generations are added as well as shards rewritten.
                let now: Vec<Event> = picks.iter().zip(&folds).filter(|(_, f)| **f == number || (number == 1 && **f > 3)).map(|(p, _)| {
                    let (u, time, item, version, deleted) = p;
                    Event {
                        version: *version,
                        available: time + version,
                        deleted: *deleted && *version > 0,
                        backfill: i32::try_from(number).unwrap(),
                        ..event(&format!("u{u}"), *time, *item)
                    }
                }).collect();
                entities.extend(now.iter().map(|e| e.entity.clone()));
                fold(&history, number, Mode::Incremental, &[now.clone()]).await;
                folded.extend(now);
                let manifest = update(&history, &wanted).await.unwrap().expect("a manifest");
                check(&load(&history, &manifest).await, &folded, &entities, length as usize);
            }
        });
    }
}

#[tokio::test]
async fn an_event_of_the_future_does_not_push_the_others_out_of_a_window() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    let far = 30_000 * DAY;
    fold(&history, 1, Mode::Incremental, &[vec![event("u", 11_574 * DAY, 1), event("v", far, 2)]]).await;
    let day = Demand { window_ms: Some(86_400_000), ..demand(50) };
    let base = load(&history, &update(&history, &demands(1, vec![day])).await.unwrap().expect("a manifest")).await;
    assert_eq!(of_base(&base, "u").1.len(), 1, "the window ends when the backfill was planned");
}
