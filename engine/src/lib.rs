//! The data flow: one pipeline, run by streaming, backfill, training and serving.
//!
//! ```text
//! Log ─▶ decode ─▶ pipeline (executor ─▶ lookup) ─▶ changelog ─▶ tail ┐
//!                              └──────────────────▶ history ──▶ base ─┴▶ read (merge ─▶ assemble) ─▶ serve | dataset
//! ```
//!
//! Two seams hold the outside world: [`log::Log`] and `object_store`. Everything between them is the same on a laptop and on a cluster.

pub mod changelog;
pub mod clock;
pub mod dead_letters;
pub mod entity;
pub mod error;
pub mod faults;
pub mod lake;
pub mod layout;
pub mod log;
pub mod lookup;
pub mod pipeline;
pub mod raw;
pub mod rows;
pub mod stream;

pub use error::{Error, ErrorKind, Result};
