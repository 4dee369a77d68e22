//! The two seams, and Avro with a schema registry, on real parts: Apache Kafka, an S3 server and a registry, started once for all of
//! these tests from e2e/servers.
//! That they cannot be started fails the tests and says why.
#![cfg(all(feature = "azure", feature = "gcs", feature = "kafka", feature = "process", feature = "s3"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests: what cannot be had fails the test")]

mod avro;
mod broken;
mod broker;
mod crowd;
mod engine;
mod faults;
mod groups;
mod kafka_log;
mod lake;
mod movielens;
mod pool;
mod ratings;
mod roles;
mod rotation;
mod server;
mod transactions;
mod whole;
