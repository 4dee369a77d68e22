//! Who asked for a revision by its digest, lately: it stays while somebody does.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// The most consumers that are remembered of one revision; who asked longest ago is forgotten first.
const MAX: usize = 100;

/// Of one revision.
#[derive(Debug, Default)]
pub struct Pins {
    /// When each consumer asked last, µs.
    seen: Mutex<BTreeMap<String, i64>>,
}

/// A consumer that asked for a revision by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// As it names itself; empty = it does not.
    pub consumer: String,
    /// When it asked last, µs.
    pub at: i64,
}

impl Pins {
    /// `consumer` asks at `now`, µs.
    pub fn note(&self, consumer: &str, now: i64) {
        let mut seen = self.seen.lock();
        if let Some(at) = seen.get_mut(consumer) {
            *at = now.max(*at);
            return;
        }
        if seen.len() >= MAX
            && let Some(oldest) = seen.iter().min_by_key(|(_, at)| **at).map(|(consumer, _)| consumer.clone())
        {
            seen.remove(&oldest);
        }
        seen.insert(consumer.to_owned(), now);
    }

    /// By name.
    #[must_use]
    pub fn all(&self) -> Vec<Pin> {
        self.seen.lock().iter().map(|(consumer, at)| Pin { consumer: consumer.clone(), at: *at }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumers_are_remembered_as_far_as_there_is_room() {
        let pins = Pins::default();
        pins.note("ranker", 5);
        for n in 0..i64::try_from(MAX).expect("small") - 1 {
            pins.note(&format!("job-{n}"), 10 + n);
        }
        pins.note("ranker", 500);
        pins.note("another", 501);
        let all = pins.all();
        assert_eq!(all.len(), MAX);
        assert!(all.contains(&Pin { consumer: "ranker".into(), at: 500 }) && all.iter().any(|pin| pin.consumer == "another"));
        assert!(all.iter().all(|pin| pin.consumer != "job-0"), "who asked longest ago is forgotten");
    }
}
