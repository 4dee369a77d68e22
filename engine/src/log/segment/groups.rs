//! What groups committed: a file per group and topic, replaced whole.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::durable;
use super::folder::Folder;
use crate::error::{Context, Error, Result};
use crate::faults::{self, Point};
use crate::log::Position;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Committed {
    version: u32,
    /// Positions of a topic that was deleted since are not of this one.
    topic_id: String,
    /// By partition.
    offsets: BTreeMap<i32, i64>,
}

/// All groups' positions.
#[derive(Debug)]
pub struct Groups {
    folder: Arc<Folder>,
    /// One change at a time: a commit reads, then replaces.
    changing: Mutex<()>,
}

impl Groups {
    pub fn open(folder: Arc<Folder>) -> Result<Self> {
        let groups = Self { folder, changing: Mutex::new(()) };
        std::fs::create_dir_all(groups.root()).context(|| format!("create {}", groups.root().display()))?;
        Ok(groups)
    }

    pub fn commit(&self, group: &str, (topic, topic_id): (&str, &str), positions: &[Position]) -> Result<()> {
        let _one = self.changing.lock();
        let path = self.path(group, topic);
        let mut offsets = self.read(group, (topic, topic_id))?;
        offsets.extend(positions.iter().map(|p| (p.partition, p.offset)));
        let committed = Committed { version: 1, topic_id: topic_id.to_owned(), offsets };
        let json = serde_json::to_vec(&committed).map_err(|e| Error::internal("write a group's positions").with_source(e))?;
        let folder = self.root().join(group);
        if !folder.is_dir() {
            let made = std::fs::create_dir_all(&folder).and_then(|()| self.folder.sync().folder(&self.root()));
            made.context(|| format!("create {}", folder.display()))?;
        }
        let staged = durable::stage(&path, &json, self.folder.sync())?;
        faults::point(Point::LogCommit)?;
        staged.publish()
    }

    pub fn committed(&self, group: &str, topic: (&str, &str)) -> Result<Vec<Position>> {
        Ok(self.read(group, topic)?.into_iter().map(|(partition, offset)| Position { partition, offset }).collect())
    }

    /// Forgets what a group committed for any topic.
    pub fn delete(&self, group: &str) -> Result<()> {
        let _one = self.changing.lock();
        let folder = self.root().join(group);
        match std::fs::remove_dir_all(&folder).and_then(|()| self.folder.sync().folder(&self.root())) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).context(|| format!("remove {}", folder.display())),
            _ => Ok(()),
        }
    }

    /// Forgets what any group committed for a topic.
    pub fn forget(&self, topic: &str) -> Result<()> {
        let _one = self.changing.lock();
        let doing = || format!("list {}", self.root().display());
        for group in std::fs::read_dir(self.root()).context(doing)? {
            let path = group.context(doing)?.path().join(format!("{topic}.json"));
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::from(e).while_doing(format!("remove {}", path.display())));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read(&self, group: &str, (topic, topic_id): (&str, &str)) -> Result<BTreeMap<i32, i64>> {
        let found: Option<Committed> = durable::read_json(&self.path(group, topic))?;
        Ok(found.filter(|c| c.topic_id == topic_id).map(|c| c.offsets).unwrap_or_default())
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("groups")
    }

    fn path(&self, group: &str, topic: &str) -> PathBuf {
        self.root().join(group).join(format!("{topic}.json"))
    }
}
