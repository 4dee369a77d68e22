//! The parts of one signal revision that run: each alone in a process of its own on a cluster, all together in a node on one machine.
//!
//! ```text
//! streamed: raw topic ─▶ changelog          followed: changelog ─▶ tail ─┐
//! fold:     raw log ─▶ history ─▶ base ─────────────▶ announced ─▶ base ─┴▶ what features read
//!           supervise: keeps their tasks going
//! ```

pub mod fold;
mod followed;
mod metered;
mod streamed;
mod supervise;

pub use followed::{Followed, Place, Trim};
pub use streamed::Streamed;
pub use supervise::{Health, Now, Role, Tasks, Trouble};
