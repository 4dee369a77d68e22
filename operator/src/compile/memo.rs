//! What was made of something and may be asked for again: the newest uses stay, within a budget.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Values by key. What was not asked for the longest goes first when all together weigh more than the budget.
#[derive(Debug)]
pub(super) struct Memo<V> {
    kept: Mutex<Kept<V>>,
    /// In bytes, of all values together.
    budget: usize,
}

#[derive(Debug)]
struct Kept<V> {
    by_key: HashMap<String, Entry<V>>,
    weight: usize,
    /// Rises with every use.
    uses: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: Arc<V>,
    weight: usize,
    used: u64,
}

impl<V> Memo<V> {
    pub fn new(budget: usize) -> Self {
        Self { kept: Mutex::new(Kept { by_key: HashMap::new(), weight: 0, uses: 0 }), budget }
    }

    /// What is remembered of `key`; otherwise what `make` gives, with its weight in bytes. Two who ask at once may both make it.
    pub fn get_or(&self, key: String, make: impl FnOnce() -> (V, usize)) -> Arc<V> {
        if let Some(found) = self.find(&key) {
            return found;
        }
        let (value, weight) = make();
        let value = Arc::new(value);
        self.put(key, Arc::clone(&value), weight);
        value
    }

    /// What is remembered of `key`.
    pub fn find(&self, key: &str) -> Option<Arc<V>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let now = kept.uses;
        let entry = kept.by_key.get_mut(key)?;
        entry.used = now;
        Some(Arc::clone(&entry.value))
    }

    fn put(&self, key: String, value: Arc<V>, weight: usize) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let used = kept.uses;
        kept.weight += weight;
        if let Some(before) = kept.by_key.insert(key, Entry { value, weight, used }) {
            kept.weight -= before.weight;
        }
        if kept.weight > self.budget {
            kept.shrink(self.budget / 2);
        }
    }
}

impl<V> Kept<V> {
    /// Half of the budget at once, so that it is seldom.
    fn shrink(&mut self, to: usize) {
        let mut oldest: Vec<(u64, String)> = self.by_key.iter().map(|(key, entry)| (entry.used, key.clone())).collect();
        oldest.sort_unstable();
        for (_, key) in oldest {
            if self.weight <= to {
                return;
            }
            if let Some(gone) = self.by_key.remove(&key) {
                self.weight -= gone.weight;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_again_is_not_made_again_and_what_was_not_asked_for_goes_first() {
        let memo: Memo<u32> = Memo::new(10);
        let ask = |key: &str, value: u32| *memo.get_or(key.to_owned(), || (value, 4));
        assert_eq!((ask("a", 1), ask("b", 2), ask("a", 9)), (1, 2, 1));
        // Twelve of ten: down to five, the newest uses first.
        assert_eq!(ask("c", 3), 3);
        assert_eq!((ask("c", 9), ask("b", 8)), (3, 8));
    }

    #[test]
    fn what_weighs_more_than_all_may_is_given_and_not_kept() {
        let memo: Memo<u32> = Memo::new(10);
        assert_eq!(*memo.get_or("a".to_owned(), || (1, 100)), 1);
        assert_eq!(*memo.get_or("a".to_owned(), || (2, 100)), 2);
        assert_eq!(memo.kept.lock().unwrap().weight, 0);
    }
}
