//! What groups committed. A position carries the id of its topic: one of a topic that was deleted since counts for nothing.

use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::client::Client;
use super::credentials::Credentials;
use super::{REQUEST, refusal};
use crate::error::{Context, Result};
use crate::log::Position;

/// The most groups whose clients are kept.
const KEPT: usize = 16;

/// Commits for groups that have no members now; see `member` for those that have.
#[derive(Debug)]
pub struct Groups {
    credentials: Arc<Credentials>,
    /// The newest last.
    clients: Mutex<Vec<Kept>>,
}

/// The client of a group, and of which secrets it was made.
#[derive(Debug)]
struct Kept {
    group: String,
    generation: u64,
    client: Arc<Client>,
}

impl Groups {
    pub fn new(credentials: Arc<Credentials>) -> Self {
        Self { credentials, clients: Mutex::default() }
    }

    pub async fn commit(&self, group: &str, (topic, id): (&str, &str), positions: &[Position]) -> Result<()> {
        if positions.is_empty() {
            return Ok(());
        }
        let list = positions_of((topic, id), positions)?;
        let client = self.client(group)?;
        let committed = client.blocking(move |consumer| consumer.commit(&list, CommitMode::Sync)).await;
        committed.context(|| format!("commit {group} of topic {topic}"))
    }

    pub async fn committed(&self, group: &str, (topic, id): (&str, &str), partitions: i32) -> Result<Vec<Position>> {
        let mut wanted = TopicPartitionList::new();
        for partition in 0..partitions {
            wanted.add_partition(topic, partition);
        }
        let (client, id) = (self.client(group)?, id.to_owned());
        let found = client.blocking(move |consumer| {
            let list = consumer.committed_offsets(wanted, REQUEST)?;
            let mut found = Vec::new();
            for element in list.elements() {
                element.error()?;
                // Without an id: somebody set it by hand.
                let ours = element.metadata().is_empty() || element.metadata() == id;
                if let (Offset::Offset(offset), true) = (element.offset(), ours) {
                    found.push(Position { partition: element.partition(), offset });
                }
            }
            Ok(found)
        });
        found.await.context(|| format!("read what {group} committed of topic {topic}"))
    }

    /// Lets go of the client of a group.
    pub fn forget(&self, group: &str) {
        self.clients.lock().retain(|kept| kept.group != group);
    }

    fn client(&self, group: &str) -> Result<Arc<Client>> {
        let generation = self.credentials.generation();
        let mut clients = self.clients.lock();
        clients.retain(|kept| kept.generation == generation);
        if let Some(index) = clients.iter().position(|kept| kept.group == group) {
            let found = clients.remove(index);
            let client = Arc::clone(&found.client);
            clients.push(found);
            return Ok(client);
        }
        let mut config = self.credentials.connection().consumer()?;
        config.set("group.id", group);
        let client = Arc::new(Client::new(&config)?);
        if clients.len() >= KEPT {
            clients.remove(0);
        }
        clients.push(Kept { group: group.to_owned(), generation, client: Arc::clone(&client) });
        Ok(client)
    }
}

/// Positions of a topic, as Kafka takes them.
pub fn positions_of((topic, id): (&str, &str), positions: &[Position]) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for Position { partition, offset } in positions {
        let mut element = list.add_partition(topic, *partition);
        element.set_offset(Offset::Offset(*offset)).map_err(|e| refusal::of(&e, None))?;
        element.set_metadata(id);
    }
    Ok(list)
}
