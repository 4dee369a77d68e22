//! Control flow: what is declared and what is seen, to what is done next. Pure so far: no client, no clock, no writes.
//!
//! ```text
//! observe ─▶ compile (configs) ─▶ decide ─▶ apply ─▶ report
//!                                  ├─ attempt    whether one begins: an ordered list of gates
//!                                  ├─ rollout    one attempt: facts + now → the next phase, or an effect
//!                                  ├─ backfill   one recomputation: plan → work → seal
//!                                  ├─ schedule   when the next is due, and what was missed
//!                                  ├─ window     when a cutover may start
//!                                  └─ needed     which revisions run, are kept, or go
//!                     workload: (inputs) → objects        name, label: what they are called
//! ```

pub mod attempt;
pub mod backfill;
pub mod compile;
pub mod label;
pub mod name;
pub mod needed;
pub mod rollout;
pub mod schedule;
pub mod window;
pub mod workload;
