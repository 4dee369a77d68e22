//! Work plan n: all inputs of one backfill, fixed before anything is read. Put if absent; whoever finds one unsealed finishes it.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tress_configs::definition::Bucket;

use super::cut::Cut;
use super::tables::TableVersion;
use crate::error::{Error, Result};
use crate::faults;
use crate::history::agreement::{self, Put};
use crate::history::{History, Snapshot, bucket};
use crate::layout;

/// The format of work plans.
pub const FORMAT: u32 = 1;

/// What a backfill is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// The raw events that are new since the last seal; all, the first time.
    Incremental,
    /// All raw events that can fall in these buckets, instead of what the buckets hold.
    Restate(Buckets),
}

/// Some buckets of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Buckets {
    All,
    /// Event times, µs, UTC: whole buckets; rising, apart from one another.
    Spans(Vec<Range<i64>>),
}

impl Buckets {
    /// The buckets with these names, in any order.
    ///
    /// # Errors
    /// `Invalid` when a name is none of a bucket of this size, or there is no name.
    pub fn of_names<S: AsRef<str>>(names: impl IntoIterator<Item = S>, size: Bucket) -> Result<Self> {
        let mut ranges = Vec::new();
        for name in names {
            let range =
                bucket::range_of(name.as_ref(), size).map_err(|e| Error::invalid("restate: name the buckets to restate").with_source(e))?;
            ranges.push(range);
        }
        if ranges.is_empty() {
            return Err(Error::invalid("restate: name at least one bucket"));
        }
        ranges.sort_by_key(|r| r.start);
        let mut spans: Vec<Range<i64>> = Vec::new();
        for range in ranges {
            match spans.last_mut() {
                Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
                _ => spans.push(range),
            }
        }
        Ok(Self::Spans(spans))
    }

    #[must_use]
    pub fn contain(&self, event_time: i64) -> bool {
        match self {
            Self::All => true,
            Self::Spans(spans) => spans.iter().any(|span| span.contains(&event_time)),
        }
    }
}

/// The inputs of one backfill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkPlan {
    pub format: u32,
    pub backfill: u64,
    /// Of the signal revision.
    pub uid: String,
    /// Digest of the signal's plan: what must execute the tasks.
    pub plan: String,
    /// µs, UTC.
    pub planned_at: i64,
    pub mode: Mode,
    /// The version of the raw table; `None` for an external log.
    pub raw_version: Option<u64>,
    /// The cut once this is sealed.
    pub cut: Cut,
    /// The version of each enrichment's table, in the plan's order.
    pub tables: Vec<TableVersion>,
    /// Buckets that end at or before this lie outside retention and are dropped; µs, UTC.
    pub drop_before: Option<i64>,
    /// Files of an external log that history has consumed once this is sealed.
    pub consumed: Vec<ConsumedFile>,
    /// What each task reads.
    pub tasks: Vec<Vec<Slice>>,
}

/// A part of the raw events, small enough to be sorted in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Slice {
    /// Offsets of one partition of a topic.
    Offsets { partition: i32, offsets: Range<i64> },
    /// Row groups of one file of an external log, of which only rows whose available_at lies in the range are taken.
    #[serde(rename_all = "camelCase")]
    File { path: String, size: u64, groups: Range<usize>, available: Range<i64> },
}

/// A file of an external log that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumedFile {
    pub path: String,
    pub size: u64,
    /// What tells it from another file of this name: the store's tag, or the time it was written.
    pub tag: String,
    /// Rows with available_at before this were taken, µs, UTC; `None` = all.
    pub through: Option<i64>,
}

impl WorkPlan {
    /// Reads the plan of backfill `number`; `None` when there is none.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged or of a newer format; when the lake does not answer.
    pub async fn read(history: &History, number: u64) -> Result<Option<Self>> {
        agreement::read(history.lake().store().as_ref(), &layout::work_plan(history.uid(), number), FORMAT).await
    }

    /// Puts this plan, or returns the one that somebody else put first.
    ///
    /// # Errors
    /// When the lake does not answer.
    pub async fn agree(self, history: &History) -> Result<Self> {
        faults::point(faults::Point::WorkPlanPut)?;
        match agreement::put_if_absent(history.lake().store().as_ref(), &layout::work_plan(history.uid(), self.backfill), &self).await? {
            Put::Stored => Ok(self),
            Put::Exists => Self::read(history, self.backfill)
                .await?
                .ok_or_else(|| Error::internal(format!("read work plan {}: it was there a moment ago", self.backfill))),
        }
    }

    /// The number as rows carry it.
    ///
    /// # Errors
    /// `Invalid` beyond 2³¹ backfills.
    pub fn row_number(&self) -> Result<i32> {
        i32::try_from(self.backfill).map_err(|_| Error::invalid("backfill: its number does not fit a row; make a new revision"))
    }
}

/// The backfill that was planned and is not sealed: the next one would finish it first. `None` = there is none.
///
/// # Errors
/// When the lake does not answer.
pub async fn unfinished(history: &History) -> Result<Option<WorkPlan>> {
    match history.snapshot().await? {
        Some(snapshot) => WorkPlan::read(history, snapshot.backfill + 1).await,
        None => Ok(None),
    }
}

/// The plan whose cut is in effect in `snapshot`; `None` when nothing was sealed.
///
/// # Errors
/// `Corrupt` when the plan is gone.
pub async fn in_effect(history: &History, snapshot: &Snapshot) -> Result<Option<WorkPlan>> {
    if snapshot.cut == 0 {
        return Ok(None);
    }
    let plan = WorkPlan::read(history, snapshot.cut).await?;
    plan.map(Some).ok_or_else(|| {
        Error::corrupt(format!(
            "read {}: it is gone, but history was sealed by it; restore it from a copy",
            layout::work_plan(history.uid(), snapshot.cut)
        ))
    })
}

/// Up to when `snapshot` has all events of its source, by available_at, µs; `None` = nothing was sealed.
///
/// Of a topic: when the backfill was planned that took its records up to the cut in effect.
///
/// # Errors
/// As [`in_effect`].
pub async fn covered_through(history: &History, snapshot: &Snapshot) -> Result<Option<i64>> {
    let Some(plan) = in_effect(history, snapshot).await? else { return Ok(None) };
    if let Cut::Time { through } = plan.cut {
        return Ok(Some(through));
    }
    let mut took = plan;
    // Restating a range looks at no newer records: the cut is that of an earlier plan, and so is its time.
    for number in (1..took.backfill).rev() {
        if !matches!(took.mode, Mode::Restate(Buckets::Spans(_))) {
            break;
        }
        if let Some(earlier) = WorkPlan::read(history, number).await?
            && earlier.cut == took.cut
        {
            took = earlier;
        }
    }
    Ok(Some(took.planned_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_buckets_become_spans_and_what_is_no_bucket_is_refused() {
        const DAY: i64 = 86_400_000_000;
        let buckets = Buckets::of_names(["1970-01-04", "1970-01-01", "1970-01-02", "1970-01-01"], Bucket::Day).unwrap();
        assert_eq!(buckets, Buckets::Spans(vec![0..2 * DAY, 3 * DAY..4 * DAY]));
        assert!(buckets.contain(0) && !buckets.contain(2 * DAY) && buckets.contain(3 * DAY) && !buckets.contain(-1));
        assert!(Buckets::of_names(["1970-01-01-05"], Bucket::Day).is_err());
        assert!(Buckets::of_names(Vec::<String>::new(), Bucket::Day).is_err());
    }
}
