//! Topics: made, grown, deleted, and what they hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rdkafka::admin::{self, AdminClient, AdminOptions, NewPartitions, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{Client, Watch};
use super::connection::MissingTopics;
use super::credentials::Credentials;
use super::{REQUEST, describe, refusal};
use crate::clock::Stopwatch;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::log::limits::{no_partition, no_topic};
use crate::log::{Ends, NewTopic, Position, TopicId};

/// How long the cluster may take until everybody sees a topic made, grown or deleted.
const PROPAGATION: Duration = Duration::from_secs(20);

/// What is asked about topics.
pub struct Topics {
    credentials: Arc<Credentials>,
    clients: ArcSwap<Clients>,
    missing: MissingTopics,
    /// What was seen last: only to refuse early what cannot be.
    seen: Mutex<HashMap<String, Seen>>,
    /// By topic, the ends that were asked for last; held while asking, so that readers of many partitions ask once.
    ends: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Option<Asked>>>>>,
}

/// Who asks.
struct Clients {
    /// Of which secrets they were made.
    generation: u64,
    asking: Client,
    admin: AdminClient<Watch>,
}

#[derive(Debug, Clone)]
struct Seen {
    partitions: i32,
    id: Option<TopicId>,
}

#[derive(Debug)]
struct Asked {
    at: Stopwatch,
    ends: Vec<Ends>,
}

impl std::fmt::Debug for Topics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Topics")
    }
}

impl Topics {
    pub fn open(credentials: &Arc<Credentials>) -> Result<Self> {
        let clients = ArcSwap::from_pointee(Clients::open(credentials)?);
        let (missing, credentials) = (credentials.connection().missing, Arc::clone(credentials));
        Ok(Self { credentials, clients, missing, seen: Mutex::default(), ends: Mutex::default() })
    }

    fn clients(&self) -> Result<Arc<Clients>> {
        let clients = self.clients.load_full();
        if clients.generation == self.credentials.generation() {
            return Ok(clients);
        }
        let anew = Arc::new(Clients::open(&self.credentials)?);
        self.clients.store(Arc::clone(&anew));
        Ok(anew)
    }

    pub async fn create(&self, topic: &str, NewTopic { partitions, retention, replicas }: NewTopic) -> Result<()> {
        let doing = || format!("create topic {topic}");
        if self.missing == MissingTopics::Refuse {
            return match self.count(topic).await? {
                Some(has) if has >= partitions => Ok(()),
                found => Err(Error::not_found(format!(
                    "topic {topic}: it needs {partitions} partitions and has {}; this connection makes no topics, somebody else has to",
                    found.unwrap_or(0)
                ))),
            };
        }
        let retention = retention.map(|kept| kept.as_millis().to_string());
        let replicas = TopicReplication::Fixed(replicas.map_or(-1, i32::from));
        let mut new = admin::NewTopic::new(topic, partitions, replicas);
        if let Some(retention) = &retention {
            new = new.set("cleanup.policy", "delete").set("retention.ms", retention);
        }
        let clients = self.clients()?;
        let made = clients.ask(|admin| admin.create_topics([&new], &options())).await;
        match made.context(doing)? {
            None | Some(Code::TopicAlreadyExists) => {}
            Some(code) => return Err(refusal::of_code(code, None)).context(doing),
        }
        let has = self.until(topic, |count| count.is_some()).await?.unwrap_or(0);
        if has < partitions {
            let new = NewPartitions::new(topic, usize::try_from(partitions).unwrap_or(0));
            let grown = clients.ask(|admin| admin.create_partitions([&new], &options())).await;
            match grown.context(doing)? {
                // Somebody else was first: there are as many now.
                None | Some(Code::InvalidPartitions) => {}
                Some(code) => return Err(refusal::of_code(code, None)).context(doing),
            }
            self.until(topic, |count| count.is_some_and(|c| c >= partitions)).await?;
        }
        self.led(topic, has.max(partitions)).await
    }

    pub async fn delete(&self, topic: &str) -> Result<()> {
        let doing = || format!("delete topic {topic}");
        let gone = self.clients()?.ask(|admin| admin.delete_topics(&[topic], &options())).await;
        self.forget(topic);
        match gone.context(doing)? {
            None | Some(Code::UnknownTopicOrPartition) => {}
            Some(code) => return Err(refusal::of_code(code, None)).context(doing),
        }
        self.until(topic, |count| count.is_none()).await.map(drop)
    }

    /// Deletes a consumer group: it is the coordinator's, not a topic's, but it is asked for by the same client.
    pub async fn delete_group(&self, group: &str) -> Result<()> {
        let doing = || format!("delete group {group}");
        let gone = self.clients()?.ask(|admin| admin.delete_groups(&[group], &options())).await;
        match gone.context(doing)? {
            None | Some(Code::GroupIdNotFound) => Ok(()),
            Some(code) => Err(refusal::of_code(code, None)).context(doing),
        }
    }

    /// Asks who the topic is now.
    pub async fn id(&self, topic: &str) -> Result<TopicId> {
        let name = topic.to_owned();
        let clients = self.clients()?;
        let asked = clients.asking.blocking(move |consumer| {
            let timeout_ms = i32::try_from(REQUEST.as_millis()).unwrap_or(i32::MAX);
            let id = describe::topic_id(consumer.client(), &name, timeout_ms)?;
            let cluster = consumer.client().fetch_cluster_id(REQUEST).ok_or(KafkaError::AdminOp(Code::OperationTimedOut))?;
            Ok(TopicId { cluster, topic: id })
        });
        let id = asked.await.map_err(|e| named(topic, e))?;
        if let Some(seen) = self.seen.lock().get_mut(topic) {
            seen.id = Some(id.clone());
        }
        Ok(id)
    }

    /// Who the topic was when it was asked for last.
    pub async fn known_id(&self, topic: &str) -> Result<TopicId> {
        let known = self.seen.lock().get(topic).and_then(|s| s.id.clone());
        if let Some(known) = known {
            return Ok(known);
        }
        self.partitions(topic).await?;
        self.id(topic).await
    }

    /// Asks how many partitions there are now.
    pub async fn partitions(&self, topic: &str) -> Result<i32> {
        self.count(topic).await?.ok_or_else(|| no_topic(topic))
    }

    /// Refuses what is not there; asks only when it was not seen yet.
    pub async fn has(&self, topic: &str, partition: i32) -> Result<()> {
        let seen = self.seen.lock().get(topic).map(|s| s.partitions);
        if seen.is_some_and(|count| (0..count).contains(&partition)) {
            return Ok(());
        }
        let count = self.partitions(topic).await?;
        if (0..count).contains(&partition) { Ok(()) } else { Err(no_partition(topic, partition)) }
    }

    pub fn forget(&self, topic: &str) {
        self.seen.lock().remove(topic);
        self.ends.lock().remove(topic);
    }

    pub async fn ends(&self, topic: &str) -> Result<Vec<Ends>> {
        let count = self.partitions(topic).await?;
        let ends = self.ask_ends(topic, count).await.map_err(|e| named(topic, e));
        if ends.is_err() {
            self.forget(topic);
        }
        ends
    }

    /// As they are now or later than this call: calls for other partitions of the topic may be answered together.
    pub async fn ends_of(&self, topic: &str, partition: i32) -> Result<Ends> {
        let start = Stopwatch::start();
        let slot = Arc::clone(self.ends.lock().entry(topic.to_owned()).or_default());
        let mut slot = slot.lock().await;
        let known = slot.take().filter(|a| a.at > start);
        let asked = match known {
            Some(asked) => asked,
            None => Asked { at: Stopwatch::start(), ends: self.ends(topic).await? },
        };
        let found = usize::try_from(partition).ok().and_then(|p| asked.ends.get(p)).copied();
        *slot = Some(asked);
        found.ok_or_else(|| no_partition(topic, partition))
    }

    pub async fn trim(&self, topic: &str, before: &[Position]) -> Result<()> {
        let ends = self.ends(topic).await?;
        let mut offsets = TopicPartitionList::new();
        for Position { partition, offset } in before {
            let held = usize::try_from(*partition).ok().and_then(|p| ends.get(p)).ok_or_else(|| no_partition(topic, *partition))?;
            if *offset > held.start {
                offsets
                    .add_partition_offset(topic, *partition, Offset::Offset((*offset).min(held.end)))
                    .map_err(|e| refusal::of(&e, None))?;
            }
        }
        if offsets.count() == 0 {
            return Ok(());
        }
        let start = Stopwatch::start();
        let clients = self.clients()?;
        let trimmed = clients.admin.delete_records(&offsets, &options()).await;
        let trimmed = trimmed.and_then(|list| list.elements().iter().try_for_each(|e| e.error()));
        trimmed.map_err(|e| named(topic, refusal::of(&e, clients.asking.watch.trouble(start)))).context(|| format!("trim topic {topic}"))
    }

    /// Asks until the number of partitions (`None` = no topic) is as wanted.
    async fn until(&self, topic: &str, wanted: impl Fn(Option<i32>) -> bool) -> Result<Option<i32>> {
        let start = Stopwatch::start();
        let mut pause = Duration::from_millis(5);
        loop {
            let count = self.count(topic).await?;
            if wanted(count) {
                return Ok(count);
            }
            if start.elapsed() > PROPAGATION {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    format!("topic {topic}: the cluster has not done what was asked; it may yet"),
                ));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }

    /// Waits until every partition answers: a new one has no leader for moments.
    async fn led(&self, topic: &str, partitions: i32) -> Result<()> {
        let start = Stopwatch::start();
        let mut pause = Duration::from_millis(5);
        loop {
            match self.ask_ends(topic, partitions).await {
                Ok(_) => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Unavailable && start.elapsed() < PROPAGATION => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(500));
                }
                Err(e) => return Err(named(topic, e)),
            }
        }
    }

    async fn count(&self, topic: &str) -> Result<Option<i32>> {
        let name = topic.to_owned();
        let clients = self.clients()?;
        let asked = clients.asking.blocking(move |consumer| {
            let metadata = consumer.fetch_metadata(Some(&name), REQUEST)?;
            let found = metadata.topics().iter().find(|t| t.name() == name);
            let Some(found) = found else { return Err(KafkaError::MetadataFetch(Code::UnknownTopicOrPartition)) };
            match found.error() {
                Some(error) => Err(KafkaError::MetadataFetch(error.into())),
                None => Ok(i32::try_from(found.partitions().len()).unwrap_or(i32::MAX)),
            }
        });
        match asked.await {
            Ok(partitions) => {
                let mut seen = self.seen.lock();
                seen.entry(topic.to_owned()).or_insert(Seen { partitions, id: None }).partitions = partitions;
                Ok(Some(partitions))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {
                self.forget(topic);
                Ok(None)
            }
            Err(e) => Err(e.while_doing(format!("topic {topic}"))),
        }
    }

    async fn ask_ends(&self, topic: &str, count: i32) -> Result<Vec<Ends>> {
        let name = topic.to_owned();
        let clients = self.clients()?;
        clients
            .asking
            .blocking(move |consumer| {
                // By way of the lookup by time, whose special times mean both ends: one request a broker for all partitions.
                let side = |which: Offset| -> KafkaResult<BTreeMap<i32, i64>> {
                    let mut wanted = TopicPartitionList::new();
                    for partition in 0..count {
                        wanted.add_partition_offset(&name, partition, which)?;
                    }
                    let found = consumer.offsets_for_times(wanted, REQUEST)?;
                    let mut offsets = BTreeMap::new();
                    for element in found.elements() {
                        element.error()?;
                        let Offset::Offset(offset) = element.offset() else { return Err(KafkaError::OffsetFetch(Code::OperationTimedOut)) };
                        offsets.insert(element.partition(), offset);
                    }
                    Ok(offsets)
                };
                let (starts, ends) = (side(Offset::Beginning)?, side(Offset::End)?);
                let both = |partition| Some(Ends { start: *starts.get(&partition)?, end: *ends.get(&partition)? });
                (0..count).map(|p| both(p).ok_or(KafkaError::OffsetFetch(Code::UnknownPartition))).collect()
            })
            .await
    }
}

impl Clients {
    fn open(credentials: &Credentials) -> Result<Self> {
        // Before the files are read: what is mounted in between is noticed.
        let (generation, connection) = (credentials.generation(), credentials.connection());
        let asking = Client::new(&connection.consumer()?)?;
        let admin = AdminClient::from_config_and_context(&connection.config()?, Watch::default()).map_err(|e| refusal::of(&e, None))?;
        Ok(Self { generation, asking, admin })
    }

    /// One admin request about one topic or group; `Some` when the broker refused it.
    async fn ask<F>(&self, request: impl FnOnce(&AdminClient<Watch>) -> F) -> Result<Option<Code>>
    where
        F: Future<Output = KafkaResult<Vec<Result<String, (String, Code)>>>>,
    {
        let start = Stopwatch::start();
        let answers = request(&self.admin).await.map_err(|e| refusal::of(&e, self.asking.watch.trouble(start)))?;
        Ok(answers.into_iter().find_map(|answer| answer.err().map(|(_, code)| code)))
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST))
}

/// A missing topic is told as any log tells it.
fn named(topic: &str, error: Error) -> Error {
    if error.kind() == ErrorKind::NotFound { no_topic(topic) } else { error.while_doing(format!("topic {topic}")) }
}
