//! What happens of all that may happen: the same for the same seed.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// How unkind the world is, in basis points of all actions of a kind.
#[derive(Debug, Clone, Copy)]
pub struct Mood {
    /// An action takes up to so long.
    pub slow: Duration,
    /// Routes that are mounted arrive after up to so long.
    pub mount: Duration,
    /// Pods of jobs are lost, and leave no word.
    pub lost: u32,
    /// Jobs fail for now.
    pub fails: u32,
    /// Jobs do their work, and what they say of it is lost.
    pub unheard: u32,
    /// Serving pods do not answer a call.
    pub silent: u32,
    /// Calls to the API server are refused: a conflict, too many requests, an internal error.
    pub refused: u32,
    /// Calls to the API server are done, and the answer is lost.
    pub unanswered: u32,
}

impl Mood {
    pub const CALM: Self = Self {
        slow: Duration::from_millis(20),
        mount: Duration::from_millis(200),
        lost: 0,
        fails: 0,
        unheard: 0,
        silent: 0,
        refused: 0,
        unanswered: 0,
    };
    pub const ROUGH: Self = Self {
        slow: Duration::from_millis(150),
        mount: Duration::from_millis(1500),
        lost: 1000,
        fails: 1000,
        unheard: 1000,
        silent: 500,
        refused: 400,
        unanswered: 400,
    };
}

/// Decides, by a seed, by what is asked, and by how often it was asked before.
#[derive(Debug)]
pub struct Fate {
    seed: u64,
    pub mood: Mood,
    asked: Mutex<HashMap<String, u64>>,
}

impl Fate {
    pub fn new(seed: u64, mood: Mood) -> Self {
        Self { seed, mood, asked: Mutex::default() }
    }

    /// A number for the next time that this is asked.
    fn next(&self, what: &str) -> u64 {
        let mut asked = self.asked.lock().unwrap();
        let times = asked.entry(what.to_owned()).or_default();
        *times += 1;
        let mut state = self.seed ^ times.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in what.bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ (state >> 31)
    }

    /// Whether it happens this time. `share`: in basis points.
    pub fn happens(&self, share: u32, what: &str) -> bool {
        share > 0 && self.next(what) % 10_000 < u64::from(share)
    }

    /// How long it takes this time.
    pub fn takes(&self, at_most: Duration, what: &str) -> Duration {
        let micros = u64::try_from(at_most.as_micros()).unwrap();
        Duration::from_micros(self.next(what) % micros.max(1))
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// One of `n`.
    pub fn one_of(&self, n: usize, what: &str) -> usize {
        usize::try_from(self.next(what) % n as u64).unwrap()
    }
}

#[test]
fn the_same_seed_decides_the_same_and_shares_are_kept() {
    let drawn = |seed| {
        let fate = Fate::new(seed, Mood::ROUGH);
        (0..10_000).map(|_| fate.happens(1000, "x")).collect::<Vec<_>>()
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
    let happened = drawn(3).iter().filter(|h| **h).count();
    assert!((800..1200).contains(&happened), "{happened}");
}
