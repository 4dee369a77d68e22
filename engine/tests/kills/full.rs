//! A disk without room, a real one: the node takes nothing more in, goes on serving, and goes on when there is room again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use tress_engine::ErrorKind;
use tress_engine::log::NewRecord;
use tress_engine::node::{Fold, Node};

use crate::child::{open, read, records, signal};
use crate::model;
use crate::scenario::{TOPIC, USERS, desired, write_titles};
use crate::steps::FEATURES;

/// Set for the process on the small disk: where it is mounted.
const DISK: &str = "TRESS_TEST_FULL";
const LENGTH: u32 = 10;

/// A file system of 24 MB, of the process alone: gone with it. Root may mount; others may in a namespace of their own.
#[test]
fn on_a_full_disk_input_stops_reads_go_on_and_room_lets_it_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = std::env::current_exe().expect("this program");
    let script = r#"mount -t tmpfs -o size=24m tmpfs "$0" || { echo NOT-MOUNTED; exit 9; }; exec "$@""#;
    let run = |namespaces: &str| {
        Command::new("unshare")
            .args([namespaces, "sh", "-c", script])
            .arg(folder.path())
            .arg(&program)
            .args(["--ignored", "--exact", "full::on_a_small_disk", "--nocapture"])
            .env(DISK, folder.path())
            .output()
    };
    let said =
        |output: &std::process::Output| format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let mut last = String::new();
    for namespaces in ["-m", "-Urm"] {
        let output = match run(namespaces) {
            Ok(output) => output,
            Err(e) => panic!("this test needs a small disk, and `unshare` (util-linux) to mount one cannot be run: {e}"),
        };
        last = said(&output);
        if !last.contains("unshare failed") && !last.contains("NOT-MOUNTED") {
            assert!(output.status.success() && last.contains("@end"), "{last}");
            return;
        }
    }
    panic!("this test needs a small disk, and none could be mounted; run it as root, or allow user namespaces:\n{last}");
}

/// Takes all the room that is left.
fn fill(ballast: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(ballast).expect("a file");
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

async fn same_as_the_events_say(node: &Node, batches: u64) {
    for of in FEATURES {
        for user in 0..USERS as u64 {
            let rows = model::sequence(of, user, 0..batches, LENGTH as usize);
            assert_eq!(read(node, of, user).await.expect("live").0, rows, "{of} of user {user}");
        }
    }
}

/// Appends records that are nobody's until the disk is full.
async fn until_full(node: &Node) -> tress_engine::Error {
    let nobodys = || NewRecord { payload: Bytes::from(vec![b' '; 64 << 10]), ..NewRecord::default() };
    for _ in 0..1000 {
        if let Err(e) = node.append("elsewhere", vec![nobodys()]).await {
            return e;
        }
    }
    panic!("24 MB took 64 MB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process on a small disk"]
async fn on_a_small_disk() {
    let disk = PathBuf::from(std::env::var_os(DISK).expect("only run by the test above"));
    write_titles(&disk.join("tables"));
    let node = open(&disk).await.expect("opened");
    node.apply(desired(LENGTH)).await.expect("applied");
    node.append(TOPIC, records(0)).await.expect("appended");
    node.backfill(&signal(), Fold::New, &|_| {}).await.expect("folded");
    node.append(TOPIC, records(1)).await.expect("appended");
    node.settle().await.expect("settled");
    same_as_the_events_say(&node, 2).await;

    // Full: every kind of input says so.
    let error = until_full(&node).await;
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert!(error.to_string().contains("make room"), "{error}");
    let ballast = disk.join("ballast");
    fill(&ballast);
    // So often that it does not fit into what is left of the last page of a file.
    let much = std::iter::repeat_n(records(2), 100).flatten().collect();
    let error = node.append(TOPIC, much).await.expect_err("there is no room");
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    let error = node.backfill(&signal(), Fold::Restate(Vec::new()), &|_| {}).await.expect_err("there is no room");
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    let error = node.apply(desired(LENGTH + 1)).await.expect_err("there is no room");
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    // Reads go on, and nothing that was there is gone.
    tokio::time::sleep(Duration::from_millis(600)).await;
    same_as_the_events_say(&node, 2).await;
    for signal in node.signals().await {
        assert_eq!(signal.failure(), None, "a full disk is waited out");
    }

    // Room: what was refused is taken, and everything goes on by itself.
    std::fs::remove_file(&ballast).expect("removed");
    node.platform().own_log().delete("elsewhere").await.expect("deleted");
    node.append(TOPIC, records(2)).await.expect("appended");
    node.settle().await.expect("settled");
    same_as_the_events_say(&node, 3).await;
    node.backfill(&signal(), Fold::New, &|_| {}).await.expect("folded");
    same_as_the_events_say(&node, 3).await;

    // Stopped while it is full, it has everything when it is opened again.
    node.append(TOPIC, records(3)).await.expect("appended");
    node.settle().await.expect("settled");
    fill(&ballast);
    node.shutdown().await.expect("stopped");
    drop(node);
    std::fs::remove_file(&ballast).expect("removed");
    let node = open(&disk).await.expect("opened again");
    same_as_the_events_say(&node, 4).await;
    node.shutdown().await.expect("stopped");
    println!("\n@end");
}
