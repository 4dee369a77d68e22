//! Partitions that come and go while a stream reads them.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;

use super::*;
use crate::log::{Assigned, Batch, Ends, Membership, NewTopic, TopicId};

/// A log whose group does as the test says.
#[derive(Debug)]
struct Grouped {
    log: Arc<MemoryLog>,
    /// What the next seat is told.
    seat: Mutex<watch::Sender<Assigned>>,
    joined: AtomicUsize,
    left: CancellationToken,
    /// Partitions that belong to others, as the broker sees it.
    others: Mutex<BTreeSet<i32>>,
}

impl Grouped {
    fn new(bench: &Bench, assigned: Assigned) -> Arc<Self> {
        Arc::new(Self {
            log: Arc::clone(&bench.log),
            seat: Mutex::new(watch::Sender::new(assigned)),
            joined: AtomicUsize::new(0),
            left: CancellationToken::new(),
            others: Mutex::default(),
        })
    }

    fn assign(&self, assigned: Assigned) {
        self.seat.lock().send_replace(assigned);
    }
}

#[async_trait]
impl Log for Grouped {
    async fn make(&self, topic: &str, new: NewTopic) -> Result<()> {
        self.log.make(topic, new).await
    }

    async fn delete(&self, topic: &str) -> Result<()> {
        self.log.delete(topic).await
    }

    async fn forget(&self, group: &str) -> Result<()> {
        self.log.forget(group).await
    }

    async fn id(&self, topic: &str) -> Result<TopicId> {
        self.log.id(topic).await
    }

    async fn ends(&self, topic: &str) -> Result<Vec<Ends>> {
        self.log.ends(topic).await
    }

    async fn append(&self, topic: &str, partition: i32, records: Vec<NewRecord>) -> Result<i64> {
        self.log.append(topic, partition, records).await
    }

    async fn read(&self, topic: &str, from: Position, max_bytes: usize, wait: Duration) -> Result<Batch> {
        self.log.read(topic, from, max_bytes, wait).await
    }

    async fn trim(&self, topic: &str, before: &[Position]) -> Result<()> {
        self.log.trim(topic, before).await
    }

    async fn commit(&self, group: &str, topic: &str, positions: &[Position]) -> Result<()> {
        if positions.iter().any(|p| self.others.lock().contains(&p.partition)) {
            return Err(Error::new(ErrorKind::Conflict, "it belongs to another member"));
        }
        self.log.commit(group, topic, positions).await
    }

    async fn join(&self, _: &str, _: &str) -> Result<Membership> {
        self.joined.fetch_add(1, Ordering::SeqCst);
        let left = self.left.clone();
        Ok(Membership::new(self.seat.lock().subscribe(), left.clone().drop_guard(), left))
    }

    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<Position>> {
        self.log.committed(group, topic).await
    }
}

/// A stream that runs until it is stopped.
struct Running {
    stream: Stream,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<()>>,
}

impl Running {
    fn start(bench: &Bench, log: &Arc<Grouped>) -> Self {
        let (stream, stop) = (bench.stream_on(Arc::clone(log) as Arc<dyn Log>), CancellationToken::new());
        let task = tokio::spawn({
            let (stream, stop) = (stream.clone(), stop.clone());
            async move { stream.run(stop).await }
        });
        Self { stream, stop, task }
    }

    /// Waits until exactly these partitions are published so far.
    async fn until(&self, wanted: &[(i32, i64)]) {
        let reached = |all: &Vec<Published>| all.iter().map(|p| (p.partition, p.offset)).eq(wanted.iter().copied());
        let mut published = self.stream.published();
        let done = tokio::time::timeout(PATIENCE, published.wait_for(reached)).await.map(|found| found.map(|_| ()));
        assert!(matches!(done, Ok(Ok(()))), "{wanted:?} is to be published, not {:?}", self.stream.published().borrow());
    }

    async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

fn reads(partitions: &[i32]) -> Assigned {
    Assigned::Reads(partitions.to_vec())
}

#[tokio::test]
async fn of_a_partition_that_is_lost_nothing_more_is_said_or_committed_and_it_goes_on_where_the_group_is_when_it_is_back() {
    let bench = Bench::new(2).await;
    let log = Grouped::new(&bench, reads(&[0, 1]));
    let running = Running::start(&bench, &log);
    bench.append(0, (0..5).map(rating)).await;
    bench.append(1, (0..5).map(rating)).await;
    running.until(&[(0, 5), (1, 5)]).await;
    log.others.lock().insert(1);
    log.assign(reads(&[0]));
    running.until(&[(0, 5)]).await;
    let said = bench.heartbeats().await.len();
    bench.append(0, (5..8).map(rating)).await;
    bench.append(1, (5..8).map(rating)).await;
    running.until(&[(0, 8)]).await;
    tokio::time::timeout(PATIENCE, async {
        while bench.committed_now(0) < 8 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("what is still ours is committed");
    assert!(bench.committed_now(1) <= 5);
    let later = bench.heartbeats().await;
    assert!(later.len() > said, "it goes on saying how far it is");
    assert!(later.last().unwrap().1.positions.iter().all(|p| p.partition == 0), "{later:?}");
    assert_eq!(later.last().unwrap().1.partitions, Some(2), "there are others than its own");
    // The other member did one record more and gave it back.
    bench.log.commit(&layout::stream_group(UID), TOPIC, &[Position { partition: 1, offset: 6 }]).await.unwrap();
    log.others.lock().clear();
    log.assign(reads(&[0, 1]));
    running.until(&[(0, 8), (1, 8)]).await;
    running.stop().await.unwrap();
    let rows = bench.rows().await;
    assert_eq!(rows.keys().filter(|(p, _)| *p == 1).map(|(_, offset)| *offset).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 6, 7]);
    assert_eq!(bench.committed().await, BTreeMap::from([(0, 8), (1, 8)]));
}

#[tokio::test]
async fn partitions_that_come_and_go_while_records_come_leave_none_out() {
    let mut bench = Bench::new(3).await;
    bench.settings.fetch_bytes = 500;
    let log = Grouped::new(&bench, reads(&[0, 1, 2]));
    let running = Running::start(&bench, &log);
    for round in 0..40 {
        for partition in 0..3 {
            bench.append(partition, (0..20).map(|i| rating(round * 20 + i))).await;
        }
        log.assign(reads([&[0, 1][..], &[2], &[0, 1, 2], &[]][round % 4]));
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    log.assign(reads(&[0, 1, 2]));
    running.until(&[(0, 800), (1, 800), (2, 800)]).await;
    running.stop().await.unwrap();
    assert_eq!(bench.rows().await.len(), 2400);
    assert_eq!(bench.committed().await, BTreeMap::from([(0, 800), (1, 800), (2, 800)]));
}

#[tokio::test]
async fn a_commit_that_is_refused_because_a_partition_is_anothers_is_no_failure() {
    let bench = Bench::new(2).await;
    let log = Grouped::new(&bench, reads(&[0, 1]));
    log.others.lock().insert(1);
    let running = Running::start(&bench, &log);
    bench.append(0, [rating(1)]).await;
    running.until(&[(0, 1), (1, 0)]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((bench.committed().await, running.stream.state().borrow().clone()), (BTreeMap::new(), StreamState::Running));
    // By now the group has told this member too.
    log.assign(reads(&[0]));
    running.until(&[(0, 1)]).await;
    running.stop().await.unwrap();
    assert_eq!(bench.committed().await, BTreeMap::from([(0, 1)]));
}

#[tokio::test]
async fn it_waits_for_the_group_and_joins_again_when_its_seat_ends() {
    let bench = Bench::new(1).await;
    let log = Grouped::new(&bench, Assigned::Waiting);
    let running = Running::start(&bench, &log);
    bench.append(0, [rating(1)]).await;
    let waits = |what: &'static str| move |s: &StreamState| matches!(s, StreamState::Waiting { reason } if reason.contains(what));
    let mut state = running.stream.state();
    tokio::time::timeout(PATIENCE, state.wait_for(waits("not shared out"))).await.expect("it says so").unwrap();
    assert_eq!(*running.stream.published().borrow(), []);
    log.assign(reads(&[0]));
    running.until(&[(0, 1)]).await;
    tokio::time::timeout(PATIENCE, state.wait_for(|s| *s == StreamState::Running)).await.expect("it runs").unwrap();
    log.assign(Assigned::Ended { reason: "the broker is out of order".into() });
    tokio::time::timeout(PATIENCE, state.wait_for(waits("out of order"))).await.expect("it says why").unwrap();
    running.until(&[]).await;
    *log.seat.lock() = watch::Sender::new(reads(&[0]));
    bench.append(0, [rating(2)]).await;
    running.until(&[(0, 2)]).await;
    assert!(log.joined.load(Ordering::SeqCst) >= 2);
    running.stop().await.unwrap();
    assert_eq!(bench.rows().await.into_keys().collect::<Vec<_>>(), [(0, 0), (0, 1)]);
}

#[tokio::test]
async fn a_stream_that_is_stopped_writes_what_it_processed_then_commits_then_leaves() {
    let mut bench = Bench::new(1).await;
    bench.settings.drain = PATIENCE;
    let log = Grouped::new(&bench, reads(&[0]));
    let full: Vec<_> = (0..10_000).map(|_| faults::arm(Point::ChangelogAppend, 1, Action::Full)).collect();
    let running = Running::start(&bench, &log);
    bench.append(0, (0..5).map(rating)).await;
    let mut state = running.stream.state();
    let waits = |s: &StreamState| matches!(s, StreamState::Waiting { reason } if reason.contains("no room"));
    tokio::time::timeout(PATIENCE, state.wait_for(waits)).await.expect("it waits for room").unwrap();
    while running.stream.counts().raw < 5 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    running.stop.cancel();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!log.left.is_cancelled(), "it keeps its seat until it has committed");
    drop(full);
    running.task.await.unwrap().unwrap();
    assert_eq!((bench.committed_now(0), bench.rows().await.len()), (5, 5));
    assert!(log.left.is_cancelled(), "others get its partitions at once");
}

#[tokio::test]
async fn what_cannot_be_written_in_time_is_left_to_the_next_run() {
    let mut bench = Bench::new(1).await;
    bench.settings.drain = Duration::from_millis(200);
    let log = Grouped::new(&bench, reads(&[0]));
    let full: Vec<_> = (0..10_000).map(|_| faults::arm(Point::ChangelogAppend, 1, Action::Full)).collect();
    let running = Running::start(&bench, &log);
    bench.append(0, (0..5).map(rating)).await;
    let mut state = running.stream.state();
    tokio::time::timeout(PATIENCE, state.wait_for(|s| matches!(s, StreamState::Waiting { .. }))).await.expect("it waits").unwrap();
    let error = tokio::time::timeout(PATIENCE, running.stop()).await.expect("it ends in time").unwrap_err();
    assert!(error.to_string().contains("not written within 200ms"), "{error}");
    drop(full);
    bench.run_to_the_end().await;
    assert_eq!((bench.committed_now(0), bench.rows().await.len()), (5, 5));
}
