//! What becomes of the records of one append: counted down by librdkafka's thread, told once, when the last of them is decided.

use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::Statistics;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{NoCustomPartitioner, ProducerContext};
use tokio::sync::oneshot;

use super::client::Watch;

/// The records of one append that are under way. Each of them holds it, and so does who queues them.
#[derive(Debug)]
pub struct Delivery(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Who holds it.
    left: usize,
    outcome: Outcome,
    told: Option<oneshot::Sender<Outcome>>,
}

/// What became of them.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The least offset; `None` = nothing was stored.
    pub first: Option<i64>,
    /// Why some were not.
    pub refused: Option<KafkaError>,
}

impl Delivery {
    /// Of so many records. What became of them comes when each was delivered or refused and [`Delivery::queued`] was called.
    pub fn of(records: usize) -> (Arc<Self>, oneshot::Receiver<Outcome>) {
        let (told, outcome) = oneshot::channel();
        (Arc::new(Self(Mutex::new(State { left: records + 1, outcome: Outcome::default(), told: Some(told) }))), outcome)
    }

    /// All that will ever be queued is; `refused`: the last ones were not, and why.
    pub fn queued(&self, refused: Option<(usize, KafkaError)>) {
        let (not_queued, refused) = refused.map_or((0, None), |(records, e)| (records, Some(e)));
        self.decided(1 + not_queued, |outcome| outcome.refused = refused.or(outcome.refused.take()));
    }

    fn decided(&self, count: usize, how: impl FnOnce(&mut Outcome)) {
        let mut state = self.0.lock();
        how(&mut state.outcome);
        state.left = state.left.saturating_sub(count);
        if state.left == 0
            && let Some(told) = state.told.take()
        {
            // Whoever asked may be gone.
            drop(told.send(std::mem::take(&mut state.outcome)));
        }
    }
}

/// A producer's context: complaints go to its watch, deliveries to their appends.
#[derive(Debug)]
pub struct Deliveries(pub Watch);

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.0.log(level, fac, message);
    }

    fn stats(&self, statistics: Statistics) {
        self.0.stats(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = Arc<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Arc<Delivery>) {
        delivery.decided(1, |outcome| match result {
            Ok(message) => outcome.first = Some(outcome.first.map_or(message.offset(), |first| first.min(message.offset()))),
            Err((e, _)) => outcome.refused = outcome.refused.take().or_else(|| Some(e.clone())),
        });
    }
}
