//! How far a sealed history has consumed its source.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything of the source up to here is in history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cut {
    /// Of a topic that the engine archives.
    Offsets {
        cluster: String,
        /// The topic's id: one that was deleted and created again is another.
        topic: String,
        /// Partition → the first offset that is not in history.
        ends: BTreeMap<i32, i64>,
    },
    /// Of an external log: rows with available_at before this, µs, UTC.
    Time { through: i64 },
}

/// Where a row came from, as far as a cut looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// `None` from an external log.
    pub partition: Option<i32>,
    pub offset: Option<i64>,
    /// µs, UTC.
    pub available_at: i64,
}

impl Cut {
    /// Whether history has the row: it may leave the tail once the base made from that history is read.
    #[must_use]
    pub fn covers(&self, row: Position) -> bool {
        match self {
            Self::Offsets { ends, .. } => match (row.partition, row.offset) {
                (Some(partition), Some(offset)) => ends.get(&partition).is_some_and(|end| offset < *end),
                _ => false,
            },
            Self::Time { through } => row.available_at < *through,
        }
    }

    /// Whether everything that `other` covers is covered by this: cuts only go forward.
    #[must_use]
    pub fn reaches(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Offsets { cluster, topic, ends }, Self::Offsets { cluster: c, topic: t, ends: e }) => {
                cluster == c && topic == t && e.iter().all(|(partition, end)| ends.get(partition).is_some_and(|here| here >= end))
            }
            (Self::Time { through }, Self::Time { through: other }) => through >= other,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(topic: &str, ends: &[(i32, i64)]) -> Cut {
        Cut::Offsets { cluster: "c".into(), topic: topic.into(), ends: ends.iter().copied().collect() }
    }

    #[test]
    fn a_cut_of_offsets_covers_what_lies_before_its_ends_and_nothing_without_a_position() {
        let cut = offsets("t", &[(0, 5)]);
        let at = |partition, offset| Position { partition, offset, available_at: 0 };
        assert!(cut.covers(at(Some(0), Some(4))));
        assert!(!cut.covers(at(Some(0), Some(5))));
        assert!(!cut.covers(at(Some(1), Some(0))));
        assert!(!cut.covers(at(None, None)));
    }

    #[test]
    fn a_cut_of_time_covers_what_was_available_before_it() {
        let at = |available_at| Position { partition: Some(0), offset: Some(0), available_at };
        assert!(Cut::Time { through: 10 }.covers(at(9)));
        assert!(!Cut::Time { through: 10 }.covers(at(10)));
    }

    #[test]
    fn a_cut_reaches_another_only_of_the_same_source_and_in_every_partition() {
        assert!(offsets("t", &[(0, 5), (1, 1)]).reaches(&offsets("t", &[(0, 5)])));
        assert!(!offsets("t", &[(0, 5)]).reaches(&offsets("t", &[(0, 5), (1, 0)])));
        assert!(!offsets("t", &[(0, 4)]).reaches(&offsets("t", &[(0, 5)])));
        assert!(!offsets("u", &[(0, 9)]).reaches(&offsets("t", &[(0, 5)])));
        assert!(!Cut::Time { through: 9 }.reaches(&offsets("t", &[(0, 5)])));
    }
}
