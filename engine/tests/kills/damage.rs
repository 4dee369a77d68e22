//! Files of a node that were cut short, overwritten or removed: each is named with what to do about it, and nothing is read past it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tress_engine::entity::Entity;
use tress_engine::node::{Change, Fold, Node};
use tress_engine::read::Query;

use crate::child::{feature, open, read, records, signal};
use crate::model;
use crate::scenario::{NOW, TOPIC, USERS, desired, name, write_titles};
use crate::steps::FEATURES;

const BATCHES: u64 = 4;
const LENGTH: u32 = 10;

/// What is done to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// Its second half is gone.
    Cut,
    /// Bytes in its middle are others.
    Overwritten,
    Removed,
}

/// What is done to the node then.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// Opened, and read as it is.
    Read,
    /// Opened, and the definitions applied.
    Open,
    /// Read as it was known earlier: history answers.
    ReadHistory,
    /// All of history made anew from the raw log.
    Restate,
    /// The next backfill.
    Fold,
}

/// A folder with everything that a node keeps: segments, snapshots, history, base.
async fn whole() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write_titles(&folder.path().join("tables"));
    let node = open(folder.path()).await.expect("opened");
    node.apply(desired(LENGTH)).await.expect("applied");
    node.append(TOPIC, records(0)).await.expect("appended");
    node.backfill(&signal(), Fold::New, &|_| {}).await.expect("folded");
    for batch in 1..BATCHES {
        node.append(TOPIC, records(batch)).await.expect("appended");
        node.settle().await.expect("settled");
        for signal in node.signals().await {
            signal.keep(node.platform().own_log().as_ref()).await.expect("kept");
        }
    }
    node.shutdown().await.expect("stopped");
    folder
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("its kind").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// Every file below `folder` whose path there has all of `parts` in this order; sorted by path.
fn find(folder: &Path, parts: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else {
                let text = path.strip_prefix(folder).expect("below it").display().to_string();
                let mut rest = Some(text.as_str());
                for (index, part) in parts.split('*').enumerate() {
                    rest = match index {
                        0 => rest.and_then(|rest| rest.strip_prefix(part)),
                        _ => rest.and_then(|rest| rest.split_once(part)).map(|(_, after)| after),
                    };
                }
                if rest.is_some_and(str::is_empty) {
                    found.push(path);
                }
            }
        }
    }
    found.sort();
    found
}

fn damage(path: &Path, how: Damage) {
    let bytes = std::fs::read(path).expect("a file");
    assert!(bytes.len() > 8, "{} is too small to be damaged", path.display());
    match how {
        Damage::Cut => std::fs::write(path, &bytes[..bytes.len() / 2]).expect("written"),
        Damage::Overwritten => {
            let mut bytes = bytes;
            let middle = bytes.len() / 2;
            for byte in &mut bytes[middle - 4..middle + 4] {
                *byte ^= 0x5a;
            }
            std::fs::write(path, bytes).expect("written");
        }
        Damage::Removed => std::fs::remove_file(path).expect("removed"),
    }
}

/// What a node says that is opened and used: its error, if there is one.
async fn complaint(folder: &Path, then: Then) -> Option<String> {
    let node = match open(folder).await {
        Ok(node) => node,
        Err(e) => return Some(e.to_string()),
    };
    let complaint = complaint_of(&node, then).await;
    node.shutdown().await.expect("stopped");
    complaint
}

async fn complaint_of(node: &Arc<Node>, then: Then) -> Option<String> {
    if matches!(then, Then::Read) {
        for of in FEATURES {
            if let Err(e) = node.feature(&feature(of)).await {
                return Some(e.to_string());
            }
        }
    }
    match node.apply(desired(LENGTH)).await {
        Err(e) => return Some(e.to_string()),
        Ok(changes) => {
            let failed = changes.into_iter().find_map(|c| if let Change::Failed { reason, .. } = c { Some(reason) } else { None });
            if failed.is_some() {
                return failed;
            }
        }
    }
    match then {
        Then::Open | Then::Read => {}
        Then::ReadHistory => {
            let query = |user| Query { known_by: Some(NOW), ..Query::new(Entity::String(name(user)), NOW) };
            for user in 0..USERS as u64 {
                if let Err(e) = node.read(&feature("all"), &query(user)).await {
                    return Some(e.to_string());
                }
            }
        }
        Then::Restate | Then::Fold => {
            let fold = if matches!(then, Then::Fold) { Fold::New } else { Fold::Restate(Vec::new()) };
            if let Err(e) = node.backfill(&signal(), fold, &|_| {}).await {
                return Some(e.to_string());
            }
        }
    }
    // Without a complaint, nothing may be missing.
    node.settle().await.expect("settled");
    same_as_the_events_say(node).await;
    None
}

async fn same_as_the_events_say(node: &Node) {
    for of in FEATURES {
        for user in 0..USERS as u64 {
            let rows = model::sequence(of, user, 0..BATCHES, LENGTH as usize);
            assert_eq!(read(node, of, user).await.expect("live").0, rows, "{of} of user {user}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_named_with_what_to_do_about_it() {
    use Damage::{Cut, Overwritten, Removed};
    let whole = whole().await;
    // (file, damage, what is done then, what the complaint names and advises)
    let cases = [
        ("log/log.json", Cut, Then::Open, ["log.json", "restore"]),
        ("log/topics/ratings/topic.json", Cut, Then::Open, ["topic.json", "restore"]),
        ("log/topics/ratings/0/*.segment", Cut, Then::Open, [".segment", "estore"]),
        ("log/topics/ratings/1/*.segment", Overwritten, Then::Open, [".segment", "estore"]),
        ("log/topics/ratings/1/*.segment", Removed, Then::Open, ["log/topics/ratings/1", "Restore"]),
        ("log/topics/ratings/2/acknowledged", Removed, Then::Open, ["ratings/2/acknowledged", "restore"]),
        ("log/groups/*/ratings.json", Cut, Then::Open, ["ratings.json", "restore"]),
        ("node.json", Cut, Then::Open, ["node.json", "remove it"]),
        ("epochs.json", Cut, Then::Open, ["epochs.json", "remove the file"]),
        ("lake/_tress/revisions/*.json", Cut, Then::Open, ["revisions/movies.rating.", "restore"]),
        ("lake/_tress/plans/*.json", Cut, Then::Read, ["_tress/plans/", "apply its definition again"]),
        ("lake/signals/*/base/manifests/*.json", Cut, Then::Open, ["base/manifests/0000000001.json", "restore"]),
        ("lake/signals/*/tail/*.json", Cut, Then::Open, ["tail/0000000003.json", "restore"]),
        ("lake/signals/*/tail/*.arrow", Cut, Then::Open, ["tail/0000000003-", "restore"]),
        ("lake/signals/*/tail/*.arrow", Overwritten, Then::Open, ["tail/0000000003-", "restore"]),
        ("lake/signals/*/tail/*.arrow", Removed, Then::Open, ["tail/0000000003-", "restore"]),
        ("lake/signals/*/history/_delta_log/*.json", Cut, Then::Open, ["history", "restore"]),
        ("lake/signals/*/history/bucket=*.parquet", Cut, Then::ReadHistory, ["bucket=2024-01-04/", "restate"]),
        ("lake/signals/*/history/bucket=*.parquet", Removed, Then::ReadHistory, ["bucket=2024-01-04/", "restate"]),
        ("lake/signals/*/backfills/*/plan.json", Cut, Then::Fold, ["0000000001/plan.json", "restore"]),
        ("lake/signals/*/backfills/*/plan.json", Removed, Then::Fold, ["0000000001/plan.json", "restore"]),
        ("lake/raw/*.parquet", Cut, Then::Restate, [".parquet", "restore"]),
        ("lake/raw/*.parquet", Removed, Then::Restate, [".parquet", "restore"]),
    ];
    let mut wrong = Vec::new();
    for (file, how, then, words) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        copy(whole.path(), folder.path());
        let found = find(&folder.path().join("state"), file);
        let Some(path) = found.last() else {
            wrong.push(format!("{file}: there is no such file"));
            continue;
        };
        damage(path, how);
        let said = complaint(folder.path(), then).await;
        match said {
            None => wrong.push(format!("{file}, {how:?}: nothing was said")),
            Some(said) if words.iter().any(|word| !said.contains(word)) => {
                wrong.push(format!("{file}, {how:?}: not all of {words:?}: {said}"));
            }
            Some(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_only_a_copy_is_made_again_from_the_rest() {
    let whole = whole().await;
    for (files, how) in [
        ("node.json", Damage::Removed),
        ("epochs.json", Damage::Removed),
        ("base/*.arrow", Damage::Removed),
        ("base/*.arrow", Damage::Overwritten),
        ("base/*.arrow", Damage::Cut),
        ("lake/_tress/plans/*.json", Damage::Removed),
        ("lake/_tress/plans/*.json", Damage::Cut),
        // The changelog still holds what the snapshots held.
        ("lake/signals/*/tail/*.json", Damage::Removed),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        copy(whole.path(), folder.path());
        let found = find(&folder.path().join("state"), files);
        assert!(!found.is_empty(), "{files}: there is no such file");
        for path in found {
            damage(&path, how);
        }
        assert_eq!(complaint(folder.path(), Then::Fold).await, None, "{files}, {how:?}");
        assert_eq!(complaint(folder.path(), Then::Read).await, None, "{files}, {how:?}: after it was mended");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restatement_mends_a_history_whose_file_is_gone() {
    let folder = whole().await;
    let files = find(&folder.path().join("state"), "lake/signals/*/history/bucket=*.parquet");
    damage(files.first().expect("a file of history"), Damage::Removed);
    assert!(complaint(folder.path(), Then::ReadHistory).await.is_some());
    assert_eq!(complaint(folder.path(), Then::Restate).await, None);
    assert_eq!(complaint(folder.path(), Then::ReadHistory).await, None);
}
