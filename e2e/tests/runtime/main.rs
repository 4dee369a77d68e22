//! What the operator's own parts promise of a real API server: views show own writes at once, writes are made once and repaired, deletes
//! mean one object, one process leads at a time.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what cannot be had fails the test")]

mod leaders;
mod server;
mod writes;
