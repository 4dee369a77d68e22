//! `tress dev`: everything on this machine, in one process, for as long as it is wanted.
//!
//! ```text
//! inputs ─▶ records ─▶ feed ─▶ topics ─▶ Node ─▶ HTTP, gRPC
//! definitions ─▶ watch ─▶ reload ─▶ Node::apply
//! other commands ─▶ admin ─▶ operations
//! ```

pub mod admin;
pub mod feed;
mod fields;
mod follow;
pub mod input;
pub mod records;
pub mod reload;
pub mod report;
pub mod run;

pub use follow::AtEnd;
