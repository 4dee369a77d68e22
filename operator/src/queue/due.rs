//! Keys and when each is due. Pure: it is told the time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::Key;

/// The first pause after a failure; each further one is twice as long …
const FIRST: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST: Duration = Duration::from_secs(300);
/// The first pause after a conflict: what was written in between has to be seen first.
const CONFLICT: Duration = Duration::from_millis(20);
/// The longest.
const LONGEST_CONFLICT: Duration = Duration::from_secs(5);

/// How a look at a key ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// All is well; again then, if at all.
    Well(Option<Instant>),
    /// Somebody else was first.
    Conflict,
    Failed,
}

/// Keys, each once, with the time at which it is due.
#[derive(Debug, Default)]
pub struct Due {
    /// By time, for the next …
    times: BTreeSet<(Instant, Key)>,
    /// … and by key, for a change of it.
    keys: BTreeMap<Key, Instant>,
    /// Those that are being looked at; with when they are due again, if something changed meanwhile.
    looked_at: BTreeMap<Key, Option<Instant>>,
    /// How often in a row a key has failed, or met somebody else.
    troubled: BTreeMap<Key, u32>,
}

impl Due {
    /// `key` is due at `at`, or earlier if it is already. One that is being looked at is looked at again after that.
    pub fn add(&mut self, key: Key, at: Instant) {
        if let Some(again) = self.looked_at.get_mut(&key) {
            *again = Some(again.map_or(at, |earlier| earlier.min(at)));
            return;
        }
        match self.keys.get(&key) {
            Some(earlier) if *earlier <= at => return,
            Some(later) => {
                self.times.remove(&(*later, key.clone()));
            }
            None => {}
        }
        self.times.insert((at, key.clone()));
        self.keys.insert(key, at);
    }

    /// The next key that is due, to be looked at.
    pub fn take(&mut self, now: Instant) -> Option<Key> {
        let (at, _) = self.times.first()?;
        if *at > now {
            return None;
        }
        let (_, key) = self.times.pop_first()?;
        self.keys.remove(&key);
        self.looked_at.insert(key.clone(), None);
        Some(key)
    }

    /// A look at `key` has ended.
    pub fn ended(&mut self, key: &Key, seen: Seen, now: Instant) {
        let again = self.looked_at.remove(key).flatten();
        let at = match seen {
            Seen::Well(at) => {
                self.troubled.remove(key);
                at
            }
            Seen::Conflict => Some(now + self.pause(key, CONFLICT, LONGEST_CONFLICT)),
            Seen::Failed => Some(now + self.pause(key, FIRST, LONGEST)),
        };
        // What changed meanwhile is a reason to look at once, also after a failure.
        for at in [again, at].into_iter().flatten() {
            self.add(key.clone(), at);
        }
    }

    /// When the first of them is due.
    #[must_use]
    pub fn first(&self) -> Option<Instant> {
        self.times.first().map(|(at, _)| *at)
    }

    /// How many are due now.
    #[must_use]
    pub fn depth(&self, now: Instant) -> usize {
        self.times.iter().take_while(|(at, _)| *at <= now).count()
    }

    fn pause(&mut self, key: &Key, first: Duration, longest: Duration) -> Duration {
        let times = self.troubled.entry(key.clone()).or_default();
        let pause = first.saturating_mul(1u32.checked_shl(*times).unwrap_or(u32::MAX)).min(longest);
        *times = times.saturating_add(1).min(30);
        // Keys that failed together come again apart: up to a quarter earlier, each by its own hash.
        let hash = u32::try_from(xxhash_rust::xxh3::xxh3_64(key.to_string().as_bytes()) % 256).unwrap_or_default();
        pause - pause / 4 * hash / 256
    }
}
