//! Whether this process may be sent requests. Catching up gates the first time only: later staleness is told, not punished.

use std::sync::atomic::{AtomicBool, Ordering};

use super::reader::Reader;

/// Remembers that the process was ready once.
#[derive(Debug, Default)]
pub struct Readiness {
    reached: AtomicBool,
}

impl Readiness {
    /// Why the process is not ready; `None` when it is, or has been.
    pub fn why_not(&self, reader: &Reader) -> Option<String> {
        if self.reached.load(Ordering::Acquire) {
            return None;
        }
        let why = reader.not_ready();
        if why.is_none() {
            self.reached.store(true, Ordering::Release);
        }
        why
    }
}
