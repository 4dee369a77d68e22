//! Control flow: what is declared and what is seen, to what is done next.
//!
//! ```text
//! cluster (watched, with own writes) ─▶ queue ─▶ reconcile: observe ─▶ compile ─▶ decide ─▶ apply ─▶ report
//!                                                                                 │
//!                                  ├─ attempt    whether one begins: an ordered list of gates
//!                                  ├─ rollout    one attempt: facts + now → the next phase, or an effect
//!                                  ├─ backfill   one recomputation: plan → work → seal
//!                                  ├─ schedule   when the next is due, and what was missed
//!                                  ├─ window     when a cutover may start
//!                                  └─ needed     which revisions run, are kept, or go
//!                     workload: (inputs) → objects        name, label: what they are called
//! around it:  process, leader, platform (its configuration), control (serving pods), event, metrics
//! ```

pub mod apply;
pub mod attempt;
pub mod backfill;
pub mod clock;
pub mod cluster;
pub mod compile;
pub mod context;
pub mod control;
pub mod deletion;
pub mod error;
pub mod event;
pub mod feature;
#[cfg(test)]
mod fixture;
pub mod jobs;
pub mod label;
pub mod leader;
pub mod metrics;
pub mod name;
pub mod namespace;
pub mod needed;
pub mod needs;
pub mod platform;
pub mod pool;
pub mod process;
pub mod queue;
pub mod rollout;
pub mod schedule;
pub mod sequence_revision;
pub mod signal;
pub mod signal_revision;
pub mod window;
pub mod workload;

pub use context::Context;
pub use error::{Error, Result};
