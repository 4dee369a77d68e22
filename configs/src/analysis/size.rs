//! How large rows are, roughly: fixed widths are exact, texts and lists are guessed alike for all, so that definitions can be compared.

use crate::column::{ColumnType, Scalar};
use crate::issue::{Issue, IssueCode};
use crate::plan::{FeaturePlan, Origin, SignalPlan};

/// Bytes of a string or binary value, its offset included.
const TEXT_BYTES: u64 = 24;
/// Elements of a variable list.
const LIST_ITEMS: u64 = 4;
/// The engine's own columns of a row: hash, time, id, ordinal, version, raw hash, available_at, deleted, found, source position.
const SYSTEM_BYTES: u64 = 76;

/// Bytes, uncompressed, as a run holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Of one row with all columns of the signal; of a feature, of one row of a reply.
    pub per_event: u64,
    /// Of a feature: what serving keeps for an entity whose sequence is full.
    pub per_entity: Option<u64>,
}

/// The size of one stored event of `plan`.
#[must_use]
pub fn estimate_signal(plan: &SignalPlan) -> Estimate {
    let entity = value_bytes(&ColumnType::scalar(plan.entity.scalar));
    let columns: u64 = plan.columns.iter().map(|c| value_bytes(&c.column_type)).sum();
    Estimate { per_event: SYSTEM_BYTES + entity + columns, per_entity: None }
}

/// The size of a row of `plan`, and of all that serving keeps for one entity. `signals`: the plans it reads, as far as they are known.
#[must_use]
pub fn estimate_feature(plan: &FeaturePlan, signals: &[&SignalPlan]) -> Estimate {
    let per_event = plan.columns.iter().map(|c| value_bytes(&c.column_type)).sum();
    let per_entity = plan.signals.iter().map(|read| {
        let rows = u64::from(read.length.unwrap_or(plan.length));
        // The slack of base: a quarter more, at least 16.
        let rows = rows + (rows / 4).max(16);
        let stored = signals.iter().find(|s| s.name == read.name).map_or(SYSTEM_BYTES + per_event, |s| estimate_signal(s).per_event);
        rows * stored
    });
    Estimate { per_event, per_entity: Some(per_entity.sum()) }
}

/// Vectors that outweigh everything else in their row.
pub(super) fn large_embeddings(plan: &SignalPlan) -> Vec<Issue> {
    let whole = estimate_signal(plan).per_event;
    let vectors = plan.columns.iter().filter_map(|c| Some((c, u64::from(c.column_type.packed_bytes()?))));
    let large = vectors.filter(|(_, bytes)| *bytes > whole - bytes);
    large
        .map(|(column, bytes)| {
            let at = match column.origin {
                Origin::Enrichment(index) => {
                    let columns = plan.enrichments.get(index as usize).map(|e| e.columns.as_slice()).unwrap_or_default();
                    let place = columns.iter().position(|c| c.name == column.name).unwrap_or_default();
                    format!("definition.enrichments[{index}].columns[{place}]")
                }
                _ => "definition.columns".to_owned(),
            };
            let message = format!("{} takes {bytes} bytes of every event, the rest of the row {}", column.name, whole - bytes);
            let help = match column.column_type.scalar {
                Scalar::Float32 => "store it as float16 or int8, or let the reader fetch it by key",
                _ => "let the reader fetch it by key, if it can",
            };
            Issue::warning(at, IssueCode::LargeEmbedding, message, help)
        })
        .collect()
}

fn value_bytes(column_type: &ColumnType) -> u64 {
    if let Some(packed) = column_type.packed_bytes() {
        return u64::from(packed);
    }
    let one = match column_type.scalar {
        Scalar::Bool | Scalar::Int8 => 1,
        Scalar::Int32 | Scalar::Float16 | Scalar::Float32 => 4,
        Scalar::Int64 | Scalar::Float64 | Scalar::Timestamp => 8,
        Scalar::String | Scalar::Binary => TEXT_BYTES,
    };
    if column_type.list { 4 + LIST_ITEMS * one } else { one }
}
