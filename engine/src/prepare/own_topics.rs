//! The topics that Tress makes for a signal revision. What they are called is recorded, so that another template changes nothing that
//! exists.

use serde::{Deserialize, Serialize};
use tress_configs::SignalPlan;
use tress_configs::platform::Topics;

use super::Revision;
use crate::error::{Error, Result};
use crate::layout;
use crate::log::NewTopic;
use crate::platform::Platform;

/// Changelog and dead letters, in the log that keeps Tress's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnTopics {
    /// Identity of the log's cluster; `None` in the records of older programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    pub changelog: String,
    pub dead_letters: String,
}

impl OwnTopics {
    /// As older programs called them, which recorded no names.
    #[must_use]
    pub fn of_uid(uid: &str) -> Self {
        Self { cluster: None, changelog: layout::changelog(uid), dead_letters: layout::dead_letters(uid) }
    }
}

impl Revision {
    /// Its changelog and dead letters.
    #[must_use]
    pub fn topics(&self) -> OwnTopics {
        self.topics.clone().unwrap_or_else(|| OwnTopics::of_uid(&self.uid))
    }
}

/// What the topics of a revision are called; as follows from the UID when nothing is recorded.
///
/// # Errors
/// When the lake does not answer, or the record is damaged.
pub async fn topics(platform: &Platform, uid: &str) -> Result<OwnTopics> {
    Ok(super::read(platform, uid).await?.map_or_else(|| OwnTopics::of_uid(uid), |revision| revision.topics()))
}

/// Makes the topics of a new revision, as the platform has it.
pub async fn make(platform: &Platform, plan: &SignalPlan, uid: &str) -> Result<OwnTopics> {
    let settings = platform.topics();
    let stem = settings.stem(&plan.name, uid);
    let (changelog, dead_letters) = (layout::changelog_of(&stem), layout::dead_letters_of(&stem));
    let Topics { create: _, name: _, retention, replicas } = settings;
    let retention = Some(std::time::Duration::from_millis(retention.millis().unsigned_abs()));
    let partitions = i32::try_from(plan.shards).map_err(|_| Error::internal("prepare: shards of a plan are few"))?;
    let own = platform.own_log();
    own.make(&changelog, NewTopic { partitions, retention, replicas }).await?;
    own.make(&dead_letters, NewTopic { partitions: 1, retention, replicas }).await?;
    Ok(OwnTopics { cluster: Some(own.id(&changelog).await?.cluster), changelog, dead_letters })
}
