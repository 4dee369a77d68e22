//! The data flow: one pipeline, run by streaming, backfill, training and serving.
//!
//! ```text
//! Log ─▶ decode ─▶ pipeline (executor ─▶ lookup) ─▶ changelog ─▶ tail ┐
//!                              └──────────────────▶ history ──▶ base ─┴▶ read (merge ─▶ assemble) ─▶ serve | dataset
//! ```
//!
//! Two seams hold the outside world: [`log::Log`] and `object_store`. Everything between them is the same on a laptop and on a cluster.

pub mod archive;
pub mod backfill;
pub mod base;
pub mod batch;
pub mod changelog;
pub mod clock;
pub mod dataset;
pub mod dead_letters;
pub mod decode;
pub mod entity;
pub mod error;
pub mod executor;
pub mod faults;
pub mod history;
pub mod identity;
pub mod lake;
pub mod layout;
pub mod log;
pub mod lookup;
pub mod metrics;
pub mod node;
pub mod pipeline;
pub mod platform;
pub mod pool;
pub mod prepare;
#[cfg(feature = "process")]
pub mod process;
pub mod raw;
pub mod read;
pub mod registry;
pub mod roles;
pub mod rows;
pub mod run;
pub mod serve;
pub mod store;
pub mod stream;
pub mod tail;
pub mod vacuum;

pub use error::{Error, ErrorKind, Result};
