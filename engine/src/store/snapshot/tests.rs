use std::path::Path as Folder;

use super::*;
use crate::faults::{Action, Point};
use crate::history::fixture::{Event, event, history, rows};
use crate::tail::Settings;

fn store(folder: &Folder, memory: usize) -> SignalStore {
    SignalStore::new(history(folder), &Settings { memory, spill_to: Some(folder.join("spill")) })
}

fn append(store: &SignalStore, shard: usize, offset: i64) {
    let event = Event { at: (0, offset), ..event("u", offset, offset) };
    store.shards()[shard].append(rows(&[event]), offset + 1).unwrap();
}

fn files(folder: &Folder) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder.join(layout::tail_snapshots("s1").as_ref())).unwrap();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

/// The files that a snapshot is made of: what it names, and itself.
fn named(folder: &Folder, number: u64) -> BTreeSet<String> {
    let manifest = folder.join(layout::tail_snapshots("s1").as_ref()).join(manifest_name(number));
    let snapshot: Snapshot = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
    snapshot.shards.into_iter().flat_map(|shard| shard.runs).chain([manifest_name(number)]).collect()
}

/// Which shard and snapshot each run is of.
fn runs(files: &BTreeSet<String>) -> Vec<&str> {
    files.iter().filter(|name| name.ends_with(".arrow")).map(|name| &name[..15]).collect()
}

fn state(store: &SignalStore) -> Vec<(usize, i64)> {
    store.shards().iter().map(|shard| (shard.read_set().tail_rows(), shard.position())).collect()
}

fn number(taken: Taken) -> u64 {
    match taken {
        Taken::Kept { number, .. } => number,
        Taken::Lost => panic!("another process was first"),
    }
}

#[tokio::test]
async fn a_snapshot_names_runs_that_are_kept_already_and_only_then_older_ones_go() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path(), usize::MAX);
    append(&first, 0, 1);
    append(&first, 2, 2);
    take(&first).await.unwrap();
    let once = files(folder.path());
    assert_eq!(runs(&once), ["0000000001-0000", "0000000001-0002"]);
    assert_eq!(once, named(folder.path(), 1));
    append(&first, 2, 3);
    take(&first).await.unwrap();
    assert_eq!(runs(&files(folder.path())), ["0000000001-0000", "0000000001-0002", "0000000002-0002"], "only the new run is written");
    assert_eq!(files(folder.path()), named(folder.path(), 2));

    // A new process names what it has loaded, and writes nothing.
    let second = store(folder.path(), usize::MAX);
    restore(&second).await.unwrap();
    assert_eq!(state(&second), state(&first));
    take(&second).await.unwrap();
    assert_eq!(runs(&files(folder.path())), ["0000000001-0000", "0000000001-0002", "0000000002-0002"]);
    // What was merged is not named any more.
    for offset in 4..20 {
        append(&second, 2, offset);
        second.tidy().unwrap();
    }
    take(&second).await.unwrap();
    let left = files(folder.path());
    assert!(runs(&left).contains(&"0000000001-0000") && !runs(&left).contains(&"0000000001-0002"), "{left:?}");
    assert_eq!(left, named(folder.path(), 4));
    let third = store(folder.path(), usize::MAX);
    restore(&third).await.unwrap();
    assert_eq!(state(&third), state(&second));
}

#[tokio::test]
async fn a_tail_is_mapped_where_the_snapshot_has_it_and_not_loaded_into_memory() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path(), 0);
    for offset in 0..8 {
        append(&first, 1, offset);
    }
    take(&first).await.unwrap();
    let second = store(folder.path(), 0);
    let empty = second.tail_size().1;
    restore(&second).await.unwrap();
    assert_eq!(second.tail_size(), (8, empty));
    assert!(!folder.path().join("spill").exists(), "nothing has to be spilled again");
    // Base takes over: the run goes, and its file, which is the snapshot's, stays.
    drop(second);
    assert_eq!(files(folder.path()).len(), 2);
}

/// Two processes that have read the same changelog in other portions: their runs differ, their rows do not.
fn followers(folder: &Folder) -> (SignalStore, SignalStore) {
    let (one, other) = (store(folder, usize::MAX), store(folder, usize::MAX));
    for offset in 0..6 {
        append(&one, 1, offset);
        append(&other, 1, offset);
        if offset % 2 == 0 {
            other.shards()[1].frozen().unwrap();
        }
    }
    (one, other)
}

#[tokio::test]
async fn of_two_who_take_the_same_snapshot_one_loses_and_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = followers(folder.path());
    // Whoever is killed before its manifest leaves its runs.
    let killed = faults::arm(Point::TailSnapshot, 1, Action::Error);
    take(&one).await.unwrap_err();
    drop(killed);
    assert_eq!(runs(&files(folder.path())), ["0000000001-0001"]);
    // Another takes that number while the first tries again: the last step of either may come first.
    let (a, b) = tokio::join!(take(&one), take(&other));
    let won = [a.unwrap(), b.unwrap()].iter().filter(|taken| **taken != Taken::Lost).count();
    assert!(won >= 1, "somebody always wins");
    let newest = newest(&one).await.unwrap().unwrap();
    assert!(named(folder.path(), newest).is_subset(&files(folder.path())), "all that the newest snapshot names is there");
    // The next one clears what the loser left.
    let next = number(take(&other).await.unwrap());
    assert_eq!(files(folder.path()), named(folder.path(), next));
    let restored = store(folder.path(), usize::MAX);
    restore(&restored).await.unwrap();
    assert_eq!(state(&restored), state(&other));
}

#[tokio::test]
async fn whoever_was_first_is_not_undone_by_a_process_that_was_slow() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = followers(folder.path());
    assert_eq!(number(take(&one).await.unwrap()), 1);
    // The other's run has another name in no snapshot; what the first kept goes with it.
    assert_eq!(number(take(&other).await.unwrap()), 2);
    assert_eq!(files(folder.path()), named(folder.path(), 2));
    // The first names its run by snapshot 1, whose file is gone: it is written again.
    assert_eq!(number(take(&one).await.unwrap()), 3);
    assert_eq!(files(folder.path()), named(folder.path(), 3));
    assert_eq!(runs(&files(folder.path())), ["0000000003-0001"]);
    let restored = store(folder.path(), usize::MAX);
    restore(&restored).await.unwrap();
    assert_eq!(state(&restored), state(&one));
}

#[tokio::test]
async fn a_process_that_is_behind_does_not_take_the_place_of_one_that_is_further() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = followers(folder.path());
    append(&one, 2, 7);
    assert_eq!(number(take(&one).await.unwrap()), 1);
    assert_eq!(take(&other).await.unwrap(), Taken::Lost);
    append(&other, 2, 7);
    assert_eq!(number(take(&other).await.unwrap()), 2);
}

#[tokio::test]
async fn snapshots_taken_in_turn_and_killed_at_any_step_always_leave_one_that_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (store(folder.path(), usize::MAX), store(folder.path(), usize::MAX));
    for round in 0..24 {
        for offset in 3 * round..3 * round + 3 {
            append(&one, 1, offset);
            append(&other, 1, offset);
        }
        other.tidy().unwrap();
        let killed = (round % 3 == 2).then(|| faults::arm(Point::TailSnapshot, 1, Action::Error));
        let (a, b) = tokio::join!(take(&one), take(&other));
        assert_eq!(u32::from(a.is_err()) + u32::from(b.is_err()), u32::from(killed.is_some()), "one is killed in every third round");
        drop(killed);
        let newest = newest(&one).await.unwrap().unwrap();
        assert!(named(folder.path(), newest).is_subset(&files(folder.path())), "round {round}");
        let restored = store(folder.path(), usize::MAX);
        restore(&restored).await.unwrap();
        let kept = state(&restored)[1];
        assert!(kept.0 as i64 == kept.1 && kept.1 == 3 * round + 3, "round {round}: {kept:?}");
    }
    let last = number(take(&other).await.unwrap());
    assert_eq!(files(folder.path()), named(folder.path(), last), "nothing is left of who lost or was killed");
}

#[tokio::test]
async fn a_snapshot_that_is_replaced_while_it_is_read_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = followers(folder.path());
    take(&one).await.unwrap();
    // As a reader finds it that has listed snapshot 1, after the next one has cleared it away.
    let lost = folder.path().join(layout::tail_snapshots("s1").as_ref()).join(runs_of(folder.path(), 1));
    std::fs::remove_file(&lost).unwrap();
    assert_eq!(restore(&store(folder.path(), 0)).await.unwrap_err().kind(), ErrorKind::Corrupt, "nobody has replaced it");
    take(&other).await.unwrap();
    restore(&store(folder.path(), 0)).await.unwrap();
    let error = load(&store(folder.path(), 0), &layout::tail_snapshots("s1"), 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

fn runs_of(folder: &Folder, number: u64) -> String {
    named(folder, number).into_iter().find(|name| name.ends_with(".arrow")).unwrap()
}
