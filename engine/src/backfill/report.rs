//! What a backfill did, for people and programs.

use serde::{Deserialize, Serialize};

use super::cut::Cut;
use super::plan::{Mode, WorkPlan};
use super::seal::Sealed;
use crate::error::Result;
use crate::history::History;
use crate::history::agreement;
use crate::layout;

/// The format of reports.
pub const FORMAT: u32 = 1;

/// What a backfill did. Put beside its work plan once it is sealed; that it was sealed is in the table itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub format: u32,
    pub backfill: u64,
    pub mode: Mode,
    pub tasks: usize,
    pub cut: Cut,
    #[serde(flatten)]
    pub sealed: Sealed,
}

impl Report {
    #[must_use]
    pub fn new(plan: &WorkPlan, sealed: Sealed) -> Self {
        Self { format: FORMAT, backfill: plan.backfill, mode: plan.mode.clone(), tasks: plan.tasks.len(), cut: plan.cut.clone(), sealed }
    }

    /// Keeps this report, unless there is one: the first was written by whoever sealed, or after them.
    ///
    /// # Errors
    /// When the lake does not answer.
    pub async fn keep(&self, history: &History) -> Result<()> {
        agreement::put_if_absent(history.lake().store().as_ref(), &layout::seal(history.uid(), self.backfill), self).await.map(|_| ())
    }

    /// The report of backfill `number`; `None` when there is none.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged; when the lake does not answer.
    pub async fn read(history: &History, number: u64) -> Result<Option<Self>> {
        agreement::read(history.lake().store().as_ref(), &layout::seal(history.uid(), number), FORMAT).await
    }
}
