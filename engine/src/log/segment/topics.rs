//! Topics: folders that have a `topic.json`, which is written last when one is made and goes first when one is deleted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use super::durable;
use super::folder::Folder;
use super::partition::Partition;
use crate::error::{Context, Error, Result};
use crate::log::limits::{no_partition, no_topic};

const DEFINITION: &str = "topic.json";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Definition {
    version: u32,
    id: String,
    partitions: i32,
}

/// A topic, open. Replaced whole when it grows.
#[derive(Debug)]
pub struct Topic {
    pub id: String,
    pub partitions: Vec<Arc<Partition>>,
}

/// All topics of a log.
#[derive(Debug)]
pub struct Topics {
    folder: Arc<Folder>,
    open: RwLock<BTreeMap<String, Arc<Topic>>>,
    /// One is made, grown or deleted at a time.
    changing: Mutex<()>,
}

impl Topic {
    pub fn partition(&self, topic: &str, partition: i32) -> Result<Arc<Partition>> {
        let found = usize::try_from(partition).ok().and_then(|p| self.partitions.get(p));
        found.cloned().ok_or_else(|| no_partition(topic, partition))
    }
}

impl Topics {
    /// Opens all topics, and returns also how many torn bytes were cut.
    pub fn open(folder: Arc<Folder>) -> Result<(Self, u64)> {
        let root = folder.path().join("topics");
        let doing = || format!("open {}", root.display());
        std::fs::create_dir_all(&root).context(doing)?;
        let topics = Self { folder, open: RwLock::default(), changing: Mutex::new(()) };
        let mut torn = 0;
        for entry in std::fs::read_dir(&root).context(doing)? {
            let name = entry.context(doing)?.file_name();
            let Some(name) = name.to_str() else { continue };
            let Some(definition) = durable::read_json::<Definition>(&root.join(name).join(DEFINITION))? else {
                // Begun but not made, or deleted but not yet gone.
                remove_folder(&root.join(name))?;
                continue;
            };
            let (topic, cut) = topics.open_topic(name, &definition)?;
            torn += cut;
            topics.open.write().insert(name.to_owned(), Arc::new(topic));
        }
        Ok((topics, torn))
    }

    pub fn get(&self, topic: &str) -> Result<Arc<Topic>> {
        self.open.read().get(topic).cloned().ok_or_else(|| no_topic(topic))
    }

    /// Makes a topic, or the partitions that it lacks.
    pub fn create(&self, name: &str, partitions: i32) -> Result<()> {
        let _one = self.changing.lock();
        let existing = self.open.read().get(name).cloned();
        let count = usize::try_from(partitions).map_err(|_| no_partition(name, partitions))?;
        let (id, mut all) = match existing {
            Some(topic) if topic.partitions.len() >= count => return Ok(()),
            Some(topic) => (topic.id.clone(), topic.partitions.clone()),
            None => (self.folder.new_topic_id()?, Vec::new()),
        };
        let folder = self.path(name);
        if all.is_empty() {
            remove_folder(&folder)?;
        }
        for partition in all.len()..count {
            let path = folder.join(partition.to_string());
            remove_folder(&path)?;
            std::fs::create_dir_all(&path).context(|| format!("create {}", path.display()))?;
            Partition::create(path.clone(), Arc::clone(&self.folder))?;
            all.push(Arc::new(Partition::open(path, Arc::clone(&self.folder))?.0));
        }
        let definition = Definition { version: 1, id: id.clone(), partitions };
        let json = serde_json::to_vec_pretty(&definition).map_err(|e| Error::internal("write topic.json").with_source(e))?;
        self.folder.sync().folder(&folder)?;
        durable::replace(&folder.join(DEFINITION), &json, self.folder.sync())?;
        self.folder.sync().folder(&self.folder.path().join("topics"))?;
        self.open.write().insert(name.to_owned(), Arc::new(Topic { id, partitions: all }));
        Ok(())
    }

    /// Deletes a topic; it is fine if there is none.
    pub fn delete(&self, name: &str) -> Result<()> {
        let _one = self.changing.lock();
        let folder = self.path(name);
        match std::fs::remove_file(folder.join(DEFINITION)) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed.and_then(|()| self.folder.sync().folder(&folder)).context(|| format!("delete topic {name}"))?,
        }
        if let Some(topic) = self.open.write().remove(name) {
            topic.partitions.iter().for_each(|p| p.delete());
        }
        remove_folder(&folder)
    }

    fn open_topic(&self, name: &str, definition: &Definition) -> Result<(Topic, u64)> {
        let mut torn = 0;
        let mut partitions = Vec::new();
        for partition in 0..definition.partitions {
            let (opened, cut) = Partition::open(self.path(name).join(partition.to_string()), Arc::clone(&self.folder))?;
            torn += cut;
            partitions.push(Arc::new(opened));
        }
        Ok((Topic { id: definition.id.clone(), partitions }, torn))
    }

    fn path(&self, topic: &str) -> PathBuf {
        self.folder.path().join("topics").join(topic)
    }
}

fn remove_folder(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done.context(|| format!("remove {}", path.display())),
    }
}
