//! Tress as its users have it: a real Kubernetes, the chart, real pods of the real images, events in by Kafka, sequences out by gRPC.
//! `e2e/check` brings all of it up and runs these tests; without a cluster they are ignored, and say so.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what cannot be had fails the test")]

mod chart;
mod configuration;
mod definitions;
mod deployed;
mod disruption;
mod handover;
mod image;
mod letters;
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
mod site;
mod written;
