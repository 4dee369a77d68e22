//! Per signal revision, the newest rows of every entity, as many as its features need: made from history, read by serving.
//!
//! ```text
//! demands of features ─┐
//! history ─ scan ─▶ floor (how far down each entity's rows are needed) ─▶ runs, a list of generations per shard ─▶ manifest n ─▶ load
//! ```
//!
//! A cache that makes reads fast, never the truth: what it cannot answer exactly is answered by history.

mod build;
mod demand;
mod floor;
mod load;
mod manifest;
mod shard;

pub use build::{update, update_marked};
pub use demand::{Demand, Demands};
pub use floor::{Horizon, Needs};
pub use load::{Base, Found, Residence};
pub use manifest::{Generation, Kind, Manifest, Mark};

#[cfg(test)]
mod tests;
