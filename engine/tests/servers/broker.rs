//! The Kafka of these tests, and topics in it that are nobody else's.

use std::sync::atomic::{AtomicU32, Ordering};

use tress_engine::log::KafkaLog;
use tress_engine::log::kafka::Connection;

use crate::server::Server;

/// The plain listener of the shared Kafka.
pub fn connection() -> Connection {
    Connection::plain(Server::kafka().tell("bootstrap"))
}

/// A new log on the shared Kafka.
pub fn log() -> KafkaLog {
    KafkaLog::open(connection()).expect("a log opens without talking to anybody")
}

/// A name that no other test has.
pub fn name(of: &str) -> String {
    static USED: AtomicU32 = AtomicU32::new(0);
    format!("{of}.{}", USED.fetch_add(1, Ordering::Relaxed))
}
