//! The most frequent hash, by counters for a few of them.
//!
//! Misra, Gries: Finding repeated elements (1982). With k counters, a count is too small by at most n / (k + 1).

/// How many hashes are counted at a time.
const COUNTERS: usize = 32;

#[derive(Debug, Default)]
pub struct Frequent {
    counters: Vec<(u64, u64)>,
    total: u64,
}

impl Frequent {
    pub fn add(&mut self, hash: u64) {
        self.total += 1;
        if let Some((_, count)) = self.counters.iter_mut().find(|(counted, _)| *counted == hash) {
            *count += 1;
        } else if self.counters.len() < COUNTERS {
            self.counters.push((hash, 1));
        } else {
            self.counters.retain_mut(|(_, count)| {
                *count -= 1;
                *count > 0
            });
        }
    }

    /// The share of the most frequent hash of all that some sketches have seen; `None` when they have seen none.
    pub fn share(sketches: &[&Self]) -> Option<f64> {
        let total: u64 = sketches.iter().map(|s| s.total).sum();
        if total == 0 {
            return None;
        }
        let all = || sketches.iter().flat_map(|s| &s.counters);
        let together = |hash: u64| all().filter(|(other, _)| *other == hash).map(|(_, count)| count).sum::<u64>();
        let most = all().map(|(hash, _)| together(*hash)).max().unwrap_or(0);
        Some(most as f64 / total as f64)
    }
}
