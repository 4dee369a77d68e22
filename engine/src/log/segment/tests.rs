use std::path::PathBuf;
use std::process::Command;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::ErrorKind;
use crate::clock::FixedClock;
use crate::faults::{Action, Point};
use crate::log::MemoryLog;
use crate::log::conformance::{self, Restart};

const TOPIC: &str = "t";
const NOW: Duration = Duration::ZERO;

#[derive(Debug)]
struct Folder(tempfile::TempDir, Settings);

impl Folder {
    fn new(segment_bytes: u64) -> Self {
        Self(tempfile::tempdir().unwrap(), Settings { sync: Sync::OnlyOrder, segment_bytes, check: Check::New })
    }

    fn log(&self) -> Result<LocalLog> {
        LocalLog::open_with(self.0.path(), Arc::new(FixedClock::new(5_000_000)), self.1)
    }

    async fn with(segment_bytes: u64, payloads: &[&str]) -> Self {
        let folder = Self::new(segment_bytes);
        let log = folder.log().unwrap();
        log.create(TOPIC, 1).await.unwrap();
        for payload in payloads {
            log.append(TOPIC, 0, vec![record(payload)]).await.unwrap();
        }
        folder
    }

    fn partition(&self) -> PathBuf {
        self.0.path().join("topics").join(TOPIC).join("0")
    }

    fn segment(&self) -> PathBuf {
        file::path(&self.partition(), 0)
    }
}

#[async_trait]
impl Restart for Folder {
    async fn open(&self) -> Arc<dyn Log> {
        Arc::new(self.log().unwrap())
    }
}

fn record(payload: &str) -> NewRecord {
    NewRecord { payload: Bytes::copy_from_slice(payload.as_bytes()), key: Some("key".into()), ..NewRecord::default() }
}

const fn at(offset: i64) -> Position {
    Position { partition: 0, offset }
}

async fn payloads(log: &dyn Log) -> Vec<String> {
    let start = log.ends(TOPIC).await.unwrap()[0].start;
    let records = log.read(TOPIC, at(start), usize::MAX, NOW).await.unwrap().records;
    assert!(records.iter().zip(start..).all(|(r, offset)| r.offset == offset));
    records.iter().map(|r| String::from_utf8(r.payload.to_vec()).unwrap()).collect()
}

#[tokio::test]
async fn the_local_log_keeps_the_contract() {
    conformance::keeps_the_contract(&Folder::new(64 << 20)).await;
}

#[tokio::test]
async fn the_local_log_keeps_the_contract_with_tiny_segments_and_every_append_forced() {
    let mut folder = Folder::new(300);
    folder.1.sync = Sync::EveryAppend;
    conformance::keeps_the_contract(&folder).await;
}

#[tokio::test]
async fn a_write_torn_at_any_byte_is_cut_and_the_log_goes_on() {
    let folder = Folder::with(1 << 20, &["one", "two"]).await;
    let (segment, acknowledged) = (folder.segment(), folder.partition().join(acknowledged::NAME));
    let (whole, before) = (std::fs::read(&segment).unwrap().len(), std::fs::read(&acknowledged).unwrap());
    folder.log().unwrap().append(TOPIC, 0, vec![record("three")]).await.unwrap();
    let written = std::fs::read(&segment).unwrap();
    for length in whole..=written.len() {
        std::fs::write(&segment, &written[..length]).unwrap();
        std::fs::write(&acknowledged, &before).unwrap();
        let log = folder.log().unwrap();
        assert_eq!(log.torn_bytes(), (length - whole) as u64);
        assert_eq!(payloads(&log).await, ["one", "two"]);
        assert_eq!(log.append(TOPIC, 0, vec![record("four")]).await.unwrap(), 2);
        drop(log);
        let log = folder.log().unwrap();
        assert_eq!((log.torn_bytes(), payloads(&log).await), (0, vec!["one".into(), "two".into(), "four".into()]));
    }
}

#[tokio::test]
async fn a_file_shorter_than_acknowledged_by_any_byte_is_refused_with_its_name_and_the_remedy() {
    let folder = Folder::with(1 << 20, &["one", "two"]).await;
    let written = std::fs::read(folder.segment()).unwrap();
    for length in 0..written.len() {
        std::fs::write(folder.segment(), &written[..length]).unwrap();
        let error = folder.log().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let text = error.to_string();
        assert!(text.contains("00000.segment") && text.contains("acknowledged") && text.contains("Restore"), "{text}");
    }
    std::fs::remove_file(folder.segment()).unwrap();
    assert_eq!(folder.log().unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_changed_byte_anywhere_is_refused_with_its_place_when_opened_and_when_read() {
    let folder = Folder::with(1 << 20, &["one", "two"]).await;
    let written = std::fs::read(folder.segment()).unwrap();
    for place in 0..written.len() {
        let mut changed = written.clone();
        changed[place] ^= 0x40;
        std::fs::write(folder.segment(), &changed).unwrap();
        let error = folder.log().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("at byte"), "{error}");
    }
    std::fs::write(folder.segment(), &written).unwrap();
    let log = folder.log().unwrap();
    let mut changed = written.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(folder.segment(), &changed).unwrap();
    assert_eq!(log.read(TOPIC, at(0), 1 << 20, NOW).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn opening_does_not_read_again_what_was_checked_and_reading_does() {
    let mut folder = Folder::with(60, &["a long payload 1", "a long payload 2", "a long payload 3"]).await;
    let first = folder.segment();
    let written = std::fs::read(&first).unwrap();
    let mut changed = written.clone();
    changed[40] ^= 1;
    std::fs::write(&first, &changed).unwrap();
    for _ in 0..2 {
        let log = folder.log().expect("a segment that is not written to any more is not read");
        let refused = log.read(TOPIC, at(0), 1 << 20, NOW).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt);
        assert!(refused.to_string().contains("at byte"), "{refused}");
        assert_eq!(log.read(TOPIC, at(1), 1 << 20, NOW).await.unwrap().records.len(), 2, "the others are whole");
    }
    folder.1.check = Check::All;
    assert_eq!(folder.log().unwrap_err().kind(), ErrorKind::Corrupt, "a full check finds it");
    folder.1.check = Check::New;
    // What says which were checked is believed only where it fits, and only if it is whole.
    std::fs::write(&first, &changed[..changed.len() - 1]).unwrap();
    assert_eq!(folder.log().unwrap_err().kind(), ErrorKind::Corrupt, "it is shorter than it was");
    std::fs::write(&first, &changed).unwrap();
    let marker = folder.partition().join(checked::NAME);
    let text = std::fs::read_to_string(&marker).unwrap();
    std::fs::write(&marker, text.replace("\"end\":1", "\"end\":2")).unwrap();
    assert_eq!(folder.log().unwrap_err().kind(), ErrorKind::Corrupt, "all are read, and one is damaged");
    std::fs::write(&first, &written).unwrap();
    assert_eq!(payloads(&folder.log().unwrap()).await.len(), 3);
    assert_eq!(std::fs::read_to_string(&marker).unwrap(), text, "and kept again");
}

#[tokio::test]
async fn a_segment_that_is_missing_in_the_middle_is_refused() {
    let folder = Folder::with(60, &["a long payload 1", "a long payload 2", "a long payload 3"]).await;
    assert!(file::path(&folder.partition(), 2).exists(), "the log rolls");
    std::fs::remove_file(file::path(&folder.partition(), 1)).unwrap();
    let error = folder.log().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("offset 1 on are missing, but 3"), "{error}");
}

#[tokio::test]
async fn a_folder_that_is_open_is_refused_to_a_second_log_until_it_is_let_go() {
    let folder = Folder::new(1 << 20);
    let first = folder.log().unwrap();
    let error = folder.log().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("another process has it open"), "{error}");
    drop(first);
    folder.log().unwrap();
}

#[tokio::test]
async fn trimming_drops_whole_segments_and_never_the_one_that_is_written() {
    let folder = Folder::with(200, &["0123456789"; 20]).await;
    let log = folder.log().unwrap();
    let segment = |name: std::ffi::OsString| name.to_str().is_some_and(|name| name.ends_with(".segment"));
    let files = || std::fs::read_dir(folder.partition()).unwrap().filter(|f| segment(f.as_ref().unwrap().file_name())).count();
    let before = files();
    log.trim(TOPIC, &[at(9)]).await.unwrap();
    let start = log.ends(TOPIC).await.unwrap()[0].start;
    assert!((1..=9).contains(&start) && files() < before, "start {start}, {before} files, then {}", files());
    log.trim(TOPIC, &[at(i64::MAX)]).await.unwrap();
    assert_eq!(files(), 1);
    assert_eq!(log.append(TOPIC, 0, vec![record("x")]).await.unwrap(), 20);
}

#[tokio::test]
async fn appends_that_wait_together_are_written_together() {
    let folder = Folder::with(1 << 20, &[]).await;
    let log = folder.log().unwrap();
    let written = faults::arm(Point::LogWritten, u32::MAX, Action::Error);
    let partition = log.topics.get(TOPIC).unwrap().partition(TOPIC, 0).unwrap();
    let held = partition.hold_writes();
    let mut appends = futures::future::join_all((0..50).map(|i| log.append(TOPIC, 0, vec![record(&i.to_string())])));
    assert!(futures::poll!(&mut appends).is_pending());
    drop(held);
    let offsets: Vec<_> = appends.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(offsets, (0..50).collect::<Vec<_>>());
    assert!(written.hits() <= 2, "{} writes for 50 appends", written.hits());
}

#[tokio::test]
async fn after_any_failed_step_the_log_goes_on_and_has_what_was_acknowledged() {
    let points = [Point::LogAppend, Point::LogWritten, Point::LogAck, Point::LogAcked];
    for point in points {
        for action in [Action::Error, Action::Full, Action::Torn] {
            for segment_bytes in [1 << 20, 20] {
                let folder = Folder::with(segment_bytes, &["a"]).await;
                let log = folder.log().unwrap();
                let armed = faults::arm(point, 1, action);
                let error = log.append(TOPIC, 0, vec![record("b"), record("b")]).await.unwrap_err();
                assert_eq!(error.kind(), if action == Action::Full { ErrorKind::Full } else { ErrorKind::Unavailable }, "{point:?}");
                drop(armed);
                log.append(TOPIC, 0, vec![record("c")]).await.unwrap();
                let now = payloads(&log).await;
                let stored = if point == Point::LogAcked { &["a", "b", "b", "c"][..] } else { &["a", "c"] };
                assert_eq!(now, stored, "{point:?} {action:?}");
                drop(log);
                let again = folder.log().unwrap();
                assert_eq!((again.torn_bytes(), payloads(&again).await), (0, now), "{point:?} {action:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_full_disk_fails_the_append_with_its_kind_and_takes_no_room() {
    let folder = Folder::with(1 << 20, &["a"]).await;
    let log = folder.log().unwrap();
    let size = std::fs::metadata(folder.segment()).unwrap().len();
    let armed = faults::arm(Point::LogWritten, 1, Action::Full);
    let error = log.append(TOPIC, 0, vec![record(&"b".repeat(10_000))]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(error.to_string().contains("make room"), "{error}");
    assert_eq!(std::fs::metadata(folder.segment()).unwrap().len(), size, "the partial bytes are cut at once");
    drop(armed);
    assert_eq!(log.append(TOPIC, 0, vec![record("c")]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_commit_or_trim_that_fails_changes_nothing() {
    let folder = Folder::with(60, &["a long payload 1", "a long payload 2", "a long payload 3"]).await;
    let log = folder.log().unwrap();
    log.commit("g", TOPIC, &[at(1)]).await.unwrap();
    let armed = [faults::arm(Point::LogCommit, 1, Action::Error), faults::arm(Point::LogTrim, 1, Action::Error)];
    assert!(log.commit("g", TOPIC, &[at(2)]).await.is_err());
    assert!(log.trim(TOPIC, &[at(2)]).await.is_err());
    drop((log, armed));
    let log = folder.log().unwrap();
    assert_eq!(log.committed("g", TOPIC).await.unwrap(), [at(1)]);
    assert_eq!(log.ends(TOPIC).await.unwrap(), [Ends { start: 0, end: 3 }]);
}

#[tokio::test]
async fn stamps_do_not_go_back_even_when_the_clock_does() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(FixedClock::new(9_000_000));
    let log = LocalLog::open(folder.path(), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    log.create(TOPIC, 1).await.unwrap();
    log.append(TOPIC, 0, vec![record("a")]).await.unwrap();
    clock.set(4_000_000);
    log.append(TOPIC, 0, vec![record("b")]).await.unwrap();
    drop(log);
    let log = LocalLog::open(folder.path(), clock).unwrap();
    log.append(TOPIC, 0, vec![record("c"), NewRecord { timestamp: Some(-5), ..NewRecord::default() }]).await.unwrap();
    let records = log.read(TOPIC, at(0), 1 << 20, NOW).await.unwrap().records;
    assert_eq!(records.iter().map(|r| r.timestamp).collect::<Vec<_>>(), [9_000, 9_000, 9_000, -5]);
}

/// Set for the process that is to be killed: the folder of its log.
const CHILD: &str = "TRESS_TEST_LOG";

#[tokio::test]
async fn a_process_killed_at_any_step_loses_nothing_that_was_acknowledged() {
    for fault in ["LogAppend:5:abort", "LogAppend:5:torn", "LogWritten:5:abort", "LogAck:5:abort", "LogAcked:5:abort", "LogCommit:5:abort"]
    {
        let folder = Folder::with(100, &[]).await;
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "log::segment::tests::appends_until_it_is_killed"])
            .env(CHILD, folder.0.path())
            .env(faults::VARIABLE, fault)
            .output()
            .unwrap();
        assert!(!child.status.success(), "{fault}: it was killed");
        let told = String::from_utf8(child.stdout).unwrap();
        let acknowledged = told.lines().filter(|l| l.starts_with("appended ")).count();
        let committed = told.lines().filter(|l| l.starts_with("committed ")).count();
        assert!((4..=5).contains(&acknowledged), "{fault}: {told}");
        let log = folder.log().unwrap();
        let found = payloads(&log).await;
        assert!(found.len() >= acknowledged, "{fault}: {} of {acknowledged}", found.len());
        assert!(found.iter().enumerate().all(|(i, payload)| *payload == format!("record {i}")), "{fault}: {found:?}");
        let position = log.committed("g", TOPIC).await.unwrap();
        assert_eq!(position, [at(committed as i64)], "{fault}");
        assert_eq!(log.append(TOPIC, 0, vec![record("on")]).await.unwrap(), found.len() as i64, "{fault}");
    }
}

#[tokio::test]
#[ignore = "the process that the test above kills"]
async fn appends_until_it_is_killed() {
    let folder = std::env::var_os(CHILD).expect("only run by the test above");
    faults::arm_from_env().unwrap();
    let settings = Settings { sync: Sync::OnlyOrder, segment_bytes: 100, check: Check::New };
    let log = LocalLog::open_with(Path::new(&folder), Arc::new(FixedClock::new(5_000_000)), settings).unwrap();
    for i in 0..10 {
        let offset = log.append(TOPIC, 0, vec![record(&format!("record {i}"))]).await.unwrap();
        println!("appended {offset}");
        log.commit("g", TOPIC, &[at(i + 1)]).await.unwrap();
        println!("committed {}", i + 1);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append { partition: i32, sizes: Vec<usize>, timestamp: Option<i64> },
    Read { partition: i32, from: i64, max_bytes: usize },
    Trim { partition: i32, before: i64 },
    Commit { partition: i32, offset: i64 },
    Clock(i64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let partition = 0..2i32;
    prop_oneof![
        4 => (partition.clone(), prop::collection::vec(0..400usize, 0..6), prop::option::of(-5..9_000i64))
            .prop_map(|(partition, sizes, timestamp)| Step::Append { partition, sizes, timestamp }),
        3 => (partition.clone(), 0..40i64, 1..2_000usize).prop_map(|(partition, from, max_bytes)| Step::Read { partition, from, max_bytes }),
        1 => (partition.clone(), 0..30i64).prop_map(|(partition, before)| Step::Trim { partition, before }),
        1 => (partition, 0..30i64).prop_map(|(partition, offset)| Step::Commit { partition, offset }),
        1 => (0..9_000_000i64).prop_map(Step::Clock),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_it_the_local_log_is_as_the_one_in_memory(steps in prop::collection::vec(step(), 1..60)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(same(steps))?;
    }
}

async fn same(steps: Vec<Step>) -> std::result::Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(FixedClock::new(0));
    let settings = Settings { sync: Sync::OnlyOrder, segment_bytes: 700, check: Check::New };
    let open = || LocalLog::open_with(folder.path(), Arc::clone(&clock) as Arc<dyn Clock>, settings).unwrap();
    let (mut local, memory) = (Some(open()), MemoryLog::new(Arc::clone(&clock) as Arc<dyn Clock>));
    local.as_ref().unwrap().create(TOPIC, 2).await.unwrap();
    memory.create(TOPIC, 2).await.unwrap();
    for step in steps {
        let log = local.as_ref().unwrap();
        match step {
            Step::Append { partition, sizes, timestamp } => {
                let records: Vec<_> =
                    sizes.iter().map(|n| NewRecord { payload: vec![*n as u8; *n].into(), timestamp, ..NewRecord::default() }).collect();
                let offset = log.append(TOPIC, partition, records.clone()).await.unwrap();
                prop_assert_eq!(offset, memory.append(TOPIC, partition, records).await.unwrap());
            }
            Step::Read { partition, from, max_bytes } => {
                let from = Position { partition, offset: from };
                let (ours, theirs) = (log.read(TOPIC, from, max_bytes, NOW).await, memory.read(TOPIC, from, max_bytes, NOW).await);
                prop_assert_eq!(ours.map_err(|e| e.to_string()), theirs.map_err(|e| e.to_string()));
            }
            Step::Trim { partition, before } => {
                let before = Position { partition, offset: before };
                log.trim(TOPIC, &[before]).await.unwrap();
                let start = log.ends(TOPIC).await.unwrap()[partition as usize].start;
                let old = memory.ends(TOPIC).await.unwrap()[partition as usize].start;
                prop_assert!(old <= start && start <= before.offset.max(old));
                // The local log keeps whole files: the one in memory follows it.
                memory.trim(TOPIC, &[Position { partition, offset: start }]).await.unwrap();
            }
            Step::Commit { partition, offset } => {
                log.commit("g", TOPIC, &[Position { partition, offset }]).await.unwrap();
                memory.commit("g", TOPIC, &[Position { partition, offset }]).await.unwrap();
            }
            Step::Clock(micros) => clock.set(micros),
            Step::Reopen => {
                drop(local.take());
                local = Some(open());
            }
        }
        let log = local.as_ref().unwrap();
        prop_assert_eq!(log.ends(TOPIC).await.unwrap(), memory.ends(TOPIC).await.unwrap());
        prop_assert_eq!(log.committed("g", TOPIC).await.unwrap(), memory.committed("g", TOPIC).await.unwrap());
    }
    Ok(())
}
