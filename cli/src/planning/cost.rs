//! How large events and sequences are, as far as definitions tell.

use serde::Serialize;
use tress_configs::Plan;
use tress_configs::column::{ColumnType, Scalar};
use tress_configs::plan::{ColumnPlan, FeaturePlan};

use crate::definitions::Workspace;

/// Bytes in memory, before compression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Of one event with its system columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_event: Option<u64>,
    /// Of the events of one entity that base keeps for a feature at its full length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_entity: Option<u64>,
    #[serde(skip)]
    pub sentence: String,
}

/// Bytes of the columns that every event carries.
const SYSTEM: u64 = 8 + 8 + 8 + 8 + 4 + 8 + 4 + 8 + 1 + 4 + 4 + 8 + 4;
/// Bytes of a string whose length nobody knows, its offset included.
const STRING: u64 = 20;
/// Items of a list whose length nobody knows.
const ITEMS: u64 = 4;

/// Estimates: strings count as 20 bytes, lists as 4 items.
pub fn of(plan: &Plan, workspace: &Workspace) -> Cost {
    match plan {
        Plan::Signal(signal) => {
            let bytes = row(&signal.columns);
            Cost { bytes_per_event: Some(bytes), bytes_per_entity: None, sentence: format!("about {bytes} bytes an event") }
        }
        Plan::Feature(feature) => {
            let bytes = entity(feature, workspace);
            let sentence = format!("about {} an entity with {} events", kib(bytes), feature.length);
            Cost { bytes_per_event: None, bytes_per_entity: Some(bytes), sentence }
        }
    }
}

/// What base keeps of one entity: of each signal its share and a quarter more, at least 16.
fn entity(feature: &FeaturePlan, workspace: &Workspace) -> u64 {
    let signal_row = |name: &tress_configs::name::QualifiedName| {
        let plans = workspace.compiled().filter_map(|(_, c)| c.plan.as_signal());
        plans.filter(|s| s.name == *name).map(|s| row(&s.columns)).next().unwrap_or(SYSTEM)
    };
    let kept = |length: u32| u64::from(length) + (u64::from(length) / 4).max(16);
    feature.signals.iter().map(|s| kept(s.length.unwrap_or(feature.length)) * signal_row(&s.name)).sum()
}

fn row(columns: &[ColumnPlan]) -> u64 {
    SYSTEM + columns.iter().map(|c| width(&c.column_type)).sum::<u64>()
}

fn width(column: &ColumnType) -> u64 {
    if let Some(bytes) = column.packed_bytes() {
        return u64::from(bytes);
    }
    let one = match column.scalar {
        Scalar::Bool | Scalar::Int8 => 1,
        Scalar::Int32 | Scalar::Float16 | Scalar::Float32 => 4,
        Scalar::Int64 | Scalar::Float64 | Scalar::Timestamp => 8,
        Scalar::String | Scalar::Binary => STRING,
    };
    if column.list { 4 + ITEMS * one } else { one }
}

fn kib(bytes: u64) -> String {
    if bytes < 1024 { format!("{bytes} bytes") } else { format!("{} KiB", bytes.div_ceil(1024)) }
}
