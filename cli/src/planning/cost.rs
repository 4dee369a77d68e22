//! How large events and sequences are, for the reader of a plan.

use serde::Serialize;
use tress_configs::Plan;
use tress_configs::analysis::{estimate_feature, estimate_signal};

use crate::definitions::Workspace;

/// Bytes in memory, before compression; texts and lists are guessed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Of a signal: one stored event; of a feature: one row of a reply.
    pub bytes_per_event: u64,
    /// Of a feature: what serving keeps of an entity whose sequence is full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_entity: Option<u64>,
}

impl Cost {
    pub fn of(plan: &Plan, workspace: &Workspace) -> Self {
        let estimate = match plan {
            Plan::Signal(signal) => estimate_signal(signal),
            Plan::Feature(feature) => {
                let signals: Vec<_> = workspace.compiled().filter_map(|(_, c)| c.plan.as_signal()).collect();
                estimate_feature(feature, &signals)
            }
        };
        Self { bytes_per_event: estimate.per_event, bytes_per_entity: estimate.per_entity }
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "about {} bytes an event", self.bytes_per_event)?;
        match self.bytes_per_entity {
            Some(bytes) => write!(f, ", {} KiB an entity", bytes.div_ceil(1024)),
            None => Ok(()),
        }
    }
}
