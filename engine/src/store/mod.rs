//! What one process holds of signals, and how a feature is read from it.
//!
//! ```text
//! changelog ─▶ follow ─▶ signal {shards of base and tail, history, progress} ◀─ served (features)
//! ```

mod deep;
mod progress;
mod served;
mod signal;

pub use progress::Progress;
pub use served::{Answer, ServedFeature, SignalState};
pub use signal::{BaseFacts, Installed, SignalStore};
