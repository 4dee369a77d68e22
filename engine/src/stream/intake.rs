//! Takes a seat in the stream's group, and reads the partitions that it is given, for as long as they are its own.
//!
//! ```text
//! join ─▶ seat ─▶ assigned ─┬─ new: from what the group committed ─▶ a reader
//!   ▲                       ├─ lost: its reader ends, and what is under way of it counts for nothing
//!   ╰── a pause ── ended ◀──╯
//! ```
//! Any position that a member ever commits is true for ever: all before it is published, whoever did it. So a commit that comes late
//! from a member that has lost the partition leads to nothing worse than some records that are read again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::progress::Lease;
use super::read::{self, Fetched, To};
use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::layout;
use crate::log::{Assigned, Membership, Position};

/// Between an end of the membership and joining again: the first pause …
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// … and the longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// For how long after a heartbeat's look a topic is taken for the same.
const LOOK_HOLDS: Duration = Duration::from_millis(500);
const SEAT: &str = "seat";

/// When to stop, and when to leave.
pub struct Stops {
    /// Nothing more is taken in.
    pub stop: CancellationToken,
    /// All that was processed is written and committed.
    pub written: CancellationToken,
}

/// The partitions that are read now.
struct Readers {
    shared: Arc<Shared>,
    to: To,
    stop: CancellationToken,
    running: JoinSet<Result<()>>,
    held: BTreeMap<i32, (Lease, CancellationToken)>,
}

/// Where a partition is read from.
struct Start {
    from: Position,
    committed: Option<i64>,
}

/// Reads until `stop`, then keeps its seat until all is `written`.
pub async fn run(shared: Arc<Shared>, fetched: mpsc::Sender<Fetched>, Stops { stop, written }: Stops) -> Result<()> {
    let budget = Arc::new(Semaphore::new(shared.settings.budget_kib()));
    let (running, held) = (JoinSet::new(), BTreeMap::new());
    let mut readers = Readers { shared, to: To { budget, fetched }, stop: stop.clone(), running, held };
    let mut seat = None;
    let outcome = readers.take_part(&mut seat).await;
    stop.cancel();
    let outcome = outcome.and(readers.join().await);
    let Readers { to, held, shared, .. } = readers;
    // Who processes learns that nothing more comes.
    drop(to);
    if let Some(mut seat) = seat {
        give_up_what_is_lost(&shared, held, &mut seat, &written).await;
        seat.leave().await;
    }
    outcome
}

/// While the last is written partitions may go to others: what is committed then must not name them.
async fn give_up_what_is_lost(
    shared: &Shared,
    mut held: BTreeMap<i32, (Lease, CancellationToken)>,
    seat: &mut Membership,
    written: &CancellationToken,
) {
    loop {
        let assigned = seat.assigned.borrow_and_update().clone();
        for (_, (lease, _)) in held.extract_if(.., |partition, _| !has(&assigned, *partition)) {
            shared.progress.end(lease);
        }
        tokio::select! {
            () = written.cancelled() => return,
            changed = seat.assigned.changed() => if changed.is_err() {
                return written.cancelled().await;
            }
        }
    }
}

fn has(assigned: &Assigned, partition: i32) -> bool {
    matches!(assigned, Assigned::Reads(partitions) if partitions.contains(&partition))
}

impl Readers {
    /// Joins, and joins again, until `stop`.
    async fn take_part(&mut self, seat: &mut Option<Membership>) -> Result<()> {
        let mut pause = FIRST_PAUSE;
        while !self.stop.is_cancelled() {
            *seat = None;
            let (shared, stop) = (Arc::clone(&self.shared), self.stop.clone());
            let joining = shared.status.until_it_works("join the group", &stop, || join(&shared));
            let Some(joined) = stop.run_until_cancelled(joining).await else { return Ok(()) };
            let seat = seat.insert(joined?);
            let Some(reason) = self.sit(seat, &mut pause).await? else { return Ok(()) };
            tracing::warn!(uid = shared.uid, reason, "the seat in the group ended; joining again");
            shared.status.wait(SEAT, Some(reason));
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return Ok(());
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }

    /// Reads what is assigned; until `stop` (`None`), or until the seat has ended, and why.
    async fn sit(&mut self, seat: &mut Membership, pause: &mut Duration) -> Result<Option<String>> {
        let stop = self.stop.clone();
        loop {
            let assigned = seat.assigned.borrow_and_update().clone();
            self.keep(&assigned);
            let partitions = match assigned {
                Assigned::Reads(partitions) => partitions,
                Assigned::Waiting => {
                    self.shared.status.wait(SEAT, Some("the group has not shared out the partitions yet".into()));
                    Vec::new()
                }
                Assigned::Ended { reason } => return Ok(Some(reason)),
            };
            let new: Vec<i32> = partitions.iter().copied().filter(|p| !self.held.contains_key(p)).collect();
            let shared = Arc::clone(&self.shared);
            let looking = shared.status.until_it_works("look for partitions", &stop, || look(&shared, &new));
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(None),
                changed = seat.assigned.changed() => {
                    if changed.is_err() {
                        return Ok(Some("the log was closed".into()));
                    }
                    continue;
                }
                starts = looking => starts?.into_iter().for_each(|start| self.read(start)),
            }
            if !partitions.is_empty() {
                *pause = FIRST_PAUSE;
            }
            if matches!(&*seat.assigned.borrow(), Assigned::Reads(_)) {
                self.shared.status.wait(SEAT, None);
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(None),
                changed = seat.assigned.changed() => if changed.is_err() {
                    return Ok(Some("the log was closed".into()));
                },
                () = tokio::time::sleep(shared.settings.heartbeat) => {}
                Some(ended) = self.running.join_next() => ended.unwrap_or_else(|_| Err(panicked()))?,
            }
        }
    }

    fn read(&mut self, Start { from, committed }: Start) {
        let lease = self.shared.progress.begin(from, committed);
        let stop = self.stop.child_token();
        self.held.insert(from.partition, (lease, stop.clone()));
        self.running.spawn(read::run(Arc::clone(&self.shared), (lease, from.offset), self.to.clone(), stop));
    }

    /// Ends the reading of what is not assigned any more.
    fn keep(&mut self, assigned: &Assigned) {
        for (_, (lease, stop)) in self.held.extract_if(.., |partition, _| !has(assigned, *partition)) {
            stop.cancel();
            self.shared.progress.end(lease);
        }
    }

    async fn join(&mut self) -> Result<()> {
        let mut outcome = Ok(());
        while let Some(ended) = self.running.join_next().await {
            outcome = outcome.and(ended.unwrap_or_else(|_| Err(panicked())));
        }
        outcome
    }
}

/// What a panic says may hold a user's value: it is on the standard error of the process, not here.
fn panicked() -> Error {
    Error::internal("a reader of the stream panicked: a mistake of this program, please report it")
}

async fn join(shared: &Shared) -> Result<Membership> {
    check_topic(shared).await?;
    shared.raw.join(&layout::stream_group(&shared.uid), &shared.source.topic).await
}

/// Makes sure that what was just read is of the topic that is meant: offsets of one that was made anew may reach as far. Who holds the
/// seat looks at every heartbeat; one that was asleep looks here, before anything goes on.
pub async fn still_the_same(shared: &Shared) -> Result<()> {
    let fresh = shared.looked.lock().as_ref().is_some_and(|at| at.elapsed() < LOOK_HOLDS + shared.settings.heartbeat);
    if fresh { Ok(()) } else { check_topic(shared).await }
}

async fn check_topic(shared: &Shared) -> Result<()> {
    let source = &shared.source;
    let began = Stopwatch::start();
    let id = shared.raw.id(&source.topic).await?;
    if source.topic_id.as_ref().is_some_and(|expected| *expected != id.topic) {
        return Err(Error::invalid(format!(
            "read topic {}: it was deleted and made again since this revision was prepared; prepare a new revision",
            source.topic
        )));
    }
    *shared.looked.lock() = Some(began);
    Ok(())
}

/// Whether it is the same topic still, how many partitions it has, and where to read the new ones: where the group left off, or at the
/// start that was given, or from the beginning.
async fn look(shared: &Shared, new: &[i32]) -> Result<Vec<Start>> {
    let source = &shared.source;
    check_topic(shared).await?;
    shared.progress.partitions(shared.raw.ends(&source.topic).await?.len());
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let committed = shared.raw.committed(&layout::stream_group(&shared.uid), &source.topic).await?;
    let find = |all: &[Position], partition: i32| all.iter().find(|p| p.partition == partition).map(|p| p.offset);
    let start = |partition: &i32| {
        let committed = find(&committed, *partition);
        let offset = committed.or_else(|| find(&source.starts, *partition)).unwrap_or(0);
        Start { from: Position { partition: *partition, offset }, committed }
    };
    Ok(new.iter().map(start).collect())
}
