//! What a signal revision is made of, as recorded in the lake.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::OwnTopics;
use crate::registry::ReaderSchema;

/// The format of the record.
///
/// 2: `topics`. An older program would look for them under other names.
pub const VERSION: u32 = 2;

/// A signal revision. Its history and base follow from the UID (`layout`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    pub version: u32,
    pub uid: String,
    /// Of the signal's plan.
    pub digest: String,
    /// Identity of the log's cluster.
    pub cluster: String,
    pub topic: String,
    /// Identity of the topic: one that was deleted and made again has another.
    pub topic_id: String,
    /// Identity of each object store that is read besides the lake, by connection: bucket and prefix. Folders have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stores: BTreeMap<String, String>,
    /// The schema that the records are read as, where they need one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<ReaderSchema>,
    /// What Tress made for it; `None` in records of format 1. See [`Revision::topics`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<OwnTopics>,
    /// Where the stream begins.
    pub start: Vec<Position>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub partition: i32,
    pub offset: i64,
}
