use std::collections::BTreeSet;

use arrow::compute::concat_batches;
use futures::TryStreamExt;
use proptest::prelude::*;

use super::fixture::{fold, put_task, work_plan};
use super::*;
use crate::error::ErrorKind;
use crate::faults;
use crate::history::fixture::{DAY, Event, event, history, rows};
use crate::history::{History, Scan, Snapshot};
use crate::run::sort;

async fn everything(history: &History) -> (Snapshot, arrow::array::RecordBatch) {
    let snapshot = history.snapshot().await.unwrap().expect("a table");
    let batches: Vec<_> = history.scan(snapshot.files.clone(), Scan::default()).try_collect().await.unwrap();
    let all = sort(concat_batches(history.schema(), &batches).unwrap()).unwrap();
    (snapshot, all)
}

fn numbered(number: i32, events: &[Event]) -> Vec<Event> {
    events.iter().map(|e| Event { backfill: number, ..e.clone() }).collect()
}

fn buckets(snapshot: &Snapshot) -> Vec<(String, usize)> {
    snapshot.buckets().values().map(|files| (files[0].bucket.clone(), files.len())).collect()
}

#[tokio::test]
async fn a_bucket_of_more_than_four_files_becomes_one_and_only_equal_copies_fall_away() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    let mut expected = Vec::new();
    for number in 1..=4 {
        let events: Vec<Event> = (0..20).map(|i| event(&format!("u{}", i % 3), i, i)).collect();
        fold(&history, number, Mode::Incremental, &[events.clone()]).await;
        expected.extend(numbered(i32::try_from(number).unwrap(), &events));
    }
    let (snapshot, _) = everything(&history).await;
    assert_eq!(buckets(&snapshot), [("1970-01-01".to_owned(), 4)]);
    let fifth: Vec<Event> = (0..20).map(|i| event("u9", i, i)).collect();
    // The same rows from two tasks: equal copies.
    let sealed = fold(&history, 5, Mode::Incremental, &[fifth.clone(), fifth.clone()]).await;
    assert_eq!((sealed.added, sealed.removed, sealed.compacted), (1, 4, 1));
    expected.extend(numbered(5, &fifth));
    let (snapshot, all) = everything(&history).await;
    assert_eq!(buckets(&snapshot), [("1970-01-01".to_owned(), 1)]);
    assert_eq!(snapshot.files[0].backfill, 5);
    assert_eq!(all, sort(rows(&expected)).unwrap());
}

#[tokio::test]
async fn restating_a_range_replaces_its_buckets_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    let first: Vec<Event> = (0..6).map(|day| event("u", day * DAY + 5, day)).collect();
    fold(&history, 1, Mode::Incremental, &[first.clone()]).await;
    let corrected = vec![event("u", 2 * DAY + 7, 70)];
    let range = Mode::Restate(Buckets::Spans(vec![2 * DAY..4 * DAY]));
    let sealed = fold(&history, 2, range, &[corrected.clone()]).await;
    assert_eq!((sealed.added, sealed.removed), (1, 2));
    let mut expected: Vec<Event> = numbered(1, &first);
    expected.retain(|e| !(2 * DAY..4 * DAY).contains(&e.time));
    expected.extend(numbered(2, &corrected));
    assert_eq!(everything(&history).await.1, sort(rows(&expected)).unwrap());
}

#[tokio::test]
async fn buckets_outside_retention_are_dropped_by_the_seal() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    let first: Vec<Event> = (0..4).map(|day| event("u", day * DAY + 5, day)).collect();
    fold(&history, 1, Mode::Incremental, &[first]).await;
    let plan = WorkPlan { drop_before: Some(2 * DAY + 1), ..work_plan(2, Mode::Incremental, 0) };
    let sealed = seal(&history, &plan.agree(&history).await.unwrap()).await.unwrap();
    assert_eq!((sealed.removed, sealed.dropped), (2, 2));
    let (snapshot, _) = everything(&history).await;
    assert_eq!(buckets(&snapshot), [("1970-01-03".to_owned(), 1), ("1970-01-04".to_owned(), 1)]);
}

#[tokio::test]
async fn a_seal_happens_once_and_in_order_and_only_when_all_tasks_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    history.create().await.unwrap();
    let plan = work_plan(1, Mode::Incremental, 2).agree(&history).await.unwrap();
    put_task(&history, 1, 0, &[event("u", 1, 1)]).await;
    assert_eq!(seal(&history, &plan).await.unwrap_err().kind(), ErrorKind::Invalid);
    put_task(&history, 1, 1, &[event("v", 1, 1)]).await;
    assert_eq!(seal(&history, &work_plan(2, Mode::Incremental, 0)).await.unwrap_err().kind(), ErrorKind::Invalid);
    let first = seal(&history, &plan).await.unwrap();
    assert_eq!((first.version, first.added), (1, 2));
    let again = seal(&history, &plan).await.unwrap();
    assert_eq!((again.version, again.added), (1, 0));
    assert_eq!(history.snapshot().await.unwrap().map(|s| (s.version, s.backfill, s.cut)), Some((1, 1, 1)));
}

#[tokio::test]
async fn racing_seals_converge() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    history.create().await.unwrap();
    let plan = work_plan(1, Mode::Incremental, 1).agree(&history).await.unwrap();
    put_task(&history, 1, 0, &[event("u", 1, 1)]).await;
    let all = futures::future::join_all((0..4).map(|_| seal(&history, &plan))).await;
    assert_eq!(all.into_iter().map(Result::unwrap).filter(|s| s.added == 1).count(), 1);
    assert_eq!(history.snapshot().await.unwrap().map(|s| (s.version, s.files.len())), Some((1, 1)));
}

#[tokio::test]
async fn a_seal_that_died_before_or_after_its_commit_is_finished_by_the_next() {
    for point in [faults::Point::SealCommit, faults::Point::SealCommitted] {
        let folder = tempfile::tempdir().unwrap();
        let history = history(folder.path());
        let plan = work_plan(1, Mode::Incremental, 1).agree(&history).await.unwrap();
        put_task(&history, 1, 0, &[event("u", 1, 1)]).await;
        let armed = faults::arm(point, 1, faults::Action::Error);
        seal(&history, &plan).await.unwrap_err();
        drop(armed);
        seal(&history, &plan).await.unwrap();
        assert_eq!(history.snapshot().await.unwrap().map(|s| (s.version, s.files.len())), Some((1, 1)));
    }
}

#[tokio::test]
async fn an_abandoned_backfill_leaves_the_cut_and_makes_room_for_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    fold(&history, 1, Mode::Incremental, &[vec![event("u", 1, 1)]]).await;
    let plan = work_plan(2, Mode::Incremental, 1).agree(&history).await.unwrap();
    abandon(&history, 2, 0).await.unwrap();
    assert_eq!(seal(&history, &WorkPlan { tasks: Vec::new(), ..plan }).await.unwrap().added, 0);
    let snapshot = history.snapshot().await.unwrap().expect("a table");
    assert_eq!((snapshot.backfill, snapshot.cut), (2, 1));
    assert_eq!(in_effect(&history, &snapshot).await.unwrap().map(|p| p.backfill), Some(1));
    fold(&history, 3, Mode::Incremental, &[vec![event("u", 2, 2)]]).await;
    assert_eq!(history.snapshot().await.unwrap().map(|s| (s.backfill, s.cut, s.files.len())), Some((3, 3, 2)));
}

#[tokio::test]
async fn of_two_plans_of_one_number_all_see_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    let first = work_plan(1, Mode::Incremental, 1).agree(&history).await.unwrap();
    let second = work_plan(1, Mode::Restate(Buckets::All), 3).agree(&history).await.unwrap();
    assert_eq!(second, first);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn however_rows_are_split_into_backfills_and_tasks_the_same_rows_are_in_history(
        picks in prop::collection::vec((0..5u8, 0..3 * DAY, 0..4i64), 1..60),
        split in prop::collection::vec((1..7u64, 0..3usize), 60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let events: Vec<Event> = picks.iter().map(|(u, t, i)| event(&format!("u{u}"), *t, *i)).collect();
        let folded = runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let history = history(folder.path());
            for number in 1..7u64 {
                let mut tasks: Vec<Vec<Event>> = vec![Vec::new(); 3];
                for (event, (backfill, task)) in events.iter().zip(&split) {
                    if *backfill == number {
                        tasks[*task].push(event.clone());
                    }
                }
                fold(&history, number, Mode::Incremental, &tasks).await;
            }
            everything(&history).await.1
        });
        let expected: BTreeSet<Event> =
            events.iter().zip(&split).map(|(e, (number, _))| Event { backfill: i32::try_from(*number).unwrap(), ..e.clone() }).collect();
        // Copies of one backfill are equal and may stay until a compaction.
        let kept = crate::rows::Rows::new(folded).unwrap();
        let distinct: Vec<usize> = (0..kept.len())
            .filter(|r| *r == 0 || crate::run::order::compare(&kept, r - 1, &kept, *r).is_ne())
            .collect();
        let index = arrow::array::UInt32Array::from_iter_values(distinct.iter().map(|r| u32::try_from(*r).unwrap()));
        let distinct = arrow::compute::take_record_batch(kept.batch(), &index).unwrap();
        prop_assert_eq!(distinct, sort(rows(&expected.into_iter().collect::<Vec<_>>())).unwrap());
    }
}
