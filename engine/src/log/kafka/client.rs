//! A client whose events are served, and what it last complained of.

use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Statistics};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::{REQUEST, refusal};
use crate::clock::Stopwatch;
use crate::error::{Error, Result};

/// How many calls of one client block at a time: each holds a thread and what that thread has of the heap, and all readers of a process
/// ask at once.
const CALLS: usize = 8;

/// Remembers why brokers cannot be reached: calls themselves only say that time ran out.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Mutex<Option<Trouble>>>);

/// What a client complained of.
#[derive(Debug, Clone)]
pub struct Trouble {
    pub code: RDKafkaErrorCode,
    /// In librdkafka's words: names brokers, no secrets.
    pub reason: String,
    at: Stopwatch,
}

impl Watch {
    /// The latest complaint since `start`.
    pub fn trouble(&self, start: Stopwatch) -> Option<Trouble> {
        self.0.lock().clone().filter(|t| t.at >= start)
    }
}

impl ClientContext for Watch {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        // What matters comes back as an error of the call that it made fail.
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => tracing::error!(fac, "librdkafka: {message}"),
            _ => tracing::debug!(fac, "librdkafka: {message}"),
        }
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        tracing::debug!(?code, "librdkafka: {reason}");
        let mut last = self.0.lock();
        // What follows the reason says less: that all brokers are down, and what was asked of one when its connection ended.
        let follows = code == RDKafkaErrorCode::AllBrokersDown || reason.contains(" in state DOWN)");
        if !follows || last.is_none() {
            *last = Some(Trouble { code, reason: reason.to_owned(), at: Stopwatch::start() });
        }
    }
}

impl ConsumerContext for Watch {}

/// A consumer and the task that serves its events. Dropping it ends both.
pub struct Client {
    pub consumer: Arc<StreamConsumer<Watch>>,
    pub watch: Watch,
    calls: Semaphore,
    serving: AbortHandle,
}

impl Client {
    pub fn new(config: &ClientConfig) -> Result<Self> {
        let watch = Watch::default();
        let consumer = StreamConsumer::from_config_and_context(config, watch.clone()).map_err(|e| refusal::of(&e, None))?;
        let consumer = Arc::new(consumer);
        let served = Arc::clone(&consumer);
        let task = tokio::spawn(async move {
            loop {
                // Records come by the queues of their partitions; what comes here has been remembered by the context.
                drop(served.recv().await);
            }
        });
        Ok(Self { consumer, watch, calls: Semaphore::new(CALLS), serving: task.abort_handle() })
    }

    /// Waits until one more call may block.
    pub async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        self.calls.acquire().await.map_err(|_| Error::internal("the gate of a client was closed"))
    }

    /// Runs a call of librdkafka's, which blocks, and explains its failure.
    pub async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&StreamConsumer<Watch>) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T> {
        let start = Stopwatch::start();
        // Those before it wait for a broker that does not answer: so does this one.
        let timed_out = |_| refusal::of_code(RDKafkaErrorCode::OperationTimedOut, self.watch.trouble(start));
        let _turn = timeout(REQUEST, self.turn()).await.map_err(timed_out)??;
        let consumer = Arc::clone(&self.consumer);
        let done = tokio::task::spawn_blocking(move || call(&consumer)).await.map_err(refusal::ended)?;
        done.map_err(|e| refusal::of(&e, self.watch.trouble(start)))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_connection_ended_is_told_rather_than_what_followed() {
        let (watch, start) = (Watch::default(), Stopwatch::start());
        let complain = |code, reason| watch.error(KafkaError::Global(code), reason);
        let told = || watch.trouble(start).map(|t| t.reason);
        assert_eq!(told(), None);
        let asked = "SASL authentication error: SaslAuthenticateRequest failed: Local: Broker transport failure (after 0ms in state DOWN)";
        complain(RDKafkaErrorCode::BrokerTransportFailure, asked);
        assert_eq!(told().as_deref(), Some(asked));
        let why = "Connection setup timed out in state AUTH_REQ (after 20003ms in state AUTH_REQ)";
        complain(RDKafkaErrorCode::BrokerTransportFailure, why);
        complain(RDKafkaErrorCode::BrokerTransportFailure, asked);
        complain(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        assert_eq!(told().as_deref(), Some(why));
    }
}
