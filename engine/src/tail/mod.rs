//! The streaming view of a signal: enriched events that base does not cover yet, and base beside them.
//!
//! ```text
//! changelog ─▶ hot (as it arrived, a chain per entity) ─freeze─▶ runs ─merge, drop what base covers─▶ larger runs ─spill─▶ disk
//!                  ╰───────────────────── ReadSet {base, runs, hot}: one per shard, swapped whole ─────────────────────╯
//! ```
//!
//! One writer a shard; readers take no lock. A row leaves only in the swap that shows readers the base that covers it.

mod grown;
mod hot;
mod read_set;
mod shard;
mod spill;
mod tier;

pub use read_set::{Held, ReadSet, Sealed};
pub use shard::{Frozen, Settings, Shard};
pub use spill::{TailRun, clear};

#[cfg(test)]
mod tests;
