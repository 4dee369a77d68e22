//! What is looked at next: keys, each once, a bounded number at a time, again after a while where it failed.
//!
//! ```text
//! changed objects ─▶ triggers ─▶ keys ─▶ due (each once, with its time) ─▶ work (bounded) ─▶ reconcile ─▶ Next | Error ─╮
//!                                         ▲────────────────────────────────────────────────────────────────────────────╯
//! ```

mod due;
#[cfg(test)]
mod tests;
mod trigger;
mod work;

use std::fmt;

use jiff::Timestamp;

pub use self::due::Due;
pub use self::trigger::Triggers;
pub use self::work::{Controller, Pace, Queue};

/// An object that is looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Empty = it has none.
    pub namespace: String,
    pub name: String,
}

impl Key {
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of an object.
    #[must_use]
    pub fn of<K: kube::Resource>(object: &K) -> Self {
        let meta = object.meta();
        Self { namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone().unwrap_or_default() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// When a key is looked at again, after all went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// When something changes.
    Rest,
    /// Then, or when something changes.
    At(Timestamp),
}
