//! Everything that reads what others wrote, given millions of damaged copies of what it should be given: it says no, or yes, and
//! neither panics, nor ends the process, nor takes memory that the input does not pay for.
//!
//! Each target runs in a process of its own under a limit of memory, over a fixed row of cases; with `FUZZ_SECONDS`, for that long.
//! `fuzz/` feeds the same targets with what libFuzzer makes.

mod avro;
mod definitions;
mod mutate;
mod rows;
mod run;
#[path = "../kills/scenario.rs"]
mod scenario;
mod serving;
mod stored;
