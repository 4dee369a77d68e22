//! Who reads which partitions of a topic, among processes that share them.

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What this process reads of the topic, as a member of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assigned {
    /// The group has not decided yet.
    Waiting,
    /// These partitions, sorted; none, where others read them all. Of one that is missing since, work in flight is dropped: another member
    /// reads it again.
    Reads(Vec<i32>),
    /// For good: join again, or do what it says.
    Ended { reason: String },
}

/// A seat in a group. Dropping it gives its partitions to others, some time later.
pub struct Membership {
    pub assigned: watch::Receiver<Assigned>,
    /// The group knows that the seat was given up.
    left: CancellationToken,
    seat: Box<dyn Send + Sync>,
}

impl Membership {
    /// `seat` is given up by dropping it; `left` is cancelled once the group knows.
    pub fn new(assigned: watch::Receiver<Assigned>, seat: impl Send + Sync + 'static, left: CancellationToken) -> Self {
        Self { assigned, left, seat: Box::new(seat) }
    }

    /// Gives the seat up, and returns when its partitions may go to others.
    pub async fn leave(self) {
        drop(self.seat);
        self.left.cancelled().await;
    }
}

impl std::fmt::Debug for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Membership({:?})", self.assigned.borrow())
    }
}

/// Groups of a log that one process has to itself: whoever joins reads everything, also what is added later.
#[derive(Debug, Default)]
pub struct Alone(Mutex<Vec<(String, watch::Sender<Assigned>)>>);

impl Alone {
    pub fn join(&self, topic: &str, partitions: usize) -> Membership {
        let (to, assigned) = watch::channel(all(partitions));
        self.0.lock().push((topic.to_owned(), to));
        let left = CancellationToken::new();
        Membership::new(assigned, left.clone().drop_guard(), left)
    }

    /// The topic has this many partitions now.
    pub fn grown(&self, topic: &str, partitions: usize) {
        let mut seats = self.0.lock();
        seats.retain(|(_, to)| !to.is_closed());
        for (_, to) in seats.iter().filter(|(of, _)| of == topic) {
            to.send_replace(all(partitions));
        }
    }
}

fn all(partitions: usize) -> Assigned {
    Assigned::Reads((0..i32::try_from(partitions).unwrap_or(i32::MAX)).collect())
}
