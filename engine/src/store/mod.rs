//! What one process holds of signals, and how a feature is read from it.
//!
//! ```text
//! changelog ─▶ follow ─▶ signal {shards of base and tail, history, progress} ◀─ served (features)
//! ```

mod bases;
mod budget;
mod deep;
mod follow;
mod progress;
mod served;
mod signal;
mod snapshot;
mod turn;

pub use bases::Bases;
pub use budget::Budget;
pub use follow::Follower;
pub use progress::Progress;
pub use served::{Answer, ServedFeature, SignalState};
pub use signal::{BaseFacts, Installed, SignalStore};
pub use snapshot::{Taken, restore, take};
pub use turn::Turn;
