//! `tress dev` as a process: fed, read, edited, killed, stopped.

mod tress;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use tress::{Dev, json, run, succeed};

const SIGNAL: &str = r#"
apiVersion: tress.dev/v1alpha1
kind: SignalDefinition
metadata: {name: view}
spec:
  definition:
    entity: {field: user}
    event:
      time: {field: ts, unit: Seconds}
      availableAt: {recordTimestamp: {}}
      id: [item]
      fields:
        - {name: user, type: string}
        - {name: item, type: int64}
        - {name: seconds, type: float64, nullable: true}
        - {name: ts, type: int64}
    source:
      stream: {connection: main, topic: views, format: {json: {}}}
      archive: true
    executor:
      declarative:
        filter: "item >= 0"
"#;

const FEATURE: &str = r#"
apiVersion: tress.dev/v1alpha1
kind: SequenceFeature
metadata: {name: recent}
spec:
  definition:
    signals: [{name: view, columns: [item, seconds]}]
    length: 100
"#;

fn folder() -> TempDir {
    let dir = TempDir::new().expect("a temporary folder");
    fs::create_dir(dir.path().join("defs")).expect("a folder");
    fs::write(dir.path().join("defs/view.yaml"), SIGNAL).expect("written");
    fs::write(dir.path().join("defs/recent.yaml"), FEATURE).expect("written");
    dir
}

fn event(user: &str, item: usize) -> String {
    format!("{{\"user\": \"{user}\", \"item\": {item}, \"seconds\": 1.5, \"ts\": {}}}\n", 1_700_000_000 + item)
}

fn append(file: &Path, text: &str) {
    OpenOptions::new().create(true).append(true).open(file).and_then(|mut f| f.write_all(text.as_bytes())).expect("appended");
}

/// The items of a user's sequence, oldest first.
fn items(dir: &Path, user: &str) -> Vec<u64> {
    let reply = json(dir, &["get", "recent", user, "--dir", "defs", "--order", "oldest", "-o", "json"]);
    reply["rows"].as_array().expect("rows").iter().map(|row| row["item"].as_u64().expect("an item")).collect()
}

fn records(dir: &Path) -> u64 {
    let status = json(dir, &["status", "--dir", "defs", "-o", "json"]);
    status["signals"][0]["records"].as_u64().expect("a number")
}

#[test]
fn a_growing_file_is_followed_and_an_edit_is_swapped_in() {
    let dir = folder();
    let dir = dir.path();
    let input = dir.join("views.jsonl");
    append(&input, &(0..5).map(|i| event("u1", i)).collect::<String>());
    let dev = Dev::start(dir, &["--input", "views=views.jsonl", "--watch-entity", "u1"]);
    dev.until("five events are read", || (items(dir, "u1").len() == 5).then_some(()));
    // Half a line is no record yet.
    let (half, rest) = (&event("u1", 5)[..20], &event("u1", 5)[20..]);
    append(&input, half);
    append(&input, rest);
    append(&input, &event("u2", 6));
    dev.until("the file's growth is read", || (items(dir, "u1") == [0, 1, 2, 3, 4, 5] && items(dir, "u2") == [6]).then_some(()));
    dev.until("the watched sequence is printed", || dev.said().contains("default/recent of u1: 6 rows").then_some(()));

    let before = json(dir, &["get", "recent", "u1", "--dir", "defs", "-o", "json"])["profile"]["revision"].clone();
    fs::write(dir.join("defs/view.yaml"), SIGNAL.replace("item >= 0", "itm >= 3")).expect("written");
    dev.until("the mistake is told", || dev.said().contains("definition.executor.declarative.filter").then_some(()));
    assert_eq!(items(dir, "u1"), [0, 1, 2, 3, 4, 5], "a mistake changes nothing");
    fs::write(dir.join("defs/view.yaml"), SIGNAL.replace("item >= 0", "item >= 3")).expect("written");
    dev.until("the edit is swapped in", || dev.said().contains("Swapped default/recent from ").then_some(()));
    assert_eq!(items(dir, "u1"), [3, 4, 5], "history is executed anew by the new definition");
    let after = json(dir, &["get", "recent", "u1", "--dir", "defs", "-o", "json"])["profile"]["revision"].clone();
    assert_ne!(before, after);
    let planned = succeed(dir, &["plan", "defs"]);
    assert!(planned.contains("0 new, 0 changed, 2 unchanged, 0 removed"), "{planned}");
    assert_eq!(dev.stop(), Some(0));
    assert!(!dir.join("defs/.tress/dev.json").exists());
    assert_eq!(items(dir, "u1"), [3, 4, 5], "what is stored is read without a server");
}

#[test]
fn a_kill_loses_nothing_and_a_restart_appends_nothing_twice() {
    let dir = folder();
    let dir = dir.path();
    let total = 30_000;
    append(&dir.join("views.jsonl"), &(0..total).map(|i| event(&format!("u{}", i % 300), i)).collect::<String>());
    let mut middle = 0;
    for share in [0, 3] {
        let dev = Dev::start(dir, &["--input", "views=views.jsonl"]);
        let at = dev.until("some are in", || Some(records(dir)).filter(|n| *n > (total * share / 10) as u64));
        dev.kill();
        middle += usize::from(at < total as u64);
    }
    assert!(middle > 0, "no kill came in the middle");
    let ended = run(dir, &["dev", "defs", "--input", "views=views.jsonl", "--once", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(records(dir), total as u64, "none lost, none twice");
    for user in [0, 17, 299] {
        let expected: Vec<u64> = (0..total as u64).filter(|i| i % 300 == user).collect();
        assert_eq!(items(dir, &format!("u{user}")), expected);
    }
    let again = run(dir, &["dev", "defs", "--input", "views=views.jsonl", "--once", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]);
    assert!(again.err.contains("all 30000 records were appended before"), "{}", again.err);
    assert_eq!(records(dir), total as u64);
}

#[test]
fn csv_is_typed_by_the_signal_and_what_cannot_be_used_is_listed_and_replayed() {
    let dir = folder();
    let dir = dir.path();
    append(&dir.join("views.csv"), "user,item,seconds,ts\nu1,1,2.5,1700000001\nu1,two,1,1700000002\nu1,3,,1700000003\n,4,1,1700000004\n");
    let dev = Dev::start(dir, &["--input", "views=views.csv"]);
    dev.until("all are read", || (records(dir) == 4 && items(dir, "u1") == [1, 3]).then_some(()));
    let letters = dev.until("two letters", || {
        let letters = json(dir, &["deadletters", "list", "--dir", "defs", "-o", "json"]);
        (letters.as_array().is_some_and(|l| l.len() == 2)).then_some(letters)
    });
    let reasons: Vec<(&Value, &Value)> = letters.as_array().expect("letters").iter().map(|l| (&l["reason"], &l["field"])).collect();
    assert_eq!(reasons, [(&"WrongType".into(), &"item".into()), (&"NoEntity".into(), &"user".into())]);
    assert!(letters[0].get("payload").is_none(), "payloads hold users' values");
    let table = succeed(dir, &["deadletters", "list", "--dir", "defs"]);
    assert!(table.contains("WrongType"), "{table}");
    let with_payload = json(dir, &["deadletters", "list", "--dir", "defs", "--payload", "--limit", "1", "-o", "json"]);
    assert_eq!(with_payload[0]["payload"], r#"{"user":"u1","item":"two","seconds":1,"ts":1700000002}"#);
    assert_eq!(succeed(dir, &["deadletters", "replay", "--dir", "defs", "--to", "0"]), "1 appended to their topics again\n");
    assert_eq!(records(dir), 5);
}

#[test]
fn backfill_and_dataset_go_through_the_running_server() {
    let dir = folder();
    let dir = dir.path();
    // What retention may have dropped is told, however long it is kept.
    fs::write(dir.join("defs/view.yaml"), SIGNAL.replace("    executor:", "    retention: 3650d\n    executor:")).expect("written");
    append(&dir.join("views.jsonl"), &(0..50).map(|i| event(&format!("u{}", i % 5), i)).collect::<String>());
    let dev = Dev::start(dir, &["--input", "views=views.jsonl"]);
    dev.until("all are read", || (items(dir, "u0").len() == 10).then_some(()));
    let before = items(dir, "u0");
    let said = succeed(dir, &["backfill", "view", "--dir", "defs"]);
    assert!(said.starts_with("backfill 1 of default/view: 50 raw events, 50 rows, 0 dead letters"), "{said}");
    assert_eq!(items(dir, "u0"), before);
    let restated = succeed(dir, &["backfill", "view", "--restate", "--dir", "defs"]);
    assert!(restated.starts_with("backfill 2 of default/view: 50 raw events"), "{restated}");
    assert_eq!(items(dir, "u0"), before);

    // Records became known when they were appended: long after the label's time, unless it is in the future.
    fs::write(dir.join("labels.csv"), "user,at\nu0,4102444800\nu1,1700000020\n").expect("written");
    let labels = ["dataset", "--feature", "recent", "--labels", "labels.csv", "--entity-column", "user", "--time-column", "at"];
    let more = ["--time-unit", "seconds", "--out", "out", "--dir", "defs", "-o", "json"];
    let written = json(dir, &[&labels[..], &more[..]].concat());
    // One label lies in a time that has not come: history cannot cover it.
    assert_eq!(
        (&written["labels"], &written["manifest"]["incomplete"], &written["manifest"]["truncated"]),
        (&2.into(), &1.into(), &2.into())
    );
    let again = succeed(dir, &[&labels[..], &["--time-unit", "seconds", "--out", "out", "--dir", "defs"]].concat());
    assert!(again.contains("1 of them are later than what history covers"), "{again}");
    assert!(again.contains("2 of them reach into what retention has dropped"), "a run that goes on knows it, too: {again}");
    assert!(dir.join("out/manifest.json").is_file());

    let status = succeed(dir, &["status", "--dir", "defs"]);
    assert!(status.contains("history  50 rows"), "{status}");
    let unknown = run(dir, &["backfill", "vew", "--dir", "defs"]);
    assert!(unknown.err.contains("signal \"vew\" does not run here; these do: default/view"), "{}", unknown.err);
    let arrow = std::process::Command::new(env!("CARGO_BIN_EXE_tress"))
        .current_dir(dir)
        .args(["get", "recent", "u0", "--dir", "defs", "-o", "arrow"])
        .output()
        .expect("tress runs");
    let reader = arrow::ipc::reader::StreamReader::try_new(arrow.stdout.as_slice(), None).expect("an Arrow stream");
    assert_eq!(reader.map(|b| b.expect("a batch").num_rows()).sum::<usize>(), 10);
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn a_backfill_that_cannot_be_finished_is_given_up_and_the_next_goes_on_from_where_history_ends() {
    let dir = folder();
    let dir = dir.path();
    // What batch refuses, the stream takes: the definition tolerates no record that cannot be used.
    fs::write(dir.join("defs/view.yaml"), SIGNAL.replace("    executor:", "    onInvalid: Fail\n    executor:")).expect("written");
    append(&dir.join("views.jsonl"), &(0..10).map(|i| event("u1", i)).collect::<String>());
    let dev = Dev::start(dir, &["--input", "views=views.jsonl"]);
    dev.until("all are read", || (items(dir, "u1").len() == 10).then_some(()));
    let nothing = run(dir, &["backfill", "view", "--abandon", "--dir", "defs"]);
    assert_eq!(nothing.code, Some(1), "{}", nothing.out);
    assert!(nothing.err.contains("abandon the backfill of default/view: none is planned and unfinished"), "{}", nothing.err);

    append(&dir.join("views.jsonl"), "{\"item\": 7, \"ts\": 1700000007}\n");
    dev.until("the bad record is in the topic", || (records(dir) == 11).then_some(()));
    for _ in 0..2 {
        let refused = run(dir, &["backfill", "view", "--dir", "defs"]);
        assert_eq!(refused.code, Some(2), "{}", refused.out);
        assert!(refused.err.contains("let onInvalid be DeadLetter"), "{}", refused.err);
        assert!(
            refused.err.contains("backfill 1 is unfinished") && refused.err.contains("tress backfill default/view --abandon"),
            "{}",
            refused.err
        );
    }
    let both = run(dir, &["backfill", "view", "--abandon", "--restate", "--dir", "defs"]);
    assert_eq!(both.code, Some(2), "{}", both.out);
    let said = succeed(dir, &["backfill", "view", "--abandon", "--dir", "defs"]);
    assert!(said.starts_with("backfill 1 of default/view is given up: planned at "), "{said}");
    assert!(
        said.ends_with(
            "0 of 1 tasks done, nothing of it in history\nwhat it was to fold is folded by the next one: tress backfill default/view\n"
        ),
        "{said}"
    );
    assert_eq!(run(dir, &["backfill", "view", "--abandon", "--dir", "defs"]).code, Some(1), "once");
    let next = run(dir, &["backfill", "view", "--dir", "defs"]);
    assert!(next.err.contains("backfill 2 is unfinished"), "{}", next.err);
    drop(dev);
    let abandoned = json(dir, &["backfill", "view", "--abandon", "--dir", "defs", "-o", "json"]);
    assert_eq!((&abandoned["number"], &abandoned["restate"]), (&2.into(), &false.into()), "also without a server");
}

#[test]
fn the_admin_address_wants_the_token() {
    let dir = folder();
    let dir = dir.path();
    let dev = Dev::start(dir, &[]);
    let record: Value = serde_json::from_str(&fs::read_to_string(dir.join("defs/.tress/dev.json")).expect("a record")).expect("JSON");
    let url = format!("http://{}/v1/operations", record["admin"].as_str().expect("an address"));
    let refused = ureq::post(&url).header("authorization", "Bearer guess").send_json(serde_json::json!({"operation": "status"}));
    assert!(matches!(refused, Err(ureq::Error::StatusCode(401))), "{refused:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(dir.join("defs/.tress/admin-token")).expect("a token").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let second = run(dir, &["dev", "defs", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]);
    assert_eq!(second.code, Some(1), "{}", second.err);
    assert!(second.err.contains("another process runs in defs"), "{}", second.err);
    drop(dev);
}

#[test]
fn standard_input_is_taken_like_a_file() {
    let dir = folder();
    let dir = dir.path();
    append(&dir.join("views.jsonl"), &(0..20).map(|i| event("u1", i)).collect::<String>());
    let input = fs::File::open(dir.join("views.jsonl")).expect("a file");
    let ended = std::process::Command::new(env!("CARGO_BIN_EXE_tress"))
        .current_dir(dir)
        .args(["dev", "defs", "--input", "views=-", "--once", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"])
        .stdin(input)
        .output()
        .expect("tress runs");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(items(dir, "u1").len(), 20);
}

#[test]
fn a_file_that_was_cut_is_named_and_nothing_is_taken_for_torn() {
    for cut in ["segment", "acknowledged"] {
        let dir = folder();
        let dir = dir.path();
        append(&dir.join("views.jsonl"), &(0..200).map(|i| event("u1", i)).collect::<String>());
        let once = ["dev", "defs", "--input", "views=views.jsonl", "--once", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
        assert_eq!(run(dir, &once).code, Some(0));
        let mut damaged = 0;
        for partition in fs::read_dir(dir.join("defs/.tress/log/topics/views")).expect("partitions") {
            for file in fs::read_dir(partition.expect("a partition").path()).into_iter().flatten() {
                let path = file.expect("a file").path();
                let length = fs::metadata(&path).expect("a file").len();
                if path.display().to_string().ends_with(cut) && length > 1000 {
                    OpenOptions::new().write(true).open(&path).and_then(|f| f.set_len(length / 2)).expect("cut");
                    damaged += 1;
                }
            }
        }
        assert!(damaged > 0, "there was no file to damage");
        let ended = run(dir, &once);
        assert_eq!(ended.code, Some(1), "{cut}: {}{}", ended.out, ended.err);
        assert!(ended.err.contains("defs/.tress/log/topics/views/") && ended.err.contains(cut), "{}", ended.err);
        assert!(ended.err.to_lowercase().contains("restore it from a copy"), "{}", ended.err);
    }
}

/// A limit on the size of files stands for a disk without room: writes fail with the same kind of error, and it can be lifted.
#[cfg(target_os = "linux")]
#[test]
fn without_room_no_input_is_taken_until_there_is_some() {
    let dir = folder();
    let dir = dir.path();
    let total = 20_000;
    append(&dir.join("views.jsonl"), &(0..total).map(|i| event(&format!("u{}", i % 10), i)).collect::<String>());
    // Blocks of 1 KiB. The signal that comes with the limit is ignored, so that the write itself fails.
    let limited = "trap '' XFSZ; ulimit -S -f 300; exec \"$0\" \"$@\"";
    let log = fs::File::create(dir.join("limited.log")).expect("a log file");
    let mut child = std::process::Command::new("bash")
        .current_dir(dir)
        .args(["-c", limited, env!("CARGO_BIN_EXE_tress")])
        .args(["dev", "defs", "--input", "views=views.jsonl", "--once", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"])
        .stdout(std::process::Stdio::null())
        .stderr(log)
        .spawn()
        .expect("tress dev starts");
    let said = || fs::read_to_string(dir.join("limited.log")).expect("a log");
    let mut until = |what: &str| {
        let began = std::time::Instant::now();
        while !said().contains(what) {
            let ended = child.try_wait().expect("a process");
            assert!(ended.is_none() && began.elapsed().as_secs() < 120, "waited for {what:?}: {ended:?}\n{}", said());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    until("no input is taken from views.jsonl");
    let pid = child.id().to_string();
    assert!(std::process::Command::new("prlimit").args(["--fsize=unlimited", "--pid", &pid]).status().expect("prlimit runs").success());
    let ended = child.wait().expect("it ends");
    assert!(ended.success(), "{}", said());
    assert!(said().contains("there is room again"), "{}", said());
    assert_eq!(records(dir), total as u64, "none lost, none twice");
    assert_eq!(items(dir, "u3").len(), 100);
}
