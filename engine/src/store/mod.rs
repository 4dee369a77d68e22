//! What one process holds of signals, and how a feature is read from it.

mod served;

pub use served::{Answer, ServedFeature, SignalState};
