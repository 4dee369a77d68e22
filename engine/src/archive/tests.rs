use bytes::Bytes;
use futures::TryStreamExt;

use super::*;
use crate::clock::FixedClock;
use crate::faults::{self, Action, Point};
use crate::log::{MemoryLog, NewRecord, Record};

const TOPIC: &str = "ratings";

struct Bench {
    folder: tempfile::TempDir,
    log: Arc<MemoryLog>,
}

impl Bench {
    async fn new(partitions: i32) -> Self {
        let log = Arc::new(MemoryLog::new(Arc::new(FixedClock::new(7_000_000))));
        log.create(TOPIC, partitions).await.unwrap();
        Self { folder: tempfile::tempdir().unwrap(), log }
    }

    async fn archive(&self) -> Archive {
        let lake = Lake::local(self.folder.path()).unwrap();
        let world = (Arc::clone(&self.log) as Arc<dyn Log>, Arc::new(FixedClock::new(9_000_000)) as Arc<dyn Clock>);
        let settings = Settings { fetch_bytes: 300, file_bytes: 2_000, commit_bytes: 5_000 };
        Archive::open(world, lake, "main", TOPIC).await.unwrap().with_settings(settings)
    }

    async fn append(&self, partition: i32, numbers: std::ops::Range<i64>) {
        let record = |n: i64| NewRecord {
            key: (n % 3 != 0).then(|| Bytes::from(format!("key {n}"))),
            payload: if n % 7 == 0 { Bytes::new() } else { Bytes::from(format!("payload {partition}/{n}").repeat(3)) },
            headers: Vec::new(),
            timestamp: Some(1_000 + 13 * n),
        };
        self.log.append(TOPIC, partition, numbers.map(record).collect()).await.unwrap();
    }

    async fn in_log(&self) -> Vec<(i32, Record)> {
        let mut all = Vec::new();
        for (partition, ends) in (0..).zip(self.log.ends(TOPIC).await.unwrap()) {
            let from = Position { partition, offset: ends.start };
            let records = self.log.read(TOPIC, from, usize::MAX, Duration::ZERO).await.unwrap().records;
            all.extend(records.into_iter().map(|r| (partition, r)));
        }
        all
    }
}

async fn read(archive: &Archive, files: Vec<RawFile>, within: Vec<Extent>) -> Vec<(i32, Record)> {
    let batches: Vec<_> = archive.table().read(files, within).try_collect().await.unwrap();
    batches.into_iter().flat_map(|(partition, records)| records.into_iter().map(move |r| (partition, r))).collect()
}

fn at(partition: i32, offset: i64) -> Position {
    Position { partition, offset }
}

#[tokio::test]
async fn every_record_is_archived_once_as_it_was_however_often_it_is_asked_for() {
    let bench = Bench::new(3).await;
    bench.append(0, 0..200).await;
    bench.append(2, 0..50).await;
    let archive = bench.archive().await;
    let first = archive.archive_now().await.unwrap();
    assert_eq!(first.cut, [at(0, 200), at(2, 50)]);
    assert!(first.files.len() > 2 && first.version > 1, "{} files in {} commits", first.files.len(), first.version);
    assert_eq!(read(&archive, first.files.clone(), Vec::new()).await, bench.in_log().await);
    assert_eq!(archive.archive_now().await.unwrap(), first, "nothing new: no commit");

    bench.append(0, 200..230).await;
    bench.append(1, 0..10).await;
    let archive = bench.archive().await;
    let second = archive.archive_now().await.unwrap();
    assert_eq!(second.cut, [at(0, 230), at(1, 10), at(2, 50)]);
    assert_eq!((second.rows(), read(&archive, second.files.clone(), Vec::new()).await), (290, bench.in_log().await));
    assert_eq!(archive.table().snapshot(Some(first.version)).await.unwrap(), Some(first.clone()), "a version stays as it was");
    let new = read(&archive, second.after(&first.cut).cloned().collect(), Vec::new()).await;
    assert_eq!(new.len(), 40);
}

#[tokio::test]
async fn it_archives_only_up_to_where_it_is_asked_to() {
    let bench = Bench::new(2).await;
    bench.append(0, 0..100).await;
    bench.append(1, 0..100).await;
    let archive = bench.archive().await;
    let snapshot = archive.archive_until(&[at(0, 37)]).await.unwrap();
    assert_eq!(snapshot.cut, [at(0, 37)]);
    assert_eq!(read(&archive, snapshot.files, Vec::new()).await, bench.in_log().await[..37]);
}

#[tokio::test]
async fn offsets_that_hold_no_records_are_archived_too() {
    let bench = Bench::new(3).await;
    bench.append(0, 0..40).await;
    bench.log.leave_out(TOPIC, 0, 3).unwrap();
    bench.append(0, 40..50).await;
    bench.log.leave_out(TOPIC, 0, 2).unwrap();
    bench.log.leave_out(TOPIC, 1, 4).unwrap();
    let archive = bench.archive().await;
    let first = archive.archive_now().await.unwrap();
    assert_eq!(first.cut, [at(0, 55), at(1, 4)], "up to the end, also of a partition without any record");
    assert_eq!(read(&archive, first.files.clone(), Vec::new()).await, bench.in_log().await);
    let again = archive.archive_now().await.unwrap();
    assert_eq!(again, first, "there is nothing left to do");
    bench.log.leave_out(TOPIC, 0, 1).unwrap();
    bench.log.leave_out(TOPIC, 1, 1).unwrap();
    let marks = archive.archive_now().await.unwrap();
    assert_eq!((marks.cut, marks.files), (vec![at(0, 56), at(1, 5)], first.files), "marks alone need no file");
    bench.append(1, 0..5).await;
    bench.append(2, 0..5).await;
    let last = archive.archive_now().await.unwrap();
    assert_eq!(last.cut, [at(0, 56), at(1, 10), at(2, 5)]);
    assert_eq!((last.rows(), read(&archive, last.files, Vec::new()).await), (60, bench.in_log().await));
}

#[tokio::test]
async fn reading_keeps_to_the_extents() {
    let bench = Bench::new(2).await;
    bench.append(0, 0..100).await;
    bench.append(1, 0..20).await;
    let archive = bench.archive().await;
    let files = archive.archive_now().await.unwrap().files;
    let within = vec![Extent { partition: 0, from: 30, to: 33 }, Extent { partition: 0, from: 90, to: 95 }];
    let found = read(&archive, files, within).await;
    let zero: Vec<_> = found.iter().filter(|(p, _)| *p == 0).map(|(_, r)| r.offset).collect();
    assert_eq!(zero, [30, 31, 32, 90, 91, 92, 93, 94]);
    assert_eq!(found.len() - zero.len(), 20, "partitions without an extent are read whole");
}

#[tokio::test]
async fn a_commit_that_fails_or_whose_answer_is_lost_leaves_no_record_out_and_none_twice() {
    for point in [Point::ArchiveCommit, Point::ArchiveCommitted] {
        for hit in 1..4 {
            let bench = Bench::new(2).await;
            bench.append(0, 0..150).await;
            bench.append(1, 0..150).await;
            let armed = faults::arm(point, hit, Action::Error);
            assert!(bench.archive().await.archive_now().await.is_err(), "{point:?} {hit}");
            drop(armed);
            // More came in meanwhile: the file that was not committed is not the one that is made now.
            bench.append(0, 150..170).await;
            let archive = bench.archive().await;
            let snapshot = archive.archive_now().await.unwrap();
            assert_eq!(read(&archive, snapshot.files, Vec::new()).await, bench.in_log().await, "{point:?} {hit}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_that_race_leave_no_record_out_and_none_twice() {
    let bench = Bench::new(2).await;
    bench.append(0, 0..400).await;
    bench.append(1, 0..400).await;
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let archive = bench.archive().await;
        racing.spawn(async move { archive.archive_now().await });
    }
    while let Some(done) = racing.join_next().await {
        assert_eq!(done.unwrap().unwrap().cut, [at(0, 400), at(1, 400)]);
    }
    let archive = bench.archive().await;
    let snapshot = archive.table().snapshot(None).await.unwrap().unwrap();
    assert_eq!(read(&archive, snapshot.files, Vec::new()).await, bench.in_log().await);
}

#[tokio::test]
async fn records_that_retention_dropped_before_they_were_archived_are_an_error() {
    let bench = Bench::new(1).await;
    bench.append(0, 0..50).await;
    let archive = bench.archive().await;
    archive.archive_until(&[at(0, 10)]).await.unwrap();
    bench.log.trim(TOPIC, &[at(0, 20)]).await.unwrap();
    let error = archive.archive_now().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("offset 10 is below its start 20"), "{error}");
}

#[tokio::test]
async fn a_record_stamped_beyond_the_years_that_a_table_can_name_leaves_the_archive_readable() {
    const YEAR_10000: i64 = 253_402_300_800_000;
    const YEAR_0: i64 = -62_135_596_800_001;
    for stamp in [YEAR_10000 - 1, YEAR_10000, YEAR_0, YEAR_0 + 1, i64::MAX / 1000, i64::MIN / 1000, i64::MAX, i64::MIN] {
        let bench = Bench::new(1).await;
        bench.append(0, 0..3).await;
        let record = NewRecord { payload: Bytes::from("far away"), timestamp: Some(stamp), ..NewRecord::default() };
        bench.log.append(TOPIC, 0, vec![record]).await.unwrap();
        let archive = bench.archive().await;
        archive.archive_now().await.unwrap();
        bench.append(0, 3..6).await;
        let snapshot = archive.archive_now().await.unwrap();
        assert_eq!(snapshot.cut, [at(0, 7)], "{stamp}");
        let found = read(&archive, snapshot.files.clone(), Vec::new()).await;
        assert_eq!(found.iter().map(|(_, r)| r.offset).collect::<Vec<_>>(), (0..7).collect::<Vec<_>>());
        for (_, record) in found {
            let micros = record.timestamp.saturating_mul(1000);
            let file = snapshot.files.iter().find(|f| f.offsets.contains(&record.offset)).unwrap();
            assert!((file.times.0..=file.times.1).contains(&micros), "{stamp}: a file's times hold all of its records");
        }
    }
}

#[tokio::test]
async fn a_topic_that_is_made_anew_has_a_table_of_its_own() {
    let bench = Bench::new(1).await;
    bench.append(0, 0..5).await;
    let old = bench.archive().await;
    old.archive_now().await.unwrap();
    bench.log.delete(TOPIC).await.unwrap();
    bench.log.create(TOPIC, 1).await.unwrap();
    bench.append(0, 0..2).await;
    assert!(old.archive_now().await.unwrap_err().to_string().contains("made again"));
    let new = bench.archive().await;
    assert_eq!(new.archive_now().await.unwrap().cut, [at(0, 2)]);
    assert_ne!(new.table().path(), old.table().path());
}

#[tokio::test]
async fn it_goes_on_until_it_is_told_to_stop_and_waits_out_what_does_not_answer() {
    let bench = Bench::new(1).await;
    bench.append(0, 0..5).await;
    let archive = bench.archive().await;
    let _armed = faults::arm(Point::ArchiveCommit, 1, Action::Error);
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (archive, stop) = (archive.clone(), stop.clone());
        async move { archive.run(Duration::from_millis(5), stop).await }
    });
    let cut = async |offset| {
        while archive.table().snapshot(None).await.unwrap().is_none_or(|s| s.cut != [at(0, offset)]) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), cut(5)).await.expect("archived in time");
    bench.append(0, 5..9).await;
    tokio::time::timeout(Duration::from_secs(20), cut(9)).await.expect("archived in time");
    stop.cancel();
    running.await.unwrap().unwrap();
}
