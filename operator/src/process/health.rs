//! Why the process is not ready, if it is not.

use std::sync::{Arc, PoisonError, RwLock};

/// Cheap to clone; clones show the same.
#[derive(Debug, Clone)]
pub(super) struct Health(Arc<RwLock<Option<String>>>);

impl Health {
    /// Not ready yet, because of this.
    pub fn waiting(why: &str) -> Self {
        Self(Arc::new(RwLock::new(Some(why.to_owned()))))
    }

    pub fn waits_for(&self, why: String) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    pub fn ready(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// `None` = it is ready.
    pub fn why_not(&self) -> Option<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
