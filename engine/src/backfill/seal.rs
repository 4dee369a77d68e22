//! The seal: one commit that makes a backfill part of history.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::compact::compact;
use super::plan::{Mode, WorkPlan};
use super::task::{Counts, TaskManifest};
use crate::error::{Error, ErrorKind, Result};
use crate::history::{Commit, Committed, History, HistoryFile, NewFile, Snapshot};

/// A bucket of more files is compacted.
const MAX_BUCKET_FILES: usize = 4;
/// How often a seal starts over when others change the table.
const ATTEMPTS: usize = 16;

/// What a seal did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sealed {
    /// Of the history's table.
    pub version: u64,
    pub added: usize,
    pub removed: usize,
    pub compacted: usize,
    /// Buckets that left retention.
    pub dropped: usize,
    /// Buckets that changed, those included.
    pub buckets: usize,
    pub counts: Counts,
}

/// Seals `plan`: adds what its tasks wrote, removes what it restates, compacts, drops what lies outside retention.
///
/// # Guarantees
/// Once: a backfill that is sealed already is left as it is, and its seal is returned as a change of nothing.
///
/// # Errors
/// `Invalid` when a task is not done; `Conflict` when others keep changing the table; when the lake does not answer.
pub async fn seal(history: &History, plan: &WorkPlan) -> Result<Sealed> {
    let manifests = super::task::manifests(history, plan).await?;
    let mut counts = Counts::default();
    for manifest in &manifests {
        counts.add(&manifest.counts);
    }
    for _ in 0..ATTEMPTS {
        let snapshot = history.create().await?;
        if snapshot.backfill >= plan.backfill {
            return Ok(Sealed { version: snapshot.version, added: 0, removed: 0, compacted: 0, dropped: 0, buckets: 0, counts });
        }
        if snapshot.backfill + 1 != plan.backfill {
            return Err(Error::invalid(format!(
                "seal backfill {} of {}: backfill {} was sealed last; seal those between first",
                plan.backfill,
                history.uid(),
                snapshot.backfill
            )));
        }
        let changes = changes(history, &snapshot, plan, &manifests).await?;
        let done = |version| Sealed {
            version,
            added: changes.add.len(),
            removed: changes.remove.len(),
            compacted: changes.compacted,
            dropped: changes.dropped,
            buckets: changes.buckets(),
            counts: counts.clone(),
        };
        let commit = Commit {
            backfill: plan.backfill,
            cut: plan.backfill,
            add: changes.add.clone(),
            remove: changes.remove.clone(),
            at: plan.planned_at,
            note: HashMap::from([("tress".to_owned(), json!({"backfill": plan.backfill, "mode": plan.mode, "cut": plan.cut}))]),
        };
        if let Committed::Version(version) = history.commit(&snapshot, commit).await? {
            return Ok(done(version));
        }
    }
    Err(Error::new(
        ErrorKind::Conflict,
        format!("seal backfill {} of {}: something else keeps writing to the table; only seals may", plan.backfill, history.uid()),
    ))
}

/// Gives backfill `number` up: it counts as sealed, adds nothing, and the cut stays where it is.
///
/// # Errors
/// `Invalid` when it is not the next to be sealed; `Conflict` when somebody was faster.
pub async fn abandon(history: &History, number: u64, now: i64) -> Result<()> {
    let snapshot = history.create().await?;
    if snapshot.backfill + 1 != number {
        return Err(Error::invalid(format!("abandon backfill {number} of {}: it is not the one in progress", history.uid())));
    }
    let commit = Commit { backfill: number, cut: snapshot.cut, at: now, ..Commit::default() };
    match history.commit(&snapshot, commit).await? {
        Committed::Version(_) => Ok(()),
        Committed::Overtaken => {
            Err(Error::new(ErrorKind::Conflict, format!("abandon backfill {number} of {}: it was sealed meanwhile", history.uid())))
        }
    }
}

struct Changes {
    add: Vec<NewFile>,
    remove: Vec<HistoryFile>,
    compacted: usize,
    dropped: usize,
}

impl Changes {
    fn buckets(&self) -> usize {
        self.add.iter().map(|f| &f.bucket).chain(self.remove.iter().map(|f| &f.bucket)).collect::<BTreeSet<_>>().len()
    }
}

async fn changes(history: &History, snapshot: &Snapshot, plan: &WorkPlan, manifests: &[TaskManifest]) -> Result<Changes> {
    let mut buckets: BTreeMap<String, (Vec<HistoryFile>, Vec<NewFile>)> = BTreeMap::new();
    let mut changes = Changes { add: Vec::new(), remove: Vec::new(), compacted: 0, dropped: 0 };
    let mut dropped: Vec<&str> = Vec::new();
    for file in &snapshot.files {
        let restated = match &plan.mode {
            Mode::Incremental => false,
            Mode::Restate(buckets) => buckets.contain(file.times.start),
        };
        let outside = plan.drop_before.is_some_and(|before| file.times.end <= before);
        if outside && dropped.last() != Some(&file.bucket.as_str()) {
            dropped.push(&file.bucket);
        }
        if restated || outside {
            changes.remove.push(file.clone());
        } else {
            buckets.entry(file.bucket.clone()).or_default().0.push(file.clone());
        }
    }
    changes.dropped = dropped.len();
    for file in manifests.iter().flat_map(|m| &m.files) {
        buckets.entry(file.bucket.clone()).or_default().1.push(file.clone());
    }
    for (bucket, (old, new)) in buckets {
        if new.is_empty() || old.len() + new.len() <= MAX_BUCKET_FILES {
            changes.add.extend(new);
            continue;
        }
        let files = old.iter().map(|f| (f.path.clone(), f.stats)).chain(new.iter().map(|f| (f.path.clone(), f.stats))).collect();
        changes.add.push(compact(history, &bucket, plan.backfill, files).await?);
        changes.remove.extend(old);
        changes.compacted += 1;
    }
    Ok(changes)
}
