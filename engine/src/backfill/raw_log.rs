//! The seam to the raw events of a signal: the table that the engine keeps of a topic, or a log of files that others write.

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::cut::Cut;
use super::plan::{ConsumedFile, Mode, Slice, WorkPlan};
use crate::error::Result;
use crate::raw::RawBatch;

/// Records of one task, about: as many rows as are sorted in memory at once.
pub const TASK_RECORDS: u64 = 256 * 1024;

/// What is asked of a survey.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub mode: &'a Mode,
    /// The work plan whose cut is in effect.
    pub before: Option<&'a WorkPlan>,
    /// µs, UTC.
    pub now: i64,
}

/// What there is to read: the part of a work plan that comes from the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    pub raw_version: Option<u64>,
    pub cut: Cut,
    pub consumed: Vec<ConsumedFile>,
    pub tasks: Vec<Vec<Slice>>,
}

/// Raw events at rest.
///
/// # Contract
/// - A survey's cut reaches the cut before it; restating a range leaves it.
/// - Tasks hold all raw events that are asked for: those that the new cut covers and the old one does not, or all that the old one
///   covers and that can fall in the buckets.
/// - A slice of a snapshot always reads the same events, in the same order.
/// - What cannot be done without losing or doubling events is refused with the reason.
#[async_trait]
pub trait RawLog: Send + Sync + std::fmt::Debug {
    async fn survey(&self, ask: Ask<'_>) -> Result<Survey>;
    /// Batches of raw events: of at most 4,096, unless the log was asked for larger ones.
    async fn read(&self, raw_version: Option<u64>, slice: &Slice) -> Result<BoxStream<'static, Result<RawBatch>>>;
}
