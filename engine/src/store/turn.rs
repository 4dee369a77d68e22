//! Whose turn it is to keep a tail in the lake, where several processes follow one signal revision.

use std::sync::Arc;
use std::time::Duration;

use super::{SignalStore, Taken, snapshot};
use crate::clock::Clock;
use crate::error::Result;

/// What one process knows of the snapshots of a signal revision. Who took the last goes on, and writes only what is new; the others
/// step in when it does not. No clock is compared with another's: a snapshot is as old as it was seen here.
#[derive(Debug)]
pub struct Turn {
    every: Duration,
    clock: Arc<dyn Clock>,
    /// The last that this process took.
    ours: Option<u64>,
    /// The newest that was seen, 0 = none, and since when, µs.
    seen: (u64, i64),
}

impl Turn {
    /// `every`: how often a snapshot is to be taken.
    #[must_use]
    pub fn new(every: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { every, ours: None, seen: (0, clock.now_micros()), clock }
    }

    /// Takes a snapshot if it is time for one and for this process to take it; `None` = it is not.
    ///
    /// # Errors
    /// As [`super::take`].
    pub async fn take(&mut self, store: &SignalStore) -> Result<Option<Taken>> {
        let newest = snapshot::newest(store).await?.unwrap_or(0);
        let now = self.clock.now_micros();
        if newest != self.seen.0 {
            self.seen = (newest, now);
        }
        let patience = if self.ours == Some(newest) { self.every } else { self.every * 2 };
        if u128::from(now.saturating_sub(self.seen.1).max(0).unsigned_abs()) < patience.as_micros() {
            return Ok(None);
        }
        let taken = snapshot::take(store).await?;
        if let Taken::Kept { number, .. } = taken {
            self.ours = Some(number);
            self.seen = (number, now);
        }
        Ok(Some(taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::FixedClock;
    use crate::history::fixture::{Event, event, history, rows};
    use crate::tail::Settings;

    fn number(taken: Option<Taken>) -> Option<u64> {
        taken.and_then(|taken| if let Taken::Kept { number, .. } = taken { Some(number) } else { None })
    }

    #[tokio::test]
    async fn who_took_the_last_goes_on_and_another_steps_in_when_it_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = || SignalStore::new(history(folder.path()), &Settings { memory: usize::MAX, spill_to: None });
        let (one, other) = (store(), store());
        for store in [&one, &other] {
            store.shards()[0].append(rows(&[Event { at: (0, 1), ..event("u", 1, 1) }]), 2).unwrap();
        }
        let clock = Arc::new(FixedClock::new(0));
        let every = Duration::from_micros(60);
        let (mut first, mut second) = (Turn::new(every, clock.clone()), Turn::new(every, clock.clone()));
        assert_eq!(first.take(&one).await.unwrap(), None, "what is younger is left to whoever began before");
        clock.set(120);
        assert_eq!(number(first.take(&one).await.unwrap()), Some(1));
        assert_eq!(second.take(&other).await.unwrap(), None);
        for n in 2..5 {
            clock.set(60 + 60 * i64::try_from(n).unwrap());
            assert_eq!(number(first.take(&one).await.unwrap()), Some(n));
            assert_eq!(second.take(&other).await.unwrap(), None, "a snapshot a period, not one a process");
        }
        // The first is gone.
        clock.set(360);
        assert_eq!(second.take(&other).await.unwrap(), None);
        clock.set(420);
        assert_eq!(number(second.take(&other).await.unwrap()), Some(5));
    }
}
