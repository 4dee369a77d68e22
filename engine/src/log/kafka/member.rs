//! A seat in a consumer group: the broker says what is ours, and takes positions only from who holds the partition.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, Statistics, TopicPartitionList};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::client::Watch;
use super::connection::Connection;
use super::credentials::Credentials;
use super::groups::positions_of;
use super::refusal;
use crate::clock::Stopwatch;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::log::{Assigned, Position};

/// How often the client looks at its group, in milliseconds.
const LOOK: &str = "1000";
/// After so many looks at a coordinator that is there and has given it nothing, there is nothing for a member: others read it all. Its first
/// answer names what is free, and what others give up for it they give up at their next heartbeat, 5 s later.
const LOOKS: u32 = 15;

/// How the group shares out partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// The broker decides (KIP-848): Apache Kafka 4.0 and newer.
    Broker,
    /// Members decide, moving only what has to move.
    Cooperative,
}

/// A seat.
pub struct Seat {
    pub group: String,
    topic: String,
    /// Of the topic that was joined: it travels with every position.
    topic_id: String,
    /// The task that serves it has it: it is closed there, where that may take its time.
    consumer: Weak<Mutex<Arc<StreamConsumer<Hearing>>>>,
    watch: Watch,
    assigned: watch::Receiver<Assigned>,
    leaving: CancellationToken,
    left: CancellationToken,
}

/// Hears what is assigned.
#[derive(Clone)]
struct Hearing {
    watch: Watch,
    /// Whether the consumer is the seat's: one that was replaced is not listened to.
    counts: Arc<AtomicBool>,
    held: Arc<Mutex<BTreeSet<i32>>>,
    /// How often the coordinator was seen in a row.
    looks: Arc<AtomicU32>,
    to: watch::Sender<Assigned>,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seat({} of {}: {:?})", self.group, self.topic, self.assigned.borrow())
    }
}

impl Seat {
    /// Joins; what is assigned comes later.
    pub fn take(credentials: &Arc<Credentials>, group: &str, (topic, topic_id): (&str, String)) -> Result<Self> {
        let watch = Watch::default();
        let (to, assigned) = watch::channel(Assigned::Waiting);
        let mut context = Hearing::new(&watch, to);
        let mut generation = credentials.generation();
        let first = open((credentials.connection(), Protocol::Broker), (group, topic), context.clone())?;
        let consumer = Arc::new(Mutex::new(first));
        let (current, credentials, names) = (consumer, Arc::clone(credentials), (group.to_owned(), topic.to_owned()));
        let (consumer, leaving, left) = (Arc::downgrade(&current), CancellationToken::new(), CancellationToken::new());
        let (leave, gone) = (leaving.clone(), left.clone());
        // Not joined here: it ends by `left`.
        drop(tokio::spawn(async move {
            // Told however this ends.
            let gone = gone.drop_guard();
            let mut protocol = Protocol::Broker;
            loop {
                let served = Arc::clone(&current.lock());
                let served_until = async {
                    tokio::select! {
                        code = serve(&served) => Ended::Failed(code),
                        () = credentials.renewed(generation) => Ended::Renewed,
                    }
                };
                let Some(why) = leave.run_until_cancelled(served_until).await else {
                    // Closing tells the group at once, so that others need not wait until the broker misses us. It blocks.
                    drop(tokio::task::spawn_blocking(move || drop((served, current, gone))));
                    return;
                };
                drop(served);
                context.let_go();
                let join = |protocol, context: &Hearing| open((credentials.connection(), protocol), (&names.0, &names.1), context.clone());
                let again = match (protocol, why) {
                    // What the one before still hears is of its own partitions; it leaves the group when it is dropped.
                    (_, Ended::Renewed) => {
                        context = context.of_another();
                        generation = credentials.generation();
                        join(protocol, &context)
                    }
                    (Protocol::Broker, Ended::Failed(Code::UnsupportedFeature | Code::UnsupportedVersion)) => {
                        protocol = Protocol::Cooperative;
                        join(protocol, &context)
                    }
                    (_, Ended::Failed(code)) => Err(refusal::of_code(code, None)),
                };
                match again {
                    Ok(consumer) => {
                        let before = std::mem::replace(&mut *current.lock(), consumer);
                        drop(tokio::task::spawn_blocking(move || drop(before)));
                    }
                    Err(e) => {
                        context.to.send_replace(Assigned::Ended { reason: format!("group {}: {e}", names.0) });
                        drop(tokio::task::spawn_blocking(move || drop((current, gone))));
                        return;
                    }
                }
            }
        }));
        let (group, topic) = (group.to_owned(), topic.to_owned());
        Ok(Self { group, topic, topic_id, consumer, watch, assigned, leaving, left })
    }

    /// Cancelled once the seat was given up.
    pub fn left(&self) -> CancellationToken {
        self.left.clone()
    }

    pub fn assigned(&self) -> watch::Receiver<Assigned> {
        self.assigned.clone()
    }

    /// Whether this seat is of the topic.
    pub fn reads(&self, topic: &str) -> bool {
        self.topic == topic
    }

    /// Commits positions of partitions that are ours.
    pub async fn commit(&self, positions: &[Position]) -> Result<()> {
        let doing = || format!("commit {} of topic {}", self.group, self.topic);
        if positions.is_empty() {
            return Ok(());
        }
        let ours = match &*self.assigned.borrow() {
            Assigned::Reads(ours) => ours.clone(),
            _ => Vec::new(),
        };
        if let Some(p) = positions.iter().find(|p| ours.binary_search(&p.partition).is_err()) {
            let message = format!("partition {} belongs to another member of the group by now", p.partition);
            return Err(Error::new(ErrorKind::Conflict, message)).context(doing);
        }
        let list = positions_of((&self.topic, &self.topic_id), positions)?;
        let consumer = self.consumer.upgrade().map(|current| Arc::clone(&current.lock()));
        let Some(consumer) = consumer else {
            return Err(Error::new(ErrorKind::Conflict, "the seat in the group has ended")).context(doing);
        };
        let start = Stopwatch::start();
        let committed = tokio::task::spawn_blocking(move || consumer.commit(&list, CommitMode::Sync)).await.map_err(refusal::ended)?;
        committed.map_err(|e| refusal::of(&e, self.watch.trouble(start))).context(doing)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leaving.cancel();
    }
}

fn open(
    (connection, protocol): (&Connection, Protocol),
    (group, topic): (&str, &str),
    context: Hearing,
) -> Result<Arc<StreamConsumer<Hearing>>> {
    let mut config = connection.consumer()?;
    config
        .set("group.id", group)
        .set("statistics.interval.ms", LOOK)
        // Records come another way: the next to nothing that comes here is dropped.
        .set("queued.min.messages", "1")
        .set("queued.max.messages.kbytes", "1");
    match protocol {
        Protocol::Broker => config.set("group.protocol", "consumer"),
        Protocol::Cooperative => config
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "1000"),
    };
    let consumer = StreamConsumer::from_config_and_context(&config, context).map_err(|e| refusal::of(&e, None))?;
    consumer.subscribe(&[topic]).map_err(|e| refusal::of(&e, None))?;
    Ok(Arc::new(consumer))
}

/// Why a consumer is served no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Failed(Code),
    /// Other secrets are mounted.
    Renewed,
}

/// Serves the group's events until the client fails for good; says why.
async fn serve(consumer: &StreamConsumer<Hearing>) -> Code {
    loop {
        match consumer.recv().await {
            Err(KafkaError::MessageConsumptionFatal(code)) => {
                return consumer.client().fatal_error().map_or(code, |(code, _)| code);
            }
            Err(e) if matches!(e.rdkafka_error_code(), Some(Code::GroupAuthorizationFailed | Code::TopicAuthorizationFailed)) => {
                return e.rdkafka_error_code().unwrap_or(Code::GroupAuthorizationFailed);
            }
            _ => {}
        }
    }
}

impl Hearing {
    fn new(watch: &Watch, to: watch::Sender<Assigned>) -> Self {
        Self { watch: watch.clone(), counts: Arc::new(AtomicBool::new(true)), held: Arc::default(), looks: Arc::default(), to }
    }

    fn change(&self, change: impl FnOnce(&mut BTreeSet<i32>)) {
        let mut held = self.held.lock();
        change(&mut held);
        if self.counts.load(Ordering::Acquire) {
            self.to.send_replace(Assigned::Reads(held.iter().copied().collect()));
        }
    }

    /// For the consumer that takes the place of this one's.
    fn of_another(&self) -> Self {
        let held = self.held.lock();
        self.counts.store(false, Ordering::Release);
        drop(held);
        self.to.send_replace(Assigned::Waiting);
        Self::new(&self.watch, self.to.clone())
    }

    /// A member that gets no partition is told so by nobody: its assignment was empty before.
    fn look(&self, coordinated: bool) {
        if !coordinated {
            self.looks.store(0, Ordering::Relaxed);
            return;
        }
        let held = self.held.lock();
        let has_waited = self.looks.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= LOOKS;
        if has_waited && held.is_empty() && self.counts.load(Ordering::Acquire) {
            self.to.send_if_modified(|assigned| {
                let waits = *assigned == Assigned::Waiting;
                if waits {
                    *assigned = Assigned::Reads(Vec::new());
                }
                waits
            });
        }
    }

    fn let_go(&self) {
        self.looks.store(0, Ordering::Relaxed);
        self.held.lock().clear();
        self.to.send_replace(Assigned::Waiting);
    }
}

impl ClientContext for Hearing {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.watch.log(level, fac, message);
    }

    fn stats(&self, told: Statistics) {
        self.look(told.cgrp.is_some_and(|group| group.state == "up"));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.watch.error(error, reason);
    }
}

impl ConsumerContext for Hearing {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<i32> = list.elements().iter().map(|e| e.partition()).collect();
        let done = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            // The group is to know that we have them; the records are read elsewhere, so nothing is fetched here.
            let taken =
                list.set_all_offsets(Offset::End).and_then(|()| consumer.incremental_assign(list)).and_then(|()| consumer.pause(list));
            self.change(|held| held.extend(partitions));
            taken
        } else {
            // Told before it is given up: from here on we commit nothing of it.
            self.change(|held| held.retain(|p| !partitions.contains(p)));
            consumer.incremental_unassign(list)
        };
        if let Err(e) = done {
            tracing::warn!(error = %e, "a change of the group's partitions was not taken in; the group will say again");
        }
    }
}
