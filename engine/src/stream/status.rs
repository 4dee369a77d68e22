//! How a stream is: what it waits for, how far it has come, what it counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::changelog::Published;
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::Processed;

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// What a stream does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamState {
    Running,
    /// Takes nothing in until what is named works again; nothing is lost meanwhile.
    Waiting {
        reason: String,
    },
    /// Stopped for good: the message says what to do.
    Failed {
        reason: String,
    },
}

/// What a stream counted since it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Raw records read.
    pub raw: u64,
    /// Rows written, tombstones included.
    pub rows: u64,
    pub dead: u64,
    pub not_ours: u64,
    pub yielded_nothing: u64,
}

/// Shared by the stream's tasks and its owner.
#[derive(Debug)]
pub struct Status {
    state: watch::Sender<StreamState>,
    published: watch::Sender<Vec<Published>>,
    /// What each task waits for.
    waits: Mutex<BTreeMap<String, String>>,
    counts: [AtomicU64; 5],
}

impl Default for Status {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(StreamState::Running),
            published: watch::Sender::new(Vec::new()),
            waits: Mutex::default(),
            counts: Default::default(),
        }
    }
}

impl Status {
    pub fn state(&self) -> watch::Receiver<StreamState> {
        self.state.subscribe()
    }

    pub fn published(&self) -> watch::Receiver<Vec<Published>> {
        self.published.subscribe()
    }

    pub fn counts(&self) -> Counts {
        let [raw, rows, dead, not_ours, yielded_nothing] = self.counts.each_ref().map(|c| c.load(Ordering::Relaxed));
        Counts { raw, rows, dead, not_ours, yielded_nothing }
    }

    pub fn count(&self, raw: usize, processed: &Processed) {
        let Processed { rows, dead, not_ours, yielded_nothing } = processed;
        let counted = [raw, rows.num_rows(), dead.len(), *not_ours, *yielded_nothing];
        for (counter, count) in self.counts.iter().zip(counted) {
            counter.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    pub fn publish(&self, positions: Vec<Published>) {
        self.published.send_replace(positions);
    }

    pub fn failed(&self, error: &Error) {
        self.state.send_replace(StreamState::Failed { reason: error.to_string() });
    }

    /// Runs a step until it works: what is full or does not answer is tried again, with pauses, and shown as waited for.
    ///
    /// # Errors
    /// What will not work later; and, once `stop` is cancelled, whatever the last try said.
    pub async fn until_it_works<T, F>(&self, who: &str, stop: &CancellationToken, mut step: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut pause = FIRST_PAUSE;
        // Also a step that is given up is not waited for any more.
        let _over = Over { status: self, who };
        loop {
            let error = match step().await {
                Ok(done) => return Ok(done),
                // A topic that was there is not gone because one answer says so: a broker that has just begun does not know it yet.
                Err(e)
                    if matches!(e.kind(), ErrorKind::Full | ErrorKind::NotFound | ErrorKind::Refused | ErrorKind::Unavailable)
                        && !stop.is_cancelled() =>
                {
                    e
                }
                Err(e) => return Err(e),
            };
            tracing::warn!(step = who, error = %error, "the stream waits");
            self.wait(who, Some(error.to_string()));
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                // One last try.
                () = stop.cancelled() => {}
            }
        }
    }

    /// Shows that something is waited for; `None` = no longer.
    pub fn wait(&self, who: &str, reason: Option<String>) {
        let mut waits = self.waits.lock();
        let changed = match reason {
            Some(reason) => waits.insert(who.to_owned(), reason.clone()).as_ref() != Some(&reason),
            None => waits.remove(who).is_some(),
        };
        if changed {
            let first = waits.values().next().cloned();
            self.state.send_replace(first.map_or(StreamState::Running, |reason| StreamState::Waiting { reason }));
        }
    }
}

/// Takes back what a step said that it waits for.
struct Over<'a> {
    status: &'a Status,
    who: &'a str,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.status.wait(self.who, None);
    }
}
