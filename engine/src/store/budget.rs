//! What all bases of a process may take together, counted once per signal revision however many features read it.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};

/// A number of bytes that is shared out.
#[derive(Debug)]
pub struct Budget {
    bytes: u64,
    /// By UID of the signal revision.
    held: Mutex<BTreeMap<String, u64>>,
}

impl Budget {
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self { bytes, held: Mutex::new(BTreeMap::new()) }
    }

    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is held by all.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.held.lock().values().sum()
    }

    /// Lets `uid` hold so many bytes instead of what it holds, which is returned.
    ///
    /// # Errors
    /// `Full` when others hold too much for that: then it holds what it held.
    pub fn hold(&self, uid: &str, bytes: u64) -> Result<u64> {
        let mut held = self.held.lock();
        let own = held.get(uid).copied().unwrap_or(0);
        let others = held.values().sum::<u64>() - own;
        if bytes > own && others.saturating_add(bytes) > self.bytes {
            return Err(Error::new(
                ErrorKind::Full,
                format!(
                    "it has {bytes} bytes, others hold {others} of the {} that this process has for bases; give the pool more memory, or \
                     move features to another pool",
                    self.bytes
                ),
            ));
        }
        held.insert(uid.to_owned(), bytes);
        Ok(own)
    }

    /// `uid` goes on holding what it held before.
    pub fn put_back(&self, uid: &str, bytes: u64) {
        self.held.lock().insert(uid.to_owned(), bytes);
    }

    /// `uid` holds nothing any more.
    pub fn release(&self, uid: &str) {
        self.held.lock().remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_counted_once_and_given_back() {
        let budget = Budget::new(100);
        assert_eq!(budget.hold("a", 60).unwrap(), 0);
        assert_eq!(budget.hold("a", 70).unwrap(), 60, "the new in the place of the old, not beside it");
        let error = budget.hold("b", 31).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full);
        assert!(error.to_string().contains("more memory"), "{error}");
        assert_eq!((budget.used(), budget.hold("b", 30).unwrap()), (70, 0));
        budget.hold("a", 71).unwrap_err();
        budget.release("b");
        budget.hold("a", 100).unwrap();
        assert_eq!(budget.used(), 100);
    }
}
