//! Tress as its users have it: a real Kubernetes, the chart, real pods of the real images, events in by Kafka, sequences out by gRPC.
//! `e2e/check` brings all of it up and runs these tests; without a cluster they are ignored, and say so.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what cannot be had fails the test")]

mod definitions;
mod disruption;
mod documented;
mod mistakes;
mod movielens;
#[path = "../../../engine/tests/servers/ratings.rs"]
mod ratings;
mod secrecy;
mod site;
