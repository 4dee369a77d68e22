//! How a job ended: one small JSON text, kept where a cluster keeps the last words of a pod.

use serde::{Deserialize, Serialize};

/// The most bytes of a report: what Kubernetes keeps of a pod's last words.
pub const MAX_BYTES: usize = 4096;
/// The format.
const VERSION: u32 = 1;

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub version: u32,
    pub role: Role,
    pub outcome: Outcome,
    /// Why, where it did not succeed; without values of users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// What came of it.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
}

/// What the process was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    Prepare,
    Stream,
    Archive,
    BackfillPlan,
    BackfillTasks,
    BackfillSeal,
    BackfillAbandon,
    Base,
    Serve,
    Drop,
    DeadLetters,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Succeeded,
    /// There was nothing to do.
    UpToDate,
    /// It was told to stop before it was done; whoever is next goes on.
    Stopped,
    /// What did not answer may answer later: start it again.
    FailedForNow,
    /// Starting it again changes nothing: the reasons say what to change.
    Failed,
}

/// What came of a job that did its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Facts {
    /// A revision that can be run.
    Prepared {
        uid: String,
        digest: String,
        /// Of a signal: its topic's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        partitions: Option<u32>,
        /// The record, in the lake.
        path: String,
    },
    /// The work plan that is to be done next.
    Planned {
        uid: String,
        backfill: u64,
        tasks: u64,
        /// `Asked`, or `Unfinished`: another's, which has to be finished first.
        plan: PlanIs,
        /// The plan, in the lake.
        path: String,
    },
    /// Tasks of a work plan.
    TasksDone { uid: String, backfill: u64, tasks: u64, rows: u64 },
    /// A backfill that is part of history now.
    Sealed {
        uid: String,
        backfill: u64,
        raw_events: u64,
        rows: u64,
        dead: u64,
        history_version: u64,
        /// `None` = no base was made.
        base: Option<BaseMade>,
    },
    /// A base that covers these demands.
    Based { uid: String, base: BaseMade },
    /// A backfill that was given up.
    Abandoned { uid: String, backfill: u64 },
    /// What was deleted of a revision.
    Dropped { uid: String, topics: u64, files: u64, bytes: u64, history: HistoryIs },
}

/// Whose work plan it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlanIs {
    Asked,
    Unfinished,
}

/// What became of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HistoryIs {
    Dropped,
    /// It was not asked for.
    Kept,
    /// A dataset names a version of it.
    Pinned,
}

/// A base manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BaseMade {
    pub manifest: u64,
    /// The number of the list of features that it was made for: not less than the one that was given.
    pub demands: u64,
}

/// Why a text is no report.
#[derive(Debug, thiserror::Error)]
#[error("not the report of a job: {0}")]
pub struct NotAReport(String);

impl Report {
    #[must_use]
    pub const fn new(role: Role, outcome: Outcome, facts: Option<Facts>) -> Self {
        Self { version: VERSION, role, outcome, reasons: Vec::new(), facts }
    }

    /// One line of at most [`MAX_BYTES`]: reasons are cut where they are too long.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut told = self.clone();
        loop {
            let json = serde_json::to_string(&told).unwrap_or_default();
            if json.len() <= MAX_BYTES {
                return json;
            }
            let over = json.len() - MAX_BYTES;
            match told.reasons.iter_mut().max_by_key(|reason| reason.len()) {
                Some(longest) if longest.len() > '…'.len_utf8() => {
                    let keep = longest.len().saturating_sub(over + '…'.len_utf8());
                    longest.truncate(longest.floor_char_boundary(keep));
                    longest.push('…');
                }
                _ => told.reasons.clear(),
            }
        }
    }

    /// # Errors
    /// With what is wrong, for a text that is no report or of a newer program.
    pub fn from_json(text: &str) -> Result<Self, NotAReport> {
        let report: Self = serde_json::from_str(text).map_err(|e| NotAReport(e.to_string()))?;
        match report.version {
            VERSION => Ok(report),
            other => Err(NotAReport(format!("version: {other} is not known here; use a newer program"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_back_as_it_was_written() {
        let base = Some(BaseMade { manifest: 4, demands: 2 });
        let sealed = Facts::Sealed { uid: "u".to_owned(), backfill: 7, raw_events: 10, rows: 9, dead: 1, history_version: 8, base };
        let report = Report::new(Role::BackfillSeal, Outcome::Succeeded, Some(sealed));
        assert_eq!(Report::from_json(&report.to_json()).unwrap(), report);
        let stopped = Report::new(Role::Stream, Outcome::Stopped, None);
        assert_eq!(stopped.to_json(), r#"{"version":1,"role":"Stream","outcome":"Stopped"}"#);
        assert_eq!(Report::from_json(&stopped.to_json()).unwrap(), stopped);
    }

    #[test]
    fn reasons_of_any_length_fit() {
        for reasons in [vec!["é".repeat(9000)], vec!["\"".repeat(5000); 3], vec![String::new(); 2000], vec!["a".repeat(30); 200]] {
            let report = Report { reasons, ..Report::new(Role::Prepare, Outcome::Failed, None) };
            let json = report.to_json();
            assert!(json.len() <= MAX_BYTES, "{}", json.len());
            assert_eq!(Report::from_json(&json).unwrap().outcome, Outcome::Failed);
        }
    }

    #[test]
    fn what_is_no_report_is_refused() {
        assert!(Report::from_json("{}").is_err());
        let newer = r#"{"version":2,"role":"Drop","outcome":"Succeeded"}"#;
        assert!(Report::from_json(newer).unwrap_err().to_string().contains("version: 2"));
    }
}
