//! Tress on a cluster, as a person with a kubeconfig sees it: nothing here does more than its user may.
//!
//! ```text
//! kubeconfig ─▶ connect ─▶ Cluster ─┬─ seen, follow ─▶ tree ──────────▶ status
//!                                   ├─ said ◀─ tunnel ◀─ pods ────────▶ freshness and lag in it
//!                                   ├─ read ─▶ tunnel ─▶ a serving pod ▶ get
//!                                   ├─ letters ─▶ a job ◀─ tunnel ───▶ deadletters
//!                                   ├─ folding ──────────▶ a Backfill ─▶ backfill
//!                                   └─ wish ─────▶ spec of an object ──▶ pause, resume, abort, retry
//! ```

pub mod connect;
pub mod folding;
pub mod follow;
pub mod letters;
pub mod read;
pub mod said;
pub mod seen;
pub mod target;
pub mod tree;
mod trouble;
pub mod tunnel;
pub mod wish;

pub use connect::Cluster;
