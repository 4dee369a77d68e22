//! The two seams on real parts: Apache Kafka and an S3 server, started once for all of these tests from e2e/servers.
//! That they cannot be started fails the tests and says why.
#![cfg(all(feature = "kafka", feature = "process", feature = "s3"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests: what cannot be had fails the test")]

mod broken;
mod broker;
mod engine;
mod groups;
mod kafka_log;
mod lake;
mod movielens;
mod roles;
mod server;
mod whole;
