//! Tests of definitions: raw events in, rows of a sequence out, through the real engine.

mod compare;
mod run;
mod sandbox;

pub use run::{Verdict, run};
pub use sandbox::tables;
