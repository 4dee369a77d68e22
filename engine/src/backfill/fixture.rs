//! Backfills of rows that are made by hand, for tests: a plan, one task's files, a real seal.

use std::collections::BTreeMap;

use object_store::ObjectStore;

use super::task::FORMAT as TASK_FORMAT;
use super::{Cut, Mode, Sealed, TaskManifest, WorkPlan, seal};
use crate::history::agreement::put_if_absent;
use crate::history::fixture::{Event, rows};
use crate::history::{History, NewFile, bucket, encode};
use crate::lake::with_the_next_agreement;
use crate::layout;
use crate::run::sort;

/// Plans and seals backfill `number` of `tasks`, each a list of events.
pub async fn fold(history: &History, number: u64, mode: Mode, tasks: &[Vec<Event>]) -> Sealed {
    let plan = work_plan(number, mode, tasks.len());
    let plan = plan.agree(history).await.unwrap();
    for (task, events) in tasks.iter().enumerate() {
        put_task(history, number, task, events).await;
    }
    seal(history, &plan).await.unwrap()
}

pub fn work_plan(number: u64, mode: Mode, tasks: usize) -> WorkPlan {
    WorkPlan {
        format: super::plan::FORMAT,
        backfill: number,
        uid: "s1".into(),
        plan: String::new(),
        // Later than any event of these tests: what claims to be of the future is another matter.
        planned_at: 1_000_000_000_000_000 + i64::try_from(number).unwrap() * 1_000_000,
        mode,
        raw_version: None,
        cut: Cut::Time { through: i64::try_from(number).unwrap() },
        tables: Vec::new(),
        drop_before: None,
        consumed: Vec::new(),
        tasks: vec![Vec::new(); tasks],
    }
}

pub async fn put_task(history: &History, number: u64, task: usize, events: &[Event]) {
    let size = history.plan().bucket;
    let mut buckets: BTreeMap<i64, Vec<Event>> = BTreeMap::new();
    for event in events {
        let event = Event { backfill: i32::try_from(number).unwrap(), ..event.clone() };
        buckets.entry(bucket::start_of(event.time, size)).or_default().push(event);
    }
    let store = history.lake().table_store(&layout::history(history.uid()));
    let mut files = Vec::new();
    for (start, events) in buckets {
        let (bytes, stats) = encode(&sort(rows(&events)).unwrap()).unwrap().expect("rows");
        let name = bucket::name_of(start, size);
        let path = layout::history_file(&name, number, task);
        store.put_opts(&object_store::path::Path::from(path.clone()), bytes.into(), with_the_next_agreement()).await.unwrap();
        files.push(NewFile { path, bucket: name, stats });
    }
    let manifest = TaskManifest { format: TASK_FORMAT, backfill: number, task, files, counts: super::Counts::default() };
    put_if_absent(history.lake().store().as_ref(), &layout::task_manifest(history.uid(), number, task), &manifest).await.unwrap();
}
