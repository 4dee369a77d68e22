//! Tress as its users have it: a real Kubernetes, the chart, real pods of the real images, events in by Kafka, sequences out by gRPC.
//! `e2e/check` brings all of it up and runs these tests; without a cluster they are ignored, and say so.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what cannot be had fails the test")]

mod chart;
mod configuration;
mod crowd;
#[expect(dead_code, reason = "what the tests with a played cluster declare, and ask at every moment; here not all of it")]
#[path = "../operator/definitions.rs"]
mod declared;
mod definitions;
mod deletion;
mod deployed;
mod disruption;
mod documented;
mod edits;
mod handover;
mod image;
#[expect(unused_imports, reason = "as above")]
#[path = "../operator/invariants/mod.rs"]
mod invariants;
#[expect(dead_code, reason = "as above")]
#[path = "../operator/kinds.rs"]
mod kinds;
mod letters;
mod many;
mod mistakes;
mod movielens;
mod operators;
mod outage;
#[path = "../../../engine/tests/servers/ratings.rs"]
mod ratings;
mod reading;
mod release;
mod renderer;
mod rights;
mod secrecy;
mod sharing;
mod site;
mod steadily;
#[expect(dead_code, reason = "as above")]
#[path = "../operator/store.rs"]
mod store;
mod watched;
// Tests run in the order of their names: this one harms all others, and is the last.
mod without_kinds;
mod witness;
mod written;
