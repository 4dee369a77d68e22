//! The one way that a history changes: a commit that adds files, removes files, and says which backfill it seals.

use std::collections::HashMap;

use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, Remove, Transaction};
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::{DeltaOperation, SaveMode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::schema::{BUCKET, delta_columns};
use super::{FileStats, History, HistoryFile, Snapshot};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::{faults, layout};

/// The transaction whose version is the number of the backfill that was sealed last.
pub const BACKFILL: &str = "tress.backfill";
/// The transaction whose version is the number of the backfill whose cut is in effect.
pub const CUT: &str = "tress.cut";

/// What a seal changes.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The backfill that is sealed.
    pub backfill: u64,
    /// The backfill whose cut is in effect from now on.
    pub cut: u64,
    pub add: Vec<NewFile>,
    pub remove: Vec<HistoryFile>,
    /// Microseconds, UTC: what the log says when files came and went.
    pub at: i64,
    /// For people who read the table's log.
    pub note: HashMap<String, Value>,
}

/// A file that was written and is not in the table yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewFile {
    /// Relative to the table.
    pub path: String,
    /// The bucket's name.
    pub bucket: String,
    pub stats: FileStats,
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// The table's version now.
    Version(u64),
    /// Somebody changed the table since the snapshot: read it again and decide anew.
    Overtaken,
}

impl History {
    /// Makes the table unless it is there, and returns its newest version.
    ///
    /// # Errors
    /// When the lake does not answer.
    pub async fn create(&self) -> Result<Snapshot> {
        if let Some(snapshot) = self.snapshot().await? {
            return Ok(snapshot);
        }
        let doing = || format!("create history of {}", self.uid);
        let created = CreateBuilder::new()
            .with_log_store(self.lake.delta_log(&layout::history(&self.uid))?)
            .with_save_mode(SaveMode::Ignore)
            .with_table_name(format!("{}", self.plan.name))
            .with_columns(delta_columns(&self.schema)?)
            .with_partition_columns([BUCKET])
            // Whoever is second must not commit again: it would replace the table's metadata.
            .with_commit_properties(CommitProperties::default().with_max_retries(0))
            // Versions that manifests name must stay readable, however old.
            .with_configuration([("delta.enableExpiredLogCleanup", Some("false")), ("delta.dataSkippingNumIndexedCols", Some("13"))])
            .await;
        if let Err(e) = created {
            let e = Error::from(e);
            if !matches!(e.kind(), ErrorKind::Conflict) {
                return Err(e.while_doing(doing()));
            }
        }
        self.snapshot().await?.ok_or_else(|| Error::internal(format!("{}: it is not there", doing())))
    }

    /// Commits on top of `base`, or not at all.
    ///
    /// # Guarantees
    /// One commit, atomic. [`Committed::Overtaken`] also when this very commit succeeded and its answer was lost: whoever reads the
    /// table again sees the transaction.
    ///
    /// # Errors
    /// When the lake does not answer; the commit may have happened.
    pub async fn commit(&self, base: &Snapshot, commit: Commit) -> Result<Committed> {
        let doing = || format!("seal backfill {} of {}", commit.backfill, self.uid);
        let path = layout::history(&self.uid);
        let Some(table) = self.lake.delta_at(&path, Some(base.version)).await.context(doing)? else {
            return Err(Error::not_found(format!("{}: there is no table", doing())));
        };
        let transactions = [(BACKFILL, commit.backfill), (CUT, commit.cut)]
            .into_iter()
            .map(|(id, number)| Ok(Transaction::new(id, i64::try_from(number).map_err(|_| Error::internal("too many backfills"))?)))
            .collect::<Result<Vec<_>>>()?;
        let millis = commit.at.div_euclid(1000);
        let mut actions: Vec<Action> = commit.remove.iter().map(|file| Action::Remove(remove(file, millis))).collect();
        actions.extend(commit.add.iter().map(|file| Action::Add(add(file, millis))));
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: Some(vec![BUCKET.to_owned()]), predicate: None };
        let properties = CommitProperties::default()
            .with_metadata(commit.note.clone())
            .with_application_transactions(transactions)
            .with_cleanup_expired_logs(Some(false))
            .with_max_retries(0);
        faults::point(faults::Point::SealCommit)?;
        let state = table.snapshot().map_err(Error::from).context(doing)?;
        let committed = CommitBuilder::from(properties).with_actions(actions).build(Some(state), table.log_store(), operation).await;
        let committed = match committed {
            Ok(done) => Committed::Version(done.version()),
            Err(e) => {
                let e = Error::from(e);
                if e.kind() != ErrorKind::Conflict {
                    return Err(e.while_doing(doing()));
                }
                Committed::Overtaken
            }
        };
        faults::point(faults::Point::SealCommitted)?;
        Ok(committed)
    }
}

fn partition(bucket: &str) -> HashMap<String, Option<String>> {
    HashMap::from([(BUCKET.to_owned(), Some(bucket.to_owned()))])
}

fn add(file: &NewFile, millis: i64) -> Add {
    Add {
        path: file.path.clone(),
        partition_values: partition(&file.bucket),
        size: i64::try_from(file.stats.size).unwrap_or(i64::MAX),
        modification_time: millis,
        data_change: true,
        stats: Some(file.stats.delta()),
        ..Add::default()
    }
}

fn remove(file: &HistoryFile, millis: i64) -> Remove {
    Remove {
        path: file.path.clone(),
        data_change: true,
        deletion_timestamp: Some(millis),
        extended_file_metadata: Some(true),
        partition_values: Some(partition(&file.bucket)),
        size: Some(i64::try_from(file.stats.size).unwrap_or(i64::MAX)),
        ..Remove::default()
    }
}
