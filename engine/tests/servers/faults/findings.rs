//! What was found wrong, and what was counted.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

/// Everything of one run that is told in the end. Shared by all that check.
#[derive(Debug)]
pub struct Findings {
    began: Instant,
    found: Mutex<Vec<String>>,
    /// What is going on, for whoever reads a finding.
    round: Mutex<String>,
    /// No fault is in force: nothing may fail.
    calm: AtomicBool,
    pub reads: AtomicU64,
    /// Rows that were compared with the model while faults were in force.
    pub rows: AtomicU64,
    /// The longest that a read took, in ms.
    pub slowest: AtomicU64,
    /// How processes ended, by name and way.
    ends: Mutex<BTreeMap<String, u64>>,
}

impl Findings {
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            found: Mutex::default(),
            round: Mutex::new("before the first round".to_owned()),
            calm: AtomicBool::new(true),
            reads: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            slowest: AtomicU64::new(0),
            ends: Mutex::default(),
        }
    }

    /// Seconds since the run began.
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    pub fn say(&self, what: impl Display) {
        println!("{:7.1} s  {what}", self.seconds());
    }

    pub fn add(&self, what: impl Display) {
        let finding = format!("at {:.1} s, {}: {what}", self.seconds(), self.round.lock());
        println!("FINDING {finding}");
        let mut found = self.found.lock();
        // The first say what is wrong; a thousand more say it again.
        if found.len() < 50 {
            found.push(finding);
        }
    }

    pub fn all(&self) -> Vec<String> {
        self.found.lock().clone()
    }

    pub fn begin(&self, round: String) {
        self.say(&round);
        *self.round.lock() = round;
        self.calm.store(false, Ordering::SeqCst);
    }

    pub fn calm(&self) {
        self.calm.store(true, Ordering::SeqCst);
    }

    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    pub fn ended(&self, name: &str, how: &str) {
        *self.ends.lock().entry(format!("{name} {how}")).or_default() += 1;
    }

    pub fn ends(&self) -> Vec<(String, u64)> {
        self.ends.lock().iter().map(|(how, times)| (how.clone(), *times)).collect()
    }
}
